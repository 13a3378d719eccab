package main

import (
	"reflect"
	"runtime/debug"

	"github.com/cilium/ebpf"
)

// The library's version where the build has no modules: `-ldflags "-X main.packaged=0.9.1"`.
var packaged string

// The version of the library in this executable.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/cilium/ebpf" {
				if module.Replace != nil {
					module = module.Replace
				}
				if len(module.Version) > 1 && module.Version[0] == 'v' {
					return module.Version[1:]
				}
			}
		}
	}
	if packaged != "" {
		return packaged
	}
	return "unknown"
}

// Sets level and size of the verifier's log. By name, because their types and the name of the size differ between releases.
func setLog(options *ebpf.ProgramOptions, level, size uint32) {
	fields := reflect.ValueOf(options).Elem()
	set := func(name string, number uint32) bool {
		field := fields.FieldByName(name)
		switch {
		case !field.IsValid():
			return false
		case field.CanInt():
			field.SetInt(int64(number))
		case field.CanUint():
			field.SetUint(uint64(number))
		}
		return true
	}
	set("LogLevel", level)
	// Releases since 0.17 let the log grow from this size.
	if size > 0 && !set("LogSizeStart", size) {
		set("LogSize", size)
	}
}

package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

const bpffs = "/sys/fs/bpf"

// An object that is open, and what of it is in the kernel.
type object struct {
	spec        *ebpf.CollectionSpec
	kernelTypes *btf.Spec
	// Where the maps are pinned that it is given.
	reuse map[string]string
	// Programs and maps of the last load, which stay until the next.
	held []interface{ Close() error }
	// Where maps of the last load are pinned, which ask for it; empty if none does.
	pins string
}

// Opens an object. The object is nil unless the answer is `opened`.
func open(asked request) (*object, answer) {
	opened := &object{reuse: asked.Reuse}
	err := guarded(func() (err error) {
		opened.spec, err = ebpf.LoadCollectionSpec(asked.Path)
		return err
	})
	if err != nil {
		return nil, failed(err)
	}
	if asked.KernelBTF != "" {
		err := guarded(func() (err error) {
			opened.kernelTypes, err = btf.LoadSpec(asked.KernelBTF)
			return err
		})
		if err != nil {
			return nil, failed(fmt.Errorf("kernel BTF: %w", err))
		}
	}
	if err := asked.Settings.apply(opened.spec); err != nil {
		return nil, answer{Answer: "unsupported", Error: err.Error()}
	}
	programs := make([]string, 0, len(opened.spec.Programs))
	for name := range opened.spec.Programs {
		programs = append(programs, name)
	}
	sort.Strings(programs)
	return opened, answer{Answer: "opened", Programs: &programs}
}

// Loads one program as the code does that bpf2go generates. The error is that of this machine, not of the object.
func (opened *object) load(asked request) (answer, error) {
	opened.close()
	options := ebpf.CollectionOptions{}
	options.Programs.KernelTypes = opened.kernelTypes
	setLog(&options.Programs, asked.LogLevel, asked.LogSize)
	if err := opened.makePins(); err != nil {
		return answer{}, err
	}
	options.Maps.PinPath = opened.pins
	replacements, err := opened.replacements()
	if err != nil {
		return answer{}, err
	}
	defer closeAll(replacements)
	options.MapReplacements = replacements

	into := wanted(opened.spec, asked.Program)
	// LoadAndAssign takes a pointer to a struct, and each load its own copy of the specification.
	err = guarded(func() error { return opened.spec.Copy().LoadAndAssign(into.Addr().Interface(), &options) })
	if err != nil {
		return failed(err), nil
	}
	for i := 0; i < into.NumField(); i++ {
		if loaded, ok := into.Field(i).Interface().(interface{ Close() error }); ok {
			opened.held = append(opened.held, loaded)
		}
	}
	program := into.Field(0).Interface().(*ebpf.Program)
	info, err := program.Info()
	if err != nil {
		return answer{}, fmt.Errorf("program `%s` is loaded, but has no information: %w", asked.Program, err)
	}
	id, ok := info.ID()
	if !ok {
		return answer{}, fmt.Errorf("program `%s` is loaded, but has no id", asked.Program)
	}
	return answer{Answer: "loaded", ID: uint32(id)}, nil
}

// The maps that the object is given.
func (opened *object) replacements() (map[string]*ebpf.Map, error) {
	found := make(map[string]*ebpf.Map)
	for name, path := range opened.reuse {
		one, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			closeAll(found)
			return nil, fmt.Errorf("map to reuse: %w", err)
		}
		found[name] = one
	}
	return found, nil
}

func closeAll(maps map[string]*ebpf.Map) {
	for _, one := range maps {
		one.Close()
	}
}

// The struct that bpf2go generates, cut down to one program: the program, and the program arrays that the object fills and the program
// reaches, because the library refuses to fill an array that nothing is going to hold.
func wanted(spec *ebpf.CollectionSpec, program string) reflect.Value {
	field := func(name string, kind interface{}, tag string) reflect.StructField {
		return reflect.StructField{Name: name, Type: reflect.TypeOf(kind), Tag: reflect.StructTag(fmt.Sprintf("ebpf:%q", tag))}
	}
	fields := []reflect.StructField{field("Program", (*ebpf.Program)(nil), program)}
	for i, name := range filledArrays(spec, program) {
		fields = append(fields, field(fmt.Sprintf("Array%d", i), (*ebpf.Map)(nil), name))
	}
	return reflect.New(reflect.StructOf(fields)).Elem()
}

// The program arrays with contents that a program refers to, and so do the programs in them.
func filledArrays(spec *ebpf.CollectionSpec, program string) []string {
	var arrays []string
	seen := map[string]bool{program: true}
	for pending := []string{program}; len(pending) > 0; {
		next := spec.Programs[pending[0]]
		pending = pending[1:]
		if next == nil {
			continue
		}
		for _, instruction := range next.Instructions {
			name := instruction.Reference()
			array := spec.Maps[name]
			if array == nil || array.Type != ebpf.ProgramArray || len(array.Contents) == 0 || seen[name] {
				continue
			}
			seen[name] = true
			arrays = append(arrays, name)
			for _, entry := range array.Contents {
				if entry, ok := entry.Value.(string); ok && !seen[entry] {
					seen[entry] = true
					pending = append(pending, entry)
				}
			}
		}
	}
	return arrays
}

// Makes an empty folder for maps that are to be pinned by name: without one the library refuses them, so programs that have such maps
// name one.
func (opened *object) makePins() error {
	for _, one := range opened.spec.Maps {
		if one.Pinning != ebpf.PinNone {
			var err error
			opened.pins, err = os.MkdirTemp(bpffs, "corematrix-")
			return err
		}
	}
	return nil
}

// Closes what the last load left in the kernel. The object stays open.
func (opened *object) close() {
	if opened == nil {
		return
	}
	for _, one := range opened.held {
		if err := one.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "warning: closing:", err)
		}
	}
	opened.held = nil
	if opened.pins != "" {
		if err := os.RemoveAll(opened.pins); err != nil {
			fmt.Fprintln(os.Stderr, "warning: removing pins:", err)
		}
		opened.pins = ""
	}
}

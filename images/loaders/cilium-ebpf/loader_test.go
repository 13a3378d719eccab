package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func TestNamesHaveTheKernelsNumbers(t *testing.T) {
	for name, number := range map[string]ebpf.ProgramType{
		"sched_cls": ebpf.SchedCLS, "raw_tracepoint_writable": ebpf.RawTracepointWritable, "ext": ebpf.Extension, "syscall": ebpf.Syscall,
	} {
		if got, err := numberOf(programTypes, name); err != nil || ebpf.ProgramType(got) != number {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for name, number := range map[string]ebpf.AttachType{
		"cgroup_inet4_bind": ebpf.AttachCGroupInet4Bind, "trace_fexit": ebpf.AttachTraceFExit, "perf_event": ebpf.AttachPerfEvent,
	} {
		if got, err := numberOf(attachTypes, name); err != nil || ebpf.AttachType(got) != number {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for name, number := range map[string]ebpf.MapType{
		"lru_percpu_hash": ebpf.LRUCPUHash, "hash_of_maps": ebpf.HashOfMaps, "devmap_hash": ebpf.DevMapHash, "task_storage": ebpf.TaskStorage,
	} {
		if got, err := numberOf(mapTypes, name); err != nil || ebpf.MapType(got) != number {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	if _, err := numberOf(mapTypes, "no_such"); err == nil {
		t.Error("an unknown name has a number")
	}
}

func TestErrorsAreOneLineWithoutLog(t *testing.T) {
	refused := &ebpf.VerifierError{Cause: errors.New("permission denied"), Log: []string{"0: (95) exit", "R0 !read_ok"}}
	err := fmt.Errorf("field Program: program p: load program: %w", refused)
	// Since 0.11 the library has another word before the cause.
	if got := text(err); !strings.HasPrefix(got, "program p: load program: ") || !strings.HasSuffix(got, "permission denied") {
		t.Error(got)
	}
	if got := text(errors.New("two\n\tlines")); got != "two lines" {
		t.Error(got)
	}
	if got := text(errors.New(strings.Repeat("ä", longest))); len(got) != longest+len("…") {
		t.Error(len(got))
	}
}

func TestPanicOfTheLibraryIsAFailure(t *testing.T) {
	err := guarded(func() error { panic("index out of range") })
	if err == nil || text(err) != "panic: index out of range" {
		t.Error(err)
	}
}

func TestSettingsAreAppliedToTheSpecification(t *testing.T) {
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{"p": {Type: ebpf.Kprobe, Flags: 1 << 5}},
		Maps:     map[string]*ebpf.MapSpec{"m": {Type: ebpf.Hash, KeySize: 8}, ".rodata": {}},
	}
	kind, inner, entries, bytes, target := "sched_cls", "array", uint32(64), uint32(4), "vfs_read"
	all := settings{
		Programs: []programSettings{{Program: "p", Type: &kind, Target: &target, Flags: []string{"BPF_F_SLEEPABLE"}}},
		Maps: []mapSettings{
			{Map: "m", Definition: definition{MaxEntries: &entries}, Inner: &definition{Type: &inner, KeySize: &bytes}},
			{Map: "opensnoo.rodata", Definition: definition{ValueSize: &bytes}},
		},
	}
	if err := all.apply(spec); err != nil {
		t.Fatal(err)
	}
	if p := spec.Programs["p"]; p.Type != ebpf.SchedCLS || p.AttachTo != target || p.Flags != 1<<5|1<<4 {
		t.Errorf("%+v", p)
	}
	if m := spec.Maps["m"]; m.Type != ebpf.Hash || m.KeySize != 8 || m.MaxEntries != 64 || m.InnerMap.Type != ebpf.Array {
		t.Errorf("%+v", m)
	}
	if spec.Maps[".rodata"].ValueSize != 4 {
		t.Error("the map of global variables is not set")
	}
	missing := settings{Programs: []programSettings{{Program: "q"}}}
	if err := missing.apply(spec); err == nil {
		t.Error("a program that is not there is set")
	}
}

func TestArraysThatTheObjectFillsAreWanted(t *testing.T) {
	refer := func(name string) asm.Instructions {
		return asm.Instructions{asm.LoadMapPtr(asm.R1, 0).WithReference(name)}
	}
	filled := func(program string) *ebpf.MapSpec {
		return &ebpf.MapSpec{Type: ebpf.ProgramArray, Contents: []ebpf.MapKV{{Key: uint32(0), Value: program}}}
	}
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{
			"a": {Instructions: refer("one")}, "b": {Instructions: refer("two")}, "c": {Instructions: refer("one")}, "d": {Instructions: refer("empty")},
		},
		Maps: map[string]*ebpf.MapSpec{"one": filled("b"), "two": filled("c"), "empty": {Type: ebpf.ProgramArray}},
	}
	if got := filledArrays(spec, "a"); !reflect.DeepEqual(got, []string{"one", "two"}) {
		t.Error(got)
	}
	if got := filledArrays(spec, "d"); got != nil {
		t.Error(got)
	}
	if got := wanted(spec, "a").Type(); got.NumField() != 3 || got.Field(2).Tag.Get("ebpf") != "two" {
		t.Error(got)
	}
}

package main

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// What the object's own loader sets before it loads.
type settings struct {
	Programs []programSettings `json:"programs"`
	Maps     []mapSettings     `json:"maps"`
}

type programSettings struct {
	Program    string   `json:"program"`
	Type       *string  `json:"prog_type"`
	AttachType *string  `json:"attach_type"`
	Target     *string  `json:"target"`
	Flags      []string `json:"flags"`
}

type mapSettings struct {
	Map        string      `json:"map"`
	Definition definition  `json:"definition"`
	Inner      *definition `json:"inner"`
	Pinning    *string     `json:"pinning"`
}

// A map's definition, as far as it is set.
type definition struct {
	Type       *string `json:"map_type"`
	KeySize    *uint32 `json:"key_size"`
	ValueSize  *uint32 `json:"value_size"`
	MaxEntries *uint32 `json:"max_entries"`
	Flags      *uint32 `json:"map_flags"`
}

// Sets them in the specification. The error says what cannot be set.
func (all settings) apply(spec *ebpf.CollectionSpec) error {
	for _, one := range all.Programs {
		program := spec.Programs[one.Program]
		if program == nil {
			return fmt.Errorf("cilium/ebpf finds no program `%s` to set", one.Program)
		}
		if err := one.apply(program); err != nil {
			return fmt.Errorf("program `%s`: %w", one.Program, err)
		}
	}
	for _, one := range all.Maps {
		found := mapOf(spec, one.Map)
		if found == nil {
			return fmt.Errorf("cilium/ebpf finds no map `%s` to set", one.Map)
		}
		if err := one.apply(found); err != nil {
			return fmt.Errorf("map `%s`: %w", one.Map, err)
		}
	}
	return nil
}

// The map of this name. Maps of global variables have the name of their section, which libbpf puts the object's name before:
// `opensnoo.rodata`.
func mapOf(spec *ebpf.CollectionSpec, name string) *ebpf.MapSpec {
	if found := spec.Maps[name]; found != nil {
		return found
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		return spec.Maps[name[dot:]]
	}
	return nil
}

func (one programSettings) apply(program *ebpf.ProgramSpec) error {
	if one.Type != nil {
		number, err := numberOf(programTypes, *one.Type)
		if err != nil {
			return err
		}
		program.Type = ebpf.ProgramType(number)
	}
	if one.AttachType != nil {
		number, err := numberOf(attachTypes, *one.AttachType)
		if err != nil {
			return err
		}
		program.AttachType = ebpf.AttachType(number)
	}
	if one.Target != nil {
		program.AttachTo = *one.Target
	}
	for _, name := range one.Flags {
		flag, ok := programFlags[name]
		if !ok {
			return fmt.Errorf("unknown flag `%s`", name)
		}
		program.Flags |= flag
	}
	return nil
}

func (one mapSettings) apply(outer *ebpf.MapSpec) error {
	if one.Pinning != nil {
		switch *one.Pinning {
		case "none":
			outer.Pinning = ebpf.PinNone
		case "by-name":
			outer.Pinning = ebpf.PinByName
		default:
			return fmt.Errorf("cilium/ebpf pins maps by their names alone, and not at `%s`", *one.Pinning)
		}
	}
	if err := one.Definition.apply(outer); err != nil || one.Inner == nil {
		return err
	}
	// As libbpf's: what is set is the whole definition of the maps in it.
	outer.InnerMap = new(ebpf.MapSpec)
	return one.Inner.apply(outer.InnerMap)
}

func (set definition) apply(to *ebpf.MapSpec) error {
	if set.Type != nil {
		number, err := numberOf(mapTypes, *set.Type)
		if err != nil {
			return err
		}
		to.Type = ebpf.MapType(number)
	}
	for _, one := range []struct {
		number *uint32
		field  *uint32
	}{{set.KeySize, &to.KeySize}, {set.ValueSize, &to.ValueSize}, {set.MaxEntries, &to.MaxEntries}, {set.Flags, &to.Flags}} {
		if one.number != nil {
			*one.field = *one.number
		}
	}
	return nil
}

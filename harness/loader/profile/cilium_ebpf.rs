//! What cilium/ebpf 0.22 does to an object.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::data_types::{Refused, refused_types};
use super::{CPUS, Lacks, Profile, shared};
use crate::object::btf::TypeKind;
use crate::object::{BpfObject, Inventory, ObjectTypes};
use crate::record::{MapDefinition, MapLoading};

/// Sections that libbpf does not know. The library looks for the first of its names that a section begins with.
const SECTIONS: [(&str, (&str, Option<&str>)); 7] = [
    ("classifier", ("sched_cls", None)),
    ("tc", ("sched_cls", None)),
    ("action", ("sched_act", None)),
    ("socket", ("socket_filter", None)),
    ("xdp", ("xdp", Some("xdp"))),
    ("sockops", ("sock_ops", Some("cgroup_sock_ops"))),
    ("perf_event", ("perf_event", None)),
];

pub(super) fn profile(object: &BpfObject, inventory: &Inventory) -> Profile {
    let mut profile = shared(object, inventory);
    for program in &inventory.programs {
        if program.prog_type.is_none() {
            match SECTIONS.iter().find(|(begin, _)| program.section.starts_with(begin)) {
                Some((_, types)) => profile.set_type(&program.name, *types),
                None => {
                    let words = format!("cannot load program {}: program type is unspecified", program.name);
                    profile.refused.insert(program.name.clone(), words);
                }
            }
        }
    }
    for map in &inventory.maps {
        profile.complete_map(map);
        let kind = map.map_type.as_deref().unwrap_or_default();
        // As with arrays of perf events, it sets how many entries there are.
        if kind == "cpumap" && map.max_entries != Some(CPUS) {
            let definition = MapDefinition { max_entries: Some(CPUS), ..MapDefinition::default() };
            profile.loading.maps.push(MapLoading { map: map.name.clone(), definition, ..MapLoading::default() });
        }
        let type_name = match kind {
            "hash_of_maps" => "HashOfMaps",
            _ => "ArrayOfMaps",
        };
        if kind.ends_with("_of_maps") && map.inner.is_none() {
            let words = format!("map {}: {type_name} requires InnerMap", map.name);
            profile.refuse_users(&map.name, inventory, &words);
        }
        if map.pinning > 1 {
            let words = format!("map {}: pin type {}: not supported", map.name, map.pinning);
            profile.refuse_users(&map.name, inventory, &words);
        }
    }
    for program in &inventory.programs {
        for name in program.externs.iter().filter(|name| super::is_plain_function(object, name)) {
            let words = format!("program {}: symbol \"{name}\": unsatisfied program reference", program.name);
            profile.refused.entry(program.name.clone()).or_insert(words);
            if !profile.loading.stubs.contains(name) {
                profile.loading.stubs.push(name.clone());
            }
        }
    }
    refuse_flavours(&mut profile, object, inventory);
    refuse_data(&mut profile, object, inventory);
    // Maps of `.struct_ops.link` are known to it, and those of `.struct_ops` are not.
    if inventory.struct_ops.iter().any(|map| !map.linked) {
        profile.refused_whole = Some("section \".struct_ops\": got '.struct_ops' section: not supported".to_owned());
    }
    if let Some(name) = super::weak_data(object) {
        let words = format!("load programs: {name}: unsupported binding: STB_WEAK");
        profile.refused_whole.get_or_insert(words);
    }
    // With a section of configuration values each load of an undefined symbol is taken for one of those.
    if let Some(constant) = profile.loading.constants.first().filter(|_| super::has_data_section(object, ".kconfig")) {
        let words =
            format!("load programs: relocating instruction: kconfig {} not found in .kconfig", constant.constant);
        profile.refused_whole.get_or_insert(words);
    }
    if let Some(map) = static_map(object) {
        let words =
            format!("load programs: possible erroneous static qualifier on map definition: found reference to {map}");
        profile.refused_whole.get_or_insert(words);
    }
    if let Some(map) = short_definition(object) {
        profile.refused_whole.get_or_insert(format!("load maps: map {map}: missing flags"));
    }
    if let Some(name) = typed_ksym(object) {
        let words =
            format!("load virtual .ksyms section: data section .ksyms: expected {name} to be *Void: not supported");
        profile.refused_whole.get_or_insert(words);
    }
    profile
}

/// Functions of the kernel are looked for under their whole names, `___flavour` and all. Calls of weak ones are poisoned then.
fn refuse_flavours(profile: &mut Profile, object: &BpfObject, inventory: &Inventory) {
    let Ok(file) = object::File::parse(&*object.bytes) else { return };
    for program in &inventory.programs {
        let flavours = program.externs.iter().filter(|name| name.contains("___"));
        for name in flavours.filter(|name| !super::is_plain_function(object, name)) {
            let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name.as_str()));
            if !symbol.is_some_and(|symbol| symbol.is_weak()) {
                let words = format!("program {}: fixing up kfuncs: kfunc \"{name}\": not supported", program.name);
                profile.refused.entry(program.name.clone()).or_insert(words);
            } else if !profile.loading.whole_names.contains(name) {
                profile.loading.whole_names.push(name.clone());
            }
        }
    }
}

/// The variables of each section are given to the kernel with their types, and a refusal of those fails the map.
fn refuse_data(profile: &mut Profile, object: &BpfObject, inventory: &Inventory) {
    let Some(types) = ObjectTypes::read(&object.bytes) else { return };
    for program in &inventory.programs {
        for section in &program.data {
            let words = format!("program {}: map {section}: load BTF: invalid argument", program.name);
            match refused_types(&types.btf, section) {
                Some(Refused::Always) => drop(profile.refused.entry(program.name.clone()).or_insert(words)),
                Some(Refused::Before(release)) => {
                    profile.refused_without.push((program.name.clone(), Lacks::Release(release), words));
                }
                None => {}
            }
        }
    }
}

/// A map that is a static variable and that code refers to.
fn static_map(object: &BpfObject) -> Option<String> {
    let file = object::File::parse(&*object.bytes).ok()?;
    let is_map = |symbol: &object::Symbol<'_, '_>| {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let of_maps = |name: &str| name == ".maps" || name.starts_with("maps");
        symbol.kind() == object::SymbolKind::Data
            && symbol.is_local()
            && section.is_some_and(|section| section.name().is_ok_and(of_maps))
    };
    file.symbols().find(is_map).and_then(|symbol| symbol.name().ok().map(str::to_owned))
}

/// A legacy definition of a map without flags, which the library does not take.
fn short_definition(object: &BpfObject) -> Option<String> {
    const WORDS: u64 = 5;
    let file = object::File::parse(&*object.bytes).ok()?;
    let mut maps = file.sections().filter(|section| section.name().is_ok_and(|name| name.starts_with("maps")));
    maps.find_map(|section| {
        let of_section = |symbol: &object::Symbol<'_, '_>| symbol.section_index() == Some(section.index());
        let mut symbols = file.symbols().filter(of_section).filter(|symbol| symbol.kind() == object::SymbolKind::Data);
        symbols.find(|symbol| symbol.size() < WORDS * 4).and_then(|symbol| symbol.name().ok().map(str::to_owned))
    })
}

/// A kernel variable that the object declares with a type, where the library takes `void` alone.
fn typed_ksym(object: &BpfObject) -> Option<String> {
    let types = ObjectTypes::read(&object.bytes)?;
    let is_typed = |id: u32| !matches!(types.btf.resolve(id).map(|found| &found.kind), None | Some(TypeKind::Void));
    types.btf.section_variables(".ksyms").into_iter().find(|(_, id)| is_typed(*id)).map(|(name, _)| name)
}

//! What cilium/ebpf 0.22 does to an object.

use super::{Profile, shared};
use crate::object::{BpfObject, Inventory};

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
    if !inventory.struct_ops.is_empty() {
        profile.refused_whole = Some("section \".struct_ops\": got '.struct_ops' section: not supported".to_owned());
    }
    profile
}

//! What aya 0.14 does to an object.

use super::{Lacks, Profile, shared};
use crate::object::rewrite::is_unambiguous;
use crate::object::{BpfObject, Inventory};
use crate::record::{MapDefinition, MapLoading};

/// The first parts of the names of sections that the library knows; one that it does not know fails the object.
const SECTIONS: [&str; 38] = [
    "kprobe",
    "kretprobe",
    "uprobe",
    "uprobe.s",
    "uretprobe",
    "uretprobe.s",
    "xdp",
    "xdp.frags",
    "tp_btf",
    "tracepoint",
    "tp",
    "socket",
    "sk_msg",
    "sk_skb",
    "sockops",
    "classifier",
    "cgroup_skb",
    "cgroup",
    "lirc_mode2",
    "perf_event",
    "raw_tp",
    "raw_tracepoint",
    "lsm",
    "lsm.s",
    "lsm_cgroup",
    "fentry",
    "fentry.s",
    "fexit",
    "fexit.s",
    "flow_dissector",
    "freplace",
    "sk_lookup",
    "sk_reuseport",
    "iter",
    "iter.s",
    "cgroup_sysctl",
    "cgroup_sockopt",
    "cgroup_device",
];

/// What it knows behind `cgroup/`.
const CGROUP: [&str; 21] = [
    "skb",
    "sysctl",
    "dev",
    "getsockopt",
    "setsockopt",
    "sock",
    "post_bind4",
    "post_bind6",
    "sock_create",
    "sock_release",
    "bind4",
    "bind6",
    "connect4",
    "connect6",
    "getpeername4",
    "getpeername6",
    "getsockname4",
    "getsockname6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
];
/// Map types that it creates and then has no type of its own for, with the first release of Linux that has them.
const UNSUPPORTED: [(&str, (u32, u32)); 4] =
    [("user_ringbuf", (6, 1)), ("struct_ops", (5, 6)), ("task_storage", (5, 11)), ("arena", (6, 9))];
/// Map types whose numbers it does not know, so that it creates no map at all.
const UNKNOWN: [(&str, u32); 1] = [("insn_array", 34)];
/// Maps of devices and CPUs, whose values have a program beside the number or not.
const WITH_PROGRAMS: [&str; 3] = ["cpumap", "devmap", "devmap_hash"];
const VALUES: [u32; 2] = [4, 8];

/// Sections of variables that it does not read.
const UNREAD_SECTIONS: [&str; 2] = [".ksyms", ".kconfig"];

pub(super) fn profile(object: &BpfObject, inventory: &Inventory) -> Profile {
    let mut profile = Profile { needs_all_maps: true, ..shared(object, inventory) };
    // It looks functions up that it has linked by their places alone, and links programs in the order of a hash table: what becomes of
    // others differs from run to run, so that nothing is known about them.
    profile.loading.called_programs &= is_unambiguous(&object.bytes);
    for program in &inventory.programs {
        let begin = program.section.split('/').next().unwrap_or_default();
        let second = program.section.split('/').nth(1).unwrap_or_default();
        let of_cgroup = begin != "cgroup" || CGROUP.contains(&second) || second == "recvmsg6";
        if program.optional || !SECTIONS.contains(&begin) || !of_cgroup {
            let words = format!("error parsing BPF object: invalid program section `{}`", program.section);
            profile.refused_whole.get_or_insert(words);
        }
        if program.prog_type.is_none() {
            match begin {
                "classifier" => profile.set_type(&program.name, ("sched_cls", None)),
                "socket" => profile.set_type(&program.name, ("socket_filter", None)),
                "perf_event" => profile.set_type(&program.name, ("perf_event", None)),
                _ => {}
            }
        }
    }
    if inventory.license.is_none() {
        profile.loading.license = Some("GPL".to_owned());
    }
    for map in &inventory.maps {
        profile.complete_map(map);
        let kind = map.map_type.as_deref().unwrap_or_default();
        if WITH_PROGRAMS.contains(&kind) && !VALUES.map(Some).contains(&map.value_size) {
            let definition = MapDefinition { value_size: Some(VALUES[1]), ..MapDefinition::default() };
            profile.loading.maps.push(MapLoading { map: map.name.clone(), definition, ..MapLoading::default() });
        }
        if let Some((_, number)) = UNKNOWN.iter().find(|(unknown, _)| *unknown == kind) {
            profile.refused_whole.get_or_insert(format!("map error: invalid map type {number}"));
        }
    }
    // What cannot be read has no maps that a kernel could refuse.
    let is_read = profile.refused_whole.is_none()
        && !inventory.maps.iter().any(|map| map.holds_programs)
        && !UNREAD_SECTIONS.iter().any(|section| super::has_data_section(object, section));
    // All maps are created before the first program, and aya sets no more than that.
    for map in &inventory.maps {
        let mut completed = map.clone();
        profile.loading.maps.iter().filter(|one| one.map == map.name).for_each(|one| completed.set(one));
        let kind = map.map_type.as_deref().unwrap_or_default();
        if map.holds_programs {
            let words = "error parsing BPF object: BTF error: unexpected BTF type id".to_owned();
            profile.refused_whole.get_or_insert(words);
        }
        if let Some((_, first)) = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == kind) {
            let words = format!("map error: failed to create map `{}`: Invalid argument (os error 22)", map.name);
            let lacks = |first: &(u32, u32)| Lacks::MapType { name: kind.to_owned(), first: *first };
            let all = inventory.programs.iter().map(|program| (program.name.clone(), lacks(first), words.clone()));
            profile.refused_without.extend(all.filter(|_| is_read));
            let words =
                format!("map error: type of {} is unsupported; see `EbpfLoader::allow_unsupported_maps`", map.name);
            profile.refused_whole.get_or_insert(words);
        }
        if !completed.flaws().is_empty() {
            let words = format!("map error: failed to create map `{}`: Invalid argument (os error 22)", map.name);
            profile.refused_whole.get_or_insert(words);
        }
    }
    for program in &inventory.programs {
        for name in program.externs.iter().filter(|name| super::is_plain_function(object, name)) {
            // The call stays as the compiler left it, which is a call of itself.
            let words = format!("the call of `{name}` becomes a recursive call, which the verifier rejects");
            profile.refused.entry(program.name.clone()).or_insert(words);
            if !profile.loading.stubs.contains(name) {
                profile.loading.stubs.push(name.clone());
            }
        }
    }
    if let Some(section) = super::unnameable_section(object) {
        let words = format!("map error: failed to create map `{section}`: Invalid argument (os error 22)");
        profile.refused_whole.get_or_insert(words);
    }
    for section in UNREAD_SECTIONS {
        if super::has_data_section(object, section) {
            let words = format!("BTF error: Unable to determine the size of section `{section}`");
            profile.refused_whole.get_or_insert(words);
        }
    }
    profile
}

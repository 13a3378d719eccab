//! What aya 0.14 does to an object.

use super::{Profile, shared};
use crate::object::{BpfObject, Inventory};

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

pub(super) fn profile(object: &BpfObject, inventory: &Inventory) -> Profile {
    let mut profile = shared(object, inventory);
    for program in &inventory.programs {
        let begin = program.section.split('/').next().unwrap_or_default();
        if program.optional || !SECTIONS.contains(&begin) {
            let words = format!("error parsing BPF object: invalid program section `{}`", program.section);
            profile.refused_whole.get_or_insert(words);
        }
        if program.prog_type.is_none() {
            match begin {
                "classifier" => profile.set_type(&program.name, ("sched_cls", None)),
                "socket" => profile.set_type(&program.name, ("socket_filter", None)),
                _ => {}
            }
        }
    }
    for map in &inventory.maps {
        profile.complete_map(map);
    }
    // All maps are created before the first program, and aya sets no more than that.
    for map in &inventory.maps {
        let mut completed = map.clone();
        if let Some(loading) = profile.loading.maps.iter().find(|loading| loading.map == map.name) {
            completed.set(loading);
        }
        if !completed.flaws().is_empty() {
            let words = format!("map error: failed to create map `{}`: Invalid argument (os error 22)", map.name);
            profile.refused_whole.get_or_insert(words);
        }
    }
    for section in [".ksyms", ".kconfig"] {
        if super::has_data_section(object, section) {
            let words = format!("BTF error: Unable to determine the size of section `{section}`");
            profile.refused_whole.get_or_insert(words);
        }
    }
    profile
}

use super::super::tests::outcome;
use super::super::{KernelView, UnknownKernel, judge};
use super::*;
use crate::object::{Inventory, MapInfo, StructOpsInfo};
use crate::protocol::{ProgramOutcome, Stage};

/// A kernel whose types and flags are listed.
#[derive(Default)]
struct Kernel {
    enumerators: &'static [&'static str],
    types: &'static [&'static str],
    without: &'static [&'static str],
}

impl KernelView for Kernel {
    fn has_type(&self, name: &str) -> Option<bool> {
        Some(self.types.contains(&name))
    }

    fn has_enumerator(&self, _: &str, name: &str) -> Option<bool> {
        Some(self.enumerators.contains(&name))
    }

    fn has_member(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_function(&self, _: &str) -> Option<bool> {
        None
    }

    fn config(&self, option: &str) -> Option<bool> {
        Some(!self.without.contains(&option))
    }

    fn modules_with(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

const KERNEL: Kernel = Kernel {
    enumerators: &[
        "BPF_F_NO_PREALLOC",
        "BPF_F_MMAPABLE",
        "BPF_MAP_TYPE_ARRAY",
        "BPF_MAP_TYPE_HASH",
        "BPF_MAP_TYPE_PERCPU_ARRAY",
        "BPF_MAP_TYPE_RINGBUF",
        "BPF_MAP_TYPE_TASK_STORAGE",
        "BPF_MAP_TYPE_ARRAY_OF_MAPS",
        "BPF_MAP_TYPE_XSKMAP",
        "BPF_MAP_TYPE_CPUMAP",
        "BPF_MAP_TYPE_DEVMAP",
    ],
    types: &[],
    without: &[],
};

fn map(kind: &str, (key, value, entries): (u32, u32, u32), flags: u32) -> MapInfo {
    MapInfo {
        name: "m".into(),
        map_type: Some(kind.into()),
        key_size: Some(key),
        value_size: Some(value),
        max_entries: Some(entries),
        flags,
        is_typed: true,
        ..MapInfo::default()
    }
}

fn tried(warning: &str) -> ProgramOutcome {
    let mut tried = outcome(Stage::Prepare, &[warning]);
    tried.left_out = vec![LeftOutMap { map: "m".into(), warning: warning.into(), ..LeftOutMap::default() }];
    tried
}

fn judged_on(kernel: &dyn KernelView, map: MapInfo, outcome: &ProgramOutcome) -> (Verdict, Cause, String) {
    let object = Inventory { maps: vec![map], ..Inventory::default() };
    let case = Case {
        outcome,
        log: "",
        program: None,
        object: Some(&object),
        kernel,
        memory_mib: Some(512),
        machine: None,
        by_loader: false,
        own_types: None,
        poison: &|_| None,
    };
    let diagnosis = judge(&case);
    assert_eq!(diagnosis.evidence.and_then(|evidence| evidence.subject).as_deref(), Some("m"));
    (diagnosis.verdict, diagnosis.cause.unwrap(), diagnosis.reason.unwrap())
}

fn of_errno(map: MapInfo, errno: &str) -> (Verdict, Cause, String) {
    judged_on(&KERNEL, map, &tried(&format!("map 'm': failed to create: {errno}")))
}

#[track_caller]
fn expect(judged: (Verdict, Cause, String), verdict: Verdict, cause: Cause, words: &str) {
    assert_eq!((judged.0, judged.1), (verdict, cause), "{}", judged.2);
    assert!(judged.2.contains(words), "{}", judged.2);
}

#[test]
fn type_that_the_kernel_lacks_comes_before_what_is_wrong_with_the_definition() {
    let flagless = map("cgrp_storage", (4, 4, 0), 0);
    expect(of_errno(flagless, "-EINVAL"), Verdict::MapCreationFailed, Cause::MissingMapType, "-EINVAL");
    let flagless = map("task_storage", (4, 4, 0), 0);
    let words = "`map_flags` lacks BPF_F_NO_PREALLOC";
    expect(of_errno(flagless, "-EINVAL"), Verdict::MapCreationFailed, Cause::InvalidMapDefinition, words);
}

#[test]
fn what_a_loader_sets_says_nothing_about_the_object() {
    let words = "map `m`: `max_entries` is not set; its own loader sets it";
    let unset = map("ringbuf", (0, 0, 0), 0);
    expect(of_errno(unset, "-EINVAL"), Verdict::HarnessLimit, Cause::IncompleteMapDefinition, words);
    let typed = map("ringbuf", (0, 8, 4096), 0);
    expect(of_errno(typed, "-EINVAL"), Verdict::HarnessLimit, Cause::IncompleteMapDefinition, "`value_size` is 8");
    // A kernel of which nothing is known changes nothing about that.
    let on_unknown = judged_on(&UnknownKernel, map("hash", (4, 4, 0), 0), &tried("map 'm': failed to create: -EINVAL"));
    expect(on_unknown, Verdict::HarnessLimit, Cause::IncompleteMapDefinition, "`max_entries`");
}

#[test]
fn inner_map_is_judged_by_its_own_definition() {
    let warning = "map 'm': failed to create inner map: ";
    let of_maps = |inner: MapInfo| MapInfo { inner: Some(Box::new(inner)), ..map("array_of_maps", (4, 4, 1), 0) };
    let unset = judged_on(&KERNEL, of_maps(map("array", (4, 4, 0), 0)), &tried(&format!("{warning}-EINVAL")));
    expect(unset, Verdict::HarnessLimit, Cause::IncompleteMapDefinition, "inner map of `m`: `max_entries` is not set");
    let large = judged_on(&KERNEL, of_maps(map("array", (4, 80, 1 << 26), 0)), &tried(&format!("{warning}-E2BIG")));
    expect(large, Verdict::MapCreationFailed, Cause::MapTooLarge, "inner map of `m`: it needs 5.1 GiB");
}

#[test]
fn option_that_the_kernel_lacks_is_named() {
    let overwriting = map("ringbuf", (0, 0, 4096), 1 << 19);
    let words = "`map_flags` has BPF_F_RB_OVERWRITE, which needs Linux 6.19 or later";
    expect(of_errno(overwriting, "-EINVAL"), Verdict::MapCreationFailed, Cause::UnsupportedMapOption, words);
    let nameless = map("ringbuf", (0, 0, 4096), 1 << 30);
    expect(of_errno(nameless, "-EINVAL"), Verdict::MapCreationFailed, Cause::UnsupportedMapOption, "0x40000000");
    let wide = map("devmap", (4, 8, 1), 0);
    expect(
        of_errno(wide.clone(), "-EINVAL"),
        Verdict::MapCreationFailed,
        Cause::UnsupportedMapOption,
        "needs Linux 5.8",
    );
    // Where the kernel takes it the option is not to blame.
    let newer = Kernel { types: &["bpf_devmap_val"], ..KERNEL };
    let refused = judged_on(&newer, wide, &tried("map 'm': failed to create: -EINVAL"));
    expect(refused, Verdict::MapCreationFailed, Cause::Unrecognised, "-EINVAL");
}

#[test]
fn size_is_told_with_its_limit() {
    let too_large = |map, words: &str| {
        expect(of_errno(map, "-E2BIG"), Verdict::MapCreationFailed, Cause::MapTooLarge, words);
    };
    too_large(map("array", (4, 8, 1 << 29), 0), "kernels before 5.11 limit a map to less than 4 GiB");
    too_large(map("hash", (1024, 8, 1), 0), "`key_size` is 1024");
    too_large(map("hash", (4, 8, 1 << 28), 0), "a hash map has at most");
    too_large(map("cpumap", (4, 4, 1 << 17), 0), "more than the maximum number of CPUs");
    // Older kernels try to get it.
    let per_cpu = of_errno(map("percpu_array", (4, 65536, 1), 0), "-ENOMEM");
    expect(per_cpu, Verdict::MapCreationFailed, Cause::MapTooLarge, "a per-CPU value has at most 32768 bytes");
}

#[test]
fn memory_of_the_guest_is_no_fault_of_the_object() {
    let judged = of_errno(map("hash", (4, 56, 1 << 24), 0), "-ENOMEM");
    let words = "it needs 2.1 GiB, all maps of the object need 2.1 GiB, and the guest has 512 MiB";
    expect(judged, Verdict::HarnessLimit, Cause::GuestMemory, words);
    expect(of_errno(map("hash", (4, 4, 1), 0), "-EPERM"), Verdict::HarnessError, Cause::Harness, "-EPERM");
}

#[test]
fn map_that_nobody_tried_is_judged_by_what_is_known() {
    let untried = |kernel: &dyn KernelView, map| {
        let mut tried = tried("map `m` needs 16 GiB, but a guest can have at most 12 GiB here");
        tried.left_out[0].untried = true;
        judged_on(kernel, map, &tried)
    };
    let large = || map("array", (4, 1 << 14, 1 << 20), 0);
    expect(
        untried(&KERNEL, large()),
        Verdict::HarnessLimit,
        Cause::GuestMemory,
        "a guest can have at most 12 GiB here",
    );
    let old = Kernel { types: &["bpf_map_memory"], ..KERNEL };
    expect(untried(&old, large()), Verdict::MapCreationFailed, Cause::MapTooLarge, "kernels before 5.11");
    let wrong = map("array", (8, 1 << 14, 1 << 20), 0);
    expect(untried(&KERNEL, wrong), Verdict::MapCreationFailed, Cause::InvalidMapDefinition, "`key_size` is 8");
}

#[test]
fn what_the_kernel_is_built_without_is_named() {
    let sound = || map("xskmap", (4, 4, 1), 0);
    let without = Kernel { without: &["CONFIG_XDP_SOCKETS"], ..KERNEL };
    let judged = judged_on(&without, sound(), &tried("map 'm': failed to create: -EINVAL"));
    expect(judged, Verdict::MapCreationFailed, Cause::KernelConfigMissing, "CONFIG_XDP_SOCKETS");
    expect(of_errno(sound(), "-EINVAL"), Verdict::MapCreationFailed, Cause::Unrecognised, "-EINVAL");
}

#[test]
fn other_lines_of_libbpf_tell_why() {
    let with = |line: &str| {
        let mut tried = tried("map 'm': failed to create: -EINVAL");
        tried.left_out[0].context = vec![line.to_owned()];
        judged_on(&KERNEL, map("task_storage", (4, 4, 0), 1), &tried)
    };
    let no_btf = with("Error loading .BTF into kernel: -EINVAL. BTF is optional, ignoring.");
    expect(no_btf, Verdict::MapCreationFailed, Cause::MapWithoutBtf, "rejected the BTF of the object");
    let pinned = with("couldn't reuse pinned map at '/sys/fs/bpf/m': parameter mismatch");
    expect(pinned, Verdict::HarnessError, Cause::Harness, "parameter mismatch");
}

#[test]
fn link_that_the_kernel_lacks_is_told_of_its_programs() {
    let mut tried =
        outcome(Stage::Load, &["struct_ops program 'p' isn't referenced anywhere, did you forget to use it?"]);
    let warning = "map 'ops': failed to create: -EINVAL";
    tried.left_out = vec![LeftOutMap { map: "ops".into(), warning: warning.into(), ..LeftOutMap::default() }];
    let judged = |linked, kernel: &dyn KernelView| {
        let struct_ops = vec![StructOpsInfo { name: "ops".into(), type_name: "tcp_congestion_ops".into(), linked }];
        let object = Inventory { struct_ops, ..Inventory::default() };
        let case = Case {
            outcome: &tried,
            log: "",
            program: None,
            object: Some(&object),
            kernel,
            memory_mib: Some(512),
            machine: None,
            by_loader: false,
            own_types: None,
            poison: &|_| None,
        };
        let diagnosis = judge(&case);
        (diagnosis.verdict, diagnosis.cause.unwrap(), diagnosis.reason.unwrap())
    };
    let words = "BPF_F_LINK, which needs Linux 6.4 or later";
    expect(judged(true, &KERNEL), Verdict::MapCreationFailed, Cause::UnsupportedMapOption, words);
    let newer = Kernel { enumerators: &["BPF_F_NO_PREALLOC", "BPF_F_LINK"], ..KERNEL };
    assert_ne!(judged(true, &newer).1, Cause::UnsupportedMapOption);
    assert_ne!(judged(false, &KERNEL).1, Cause::UnsupportedMapOption);
}

#[test]
fn slots_that_do_not_fit_the_inner_map_are_the_objects_fault() {
    let warning = "map 'm': failed to initialize slot [0] to map 'x' fd=5: -EINVAL";
    let object = Inventory { maps: vec![map("array_of_maps", (4, 4, 1), 0)], ..Inventory::default() };
    let outcome = outcome(Stage::Prepare, &[warning, "map 'm': failed to create: -EINVAL"]);
    let case = Case {
        outcome: &outcome,
        log: "",
        program: None,
        object: Some(&object),
        kernel: &KERNEL,
        memory_mib: None,
        machine: None,
        by_loader: false,
        own_types: None,
        poison: &|_| None,
    };
    assert_eq!(judge(&case).cause, Some(Cause::InvalidMapDefinition));
}

#[test]
fn insn_array_that_nothing_has_filled_is_its_loaders_business() {
    let log = "Failed to properly initialize insn array\nprocessed 0 insns (limit 1000000)\n";
    let refused = outcome(Stage::Load, &["prog 'p': BPF program load failed: -EINVAL"]);
    let judged = |kind: &str, maps: &[&str]| {
        let object = Inventory { maps: vec![map(kind, (4, 16, 2), 0)], ..Inventory::default() };
        let mut program = crate::judge::form::tests::program("socket", "socket_filter", "");
        program.maps = maps.iter().map(|map| (*map).to_owned()).collect();
        let diagnosis = judge(&Case {
            outcome: &refused,
            log,
            program: Some(&program),
            object: Some(&object),
            kernel: &UnknownKernel,
            memory_mib: None,
            machine: None,
            by_loader: false,
            own_types: None,
            poison: &|_| None,
        });
        (diagnosis.verdict, diagnosis.cause.unwrap(), diagnosis.reason.unwrap())
    };
    let (verdict, cause, reason) = judged("insn_array", &["m"]);
    assert_eq!((verdict, cause), (Verdict::HarnessLimit, Cause::NeedsLoader));
    assert!(reason.starts_with("map `m`: ") && reason.contains("Failed to properly initialize"), "{reason}");
    // A jump table is libbpf's own.
    assert_eq!(judged("array", &["m"]).1, Cause::Unrecognised);
    assert_eq!(judged("insn_array", &[]).1, Cause::Unrecognised);
}

//! [`proposed`]: which programs of an object look like several ways to one thing, judged by their sections and names.
//!
//! Two programs are ways to one thing if they hook the same place by different means: `fentry/X` and `kprobe/X`, `tp_btf/X` and
//! `raw_tp/X`, or places whose names differ only as kernels rename them: `__X` and `X`. Programs with the same section are not: they
//! run side by side. Neither are those whose names differ in more than the means.

use std::collections::BTreeMap;

use crate::record::{Alternative, AlternativeKind, AlternativesRecord, ObjectProgram};

/// Words in programs' names that name the means and nothing else.
const MEANS: [&str; 14] = [
    "fentry",
    "fexit",
    "kprobe",
    "kretprobe",
    "kp",
    "krp",
    "tp",
    "btf",
    "raw",
    "rawtp",
    "tracepoint",
    "handle",
    "bpf",
    "prog",
];

/// Where a program hooks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hook {
    /// Equal for all ways to one thing.
    place: String,
    /// The less, the better: cheaper, and with types.
    rank: usize,
}

impl Hook {
    fn of(section: &str) -> Option<Hook> {
        let (means, target) = section.split_once('/')?;
        // Options behind the target, as of `kprobe/X+0x10`, make it another place.
        let plain = || target.trim_start_matches('_').to_owned();
        let call = |target: &str| target.trim_start_matches("__x64_").trim_start_matches("sys_").to_owned();
        let (kind, rank, name) = match means.trim_end_matches(".s").trim_end_matches(".multi") {
            "fentry" => ("entry", 0, plain()),
            "kprobe" if target.contains("sys_") => ("sys_enter", 1, call(target)),
            "kprobe" => ("entry", 1, plain()),
            "fexit" => ("exit", 0, plain()),
            "kretprobe" if target.contains("sys_") => ("sys_exit", 1, call(target)),
            "kretprobe" => ("exit", 1, plain()),
            "ksyscall" => ("sys_enter", 0, target.to_owned()),
            "kretsyscall" => ("sys_exit", 0, target.to_owned()),
            "tp_btf" => ("event", 0, target.to_owned()),
            "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w" => ("event", 1, target.to_owned()),
            "tp" | "tracepoint" => match target.rsplit_once('/')? {
                ("syscalls", name) if name.starts_with("sys_enter_") => {
                    ("sys_enter", 2, name.trim_start_matches("sys_enter_").to_owned())
                }
                ("syscalls", name) if name.starts_with("sys_exit_") => {
                    ("sys_exit", 2, name.trim_start_matches("sys_exit_").to_owned())
                }
                (_, name) => ("event", 2, name.to_owned()),
            },
            _ => return None,
        };
        Some(Hook { place: format!("{kind} {name}"), rank })
    }
}

/// A program's name without the words for its means.
fn purpose(name: &str) -> Vec<&str> {
    let words = name.split('_').filter(|word| !word.is_empty() && !MEANS.contains(word));
    words.collect()
}

/// Whether one of two names says no more than the other: `vfs_read` and `vfs_read_entry`.
fn same_purpose(one: &str, other: &str) -> bool {
    let (one, other) = (purpose(one), purpose(other));
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    short.iter().all(|word| long.contains(word))
}

/// The groups of one object, each with the best means first.
pub fn proposed(object: &str, programs: &[ObjectProgram]) -> Vec<AlternativesRecord> {
    let mut places: BTreeMap<String, Vec<(usize, &ObjectProgram)>> = BTreeMap::new();
    for program in programs {
        if let Some(Hook { place, rank }) = Hook::of(&program.section) {
            places.entry(place).or_default().push((rank, program));
        }
    }
    let mut groups = Vec::new();
    for (place, mut members) in places {
        members.sort_by_key(|(rank, _)| *rank);
        let differ = |index: usize, one: &ObjectProgram| {
            members[index + 1..]
                .iter()
                .all(|(_, other)| one.section != other.section && same_purpose(&one.name, &other.name))
        };
        let are_ways = members.iter().enumerate().all(|(index, (_, one))| differ(index, one));
        if members.len() < 2 || !are_ways {
            continue;
        }
        let member = |(_, program): &(usize, &ObjectProgram)| Alternative {
            object: object.to_owned(),
            name: Some(program.name.clone()),
        };
        groups.push(AlternativesRecord {
            name: format!("{object}: {place}"),
            kind: AlternativeKind::Programs,
            declared: false,
            members: members.iter().map(member).collect(),
        });
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(programs: &[(&str, &str)]) -> String {
        let program =
            |(name, section): &(&str, &str)| ObjectProgram { name: (*name).into(), section: (*section).into() };
        let found = proposed("o", &programs.iter().map(program).collect::<Vec<_>>());
        let found = found.iter().map(|group| {
            let names: Vec<&str> = group.members.iter().map(Alternative::label).collect();
            format!("{}: {}", group.name, names.join(", "))
        });
        found.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn ways_to_one_place_are_proposed() {
        let groups = groups(&[
            ("kprobe_vfs_read", "kprobe/vfs_read"),
            ("fentry_vfs_read", "fentry/vfs_read"),
            ("handle_sched_wakeup", "raw_tp/sched_wakeup"),
            ("sched_wakeup", "tp_btf/sched_wakeup"),
            ("blk_account_io_start", "fentry/blk_account_io_start"),
            ("__blk_account_io_start", "fentry/__blk_account_io_start"),
            ("open_exit", "kretsyscall/openat"),
            ("tracepoint__syscalls__sys_exit_openat", "tracepoint/syscalls/sys_exit_openat"),
        ]);
        insta::assert_snapshot!(groups, @r"
        o: entry blk_account_io_start: blk_account_io_start, __blk_account_io_start
        o: entry vfs_read: fentry_vfs_read, kprobe_vfs_read
        o: event sched_wakeup: sched_wakeup, handle_sched_wakeup
        ");
    }

    #[test]
    fn programs_side_by_side_are_not() {
        for programs in [
            // The same hook by the same means, entry and exit, other places, other purposes, no place at all.
            [("naive", "fentry/vfs_read"), ("guarded", "fentry/vfs_read")],
            [("vfs_read", "fentry/vfs_read"), ("vfs_read_exit", "fexit/vfs_read")],
            [("vfs_read", "fentry/vfs_read"), ("vfs_write", "kprobe/vfs_write")],
            [("count_reads", "fentry/vfs_read"), ("check_file", "kprobe/vfs_read")],
            [("one", "xdp"), ("other", "tc")],
        ] {
            assert_eq!(groups(&programs), "");
        }
    }
}

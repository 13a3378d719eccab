//! [`leftover`]: what an object has left behind in a guest, by what the guest is like before and after it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::residue::{BpfKind, GuestState, MemoryState};

/// KiB that a guest may have less than in the beginning. The kernel keeps what it will need again; measured over ten objects, that was
/// 3 MiB at most.
const MEMORY_SLACK: u64 = 16 << 10;

/// The first thing that is not as it was, as a lowercase fragment; `None` if the guest is clean.
pub(super) fn leftover(before: &GuestState, after: &GuestState) -> Option<String> {
    let GuestState { bpf, processes, folders, files, memory } = before;
    bpf_left(bpf, &after.bpf)
        .or_else(|| {
            let (number, name) = after.processes.iter().find(|process| !processes.contains_key(process.0))?;
            Some(format!("process {number} (`{name}`) is left"))
        })
        .or_else(|| changed_folder(folders, &after.folders))
        .or_else(|| changed_file(files, &after.files))
        .or_else(|| memory_left(memory, &after.memory))
}

fn bpf_left(
    before: &BTreeMap<BpfKind, Option<Vec<u32>>>,
    after: &BTreeMap<BpfKind, Option<Vec<u32>>>,
) -> Option<String> {
    let kinds: BTreeSet<&BpfKind> = before.keys().chain(after.keys()).collect();
    kinds.into_iter().find_map(|kind| {
        let word = match kind {
            BpfKind::Program => "program",
            BpfKind::Map => "map",
            BpfKind::Btf => "BTF",
            BpfKind::Link => "link",
        };
        match (before.get(kind), after.get(kind)) {
            (Some(Some(before)), Some(Some(after))) => {
                let left = after.iter().find(|id| !before.contains(id)).map(|id| format!("BPF {word} {id} is left"));
                left.or_else(|| {
                    let gone = before.iter().find(|id| !after.contains(id))?;
                    Some(format!("BPF {word} {gone} is gone"))
                })
            }
            // An old kernel knows no links.
            (Some(None), Some(None)) if *kind == BpfKind::Link => None,
            _ => Some(format!("which BPF {word}s are left is unknown")),
        }
    })
}

fn changed_folder(before: &BTreeMap<String, Vec<String>>, after: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let (folder, names) = all.into_iter().find_map(|folder| {
        let (old, new) = (before.get(folder), after.get(folder));
        (old != new).then(|| (folder, [old, new].map(|names| names.map_or(&[][..], Vec::as_slice))))
    })?;
    let [old, new] = names;
    let name = new.iter().find(|name| !old.contains(name)).or_else(|| old.iter().find(|name| !new.contains(name)));
    Some(match name {
        Some(name) => format!("`{}/{name}` was not there before or is missing now", folder.trim_end_matches('/')),
        None => format!("`{folder}` is not as it was"),
    })
}

fn changed_file(before: &BTreeMap<String, Option<String>>, after: &BTreeMap<String, Option<String>>) -> Option<String> {
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let file = all.into_iter().find(|file| before.get(*file) != after.get(*file))?;
    Some(format!("`{file}` is not as it was"))
}

fn memory_left(before: &MemoryState, after: &MemoryState) -> Option<String> {
    let amounts = [
        ("less memory is available", after.available, before.available),
        ("slabs hold more memory", before.slab, after.slab),
        ("the kernel maps more memory", before.vmalloc, after.vmalloc),
        ("values of processors take more memory", before.percpu, after.percpu),
    ];
    let (what, low, high) = amounts.into_iter().find(|(_, low, high)| high.saturating_sub(*low) > MEMORY_SLACK)?;
    Some(format!("{what}: {} KiB", high - low))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state() -> GuestState {
        let ids = |ids: &[u32]| Some(ids.to_vec());
        GuestState {
            bpf: [
                (BpfKind::Program, ids(&[])),
                (BpfKind::Map, ids(&[3])),
                (BpfKind::Btf, ids(&[1])),
                (BpfKind::Link, None),
            ]
            .into(),
            processes: BTreeMap::new(),
            folders: [("/tmp".to_owned(), Vec::new()), ("/sys/fs/bpf".to_owned(), vec!["a".to_owned()])].into(),
            files: [("/proc/x".to_owned(), Some("0".to_owned())), ("/proc/y".to_owned(), None)].into(),
            memory: MemoryState { available: 400_000, slab: 9000, vmalloc: 100, percpu: 500 },
        }
    }

    /// What is said of a guest that was changed so.
    fn after(change: impl FnOnce(&mut GuestState)) -> Option<String> {
        let mut changed = state();
        change(&mut changed);
        leftover(&state(), &changed)
    }

    #[test]
    fn guest_that_is_as_it_was_is_clean() {
        assert_eq!(after(|_| ()), None);
        assert_eq!(after(|state| state.memory.available -= MEMORY_SLACK), None);
        assert_eq!(after(|state| state.memory.available += 100_000), None);
    }

    #[test]
    fn everything_that_is_left_or_gone_is_found() {
        let put = |kind, ids: Option<Vec<u32>>| after(|state| drop(state.bpf.insert(kind, ids))).unwrap();
        assert_eq!(put(BpfKind::Program, Some(vec![7])), "BPF program 7 is left");
        assert_eq!(put(BpfKind::Map, Some(vec![3, 8])), "BPF map 8 is left");
        assert_eq!(put(BpfKind::Map, Some(Vec::new())), "BPF map 3 is gone");
        assert_eq!(put(BpfKind::Btf, None), "which BPF BTFs are left is unknown");
        assert_eq!(put(BpfKind::Link, Some(vec![1])), "which BPF links are left is unknown");
        assert_eq!(after(|state| drop(state.processes.insert(9, "x".to_owned()))).unwrap(), "process 9 (`x`) is left");
        let pinned = after(|state| state.folders.get_mut("/sys/fs/bpf").unwrap().push("m".to_owned())).unwrap();
        assert!(pinned.starts_with("`/sys/fs/bpf/m` was not there"), "{pinned}");
        let gone = after(|state| drop(state.folders.remove("/sys/fs/bpf"))).unwrap();
        assert!(gone.starts_with("`/sys/fs/bpf/a`"), "{gone}");
        assert!(after(|state| drop(state.folders.remove("/tmp"))).is_some());
        for file in ["/proc/x", "/proc/y", "/proc/z"] {
            let said = after(|state| drop(state.files.insert(file.to_owned(), Some("1".to_owned())))).unwrap();
            assert_eq!(said, format!("`{file}` is not as it was"));
        }
        for memory in [
            MemoryState { available: 300_000, ..state().memory },
            MemoryState { slab: 90_000, ..state().memory },
            MemoryState { vmalloc: 90_000, ..state().memory },
            MemoryState { percpu: 90_000, ..state().memory },
        ] {
            assert!(after(|state| state.memory = memory).unwrap().ends_with(" KiB"));
        }
    }
}

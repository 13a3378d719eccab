//! [`look`]: reads what objects may leave behind. All of it is read by the same few system calls each time, and nothing of it is decided here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use libbpf_rs::libbpf_sys as sys;

use corematrix_protocol::checksum;
use corematrix_protocol::residue::{BpfKind, GuestState, MemoryState};

/// What the kernel gives numbers to, and how it shows the next one.
const KINDS: [(BpfKind, unsafe extern "C" fn(u32, *mut u32) -> i32); 4] = [
    (BpfKind::Program, sys::bpf_prog_get_next_id),
    (BpfKind::Map, sys::bpf_map_get_next_id),
    (BpfKind::Btf, sys::bpf_btf_get_next_id),
    (BpfKind::Link, sys::bpf_link_get_next_id),
];

/// Directories in which nothing is to appear.
const FOLDERS: [&str; 9] =
    ["/", "/corematrix", "/dev", "/proc/self/fd", "/run", "/sys/class/net", "/sys/fs/bpf", "/sys/fs/cgroup", "/tmp"];

/// Files that are to stay as they are: what is mounted, what the first process may do, what is traced, and settings that verdicts depend
/// on.
const FILES: [&str; 17] = [
    "/proc/self/mountinfo",
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/proc/sys/kernel/bpf_stats_enabled",
    "/proc/sys/kernel/kptr_restrict",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/kernel/tainted",
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/net/core/bpf_jit_enable",
    "/proc/sys/net/core/bpf_jit_harden",
    "/proc/sys/net/core/bpf_jit_kallsyms",
    "/proc/sys/net/core/bpf_jit_limit",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/sys/kernel/security/lockdown",
    "/sys/kernel/tracing/kprobe_events",
    "/sys/kernel/tracing/uprobe_events",
    "/sys/module",
];

/// More numbers of one kind, or names in one directory, are not reported. They would be no state to go on from anyway.
const MOST: usize = 4096;
/// Longer content is sent as its checksum.
const LONG: usize = 256;
/// The kernel's own threads are children of this one.
const KERNEL_THREADS: &str = "2";

/// What is there now.
pub fn look() -> GuestState {
    GuestState {
        bpf: KINDS.iter().map(|(kind, next)| (*kind, ids(*next))).collect(),
        processes: processes(),
        folders: FOLDERS.iter().map(|folder| ((*folder).to_owned(), names(Path::new(folder)))).collect(),
        files: FILES.iter().map(|file| ((*file).to_owned(), content(Path::new(file)))).collect(),
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
    }
}

/// The numbers in use; `None` where the kernel does not say.
fn ids(next: unsafe extern "C" fn(u32, *mut u32) -> i32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let mut id = 0;
    while found.len() < MOST {
        // SAFETY: `id` is valid for the call, which writes one number there.
        match unsafe { next(id, &raw mut id) } {
            0 => found.push(id),
            _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) => return Some(found),
            _ => return None,
        }
    }
    Some(found)
}

/// What of user space runs beside this process.
fn processes() -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    for id in names(Path::new("/proc")).iter().filter_map(|name| name.parse::<u32>().ok()).filter(|id| *id > 2) {
        // One that is gone by now is none.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        if let Some((name, parent)) = name_and_parent(&stat)
            && parent != KERNEL_THREADS
        {
            found.insert(id, name.to_owned());
        }
    }
    found
}

/// Of `8 (name) S 2 ...`. The name may have anything in it.
fn name_and_parent(stat: &str) -> Option<(&str, &str)> {
    let (before, after) = stat.rsplit_once(')')?;
    Some((before.split_once('(')?.1, after.split_whitespace().nth(1)?))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.take(MOST).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Of a directory, its names.
fn content(file: &Path) -> Option<String> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => names(file).join("\n").into_bytes(),
        read => read.ok()?,
    };
    match bytes.len() > LONG {
        true => checksum(bytes.as_slice()).ok(),
        false => Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
    }
}

fn memory(meminfo: &str) -> MemoryState {
    let kib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    };
    MemoryState {
        available: kib("MemAvailable"),
        slab: kib("Slab"),
        vmalloc: kib("VmallocUsed"),
        percpu: kib("Percpu"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_read_whatever_their_names() {
        assert_eq!(name_and_parent("8 (a (b) c) S 1 8 8 0"), Some(("a (b) c", "1")));
        assert_eq!(name_and_parent("8 (kworker/0:1) I 2 0"), Some(("kworker/0:1", KERNEL_THREADS)));
        assert_eq!(name_and_parent("nonsense"), None);
    }

    #[test]
    fn memory_is_read_by_its_names() {
        let text = "MemFree:  1 kB\nMemAvailable:  400012 kB\nSlab:   9000 kB\nVmallocUsed:  77 kB\nPercpu:  512 kB\n";
        let expected = MemoryState { available: 400_012, slab: 9000, vmalloc: 77, percpu: 512 };
        assert_eq!(memory(text), expected);
        assert_eq!(memory(""), MemoryState::default());
    }

    #[test]
    fn content_that_is_long_is_told_by_its_checksum() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "short\n").expect("writes");
        assert_eq!(content(&file).as_deref(), Some("short"));
        fs::write(&file, vec![b'x'; LONG + 1]).expect("writes");
        let sum = content(&file).expect("is there");
        assert!(sum.len() < LONG && !sum.contains('x'));
        assert_eq!((content(folder.path()).as_deref(), content(Path::new("/no/such/file"))), (Some("file"), None));
    }
}

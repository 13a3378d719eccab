//! [`look`]: reads what is active in the guest off its own file systems. Nothing here takes time: of long lists only the start is read.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use object::Endianness;
use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::NoteIterator;
use rustix::system::uname;

use corematrix_protocol::facts::{KernelFacts, TracingFacts, build_id_text};

const TRACEFS: &str = "/sys/kernel/tracing";
/// Of `statfs`, for a mounted BPF file system.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// What is active in the guest.
pub fn look() -> KernelFacts {
    let name = uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    KernelFacts {
        release: text(name.release()),
        version: text(name.version()),
        machine: text(name.machine()),
        build_id: fs::read("/sys/kernel/notes").ok().and_then(|notes| build_id(&notes)),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        config_gz: Path::new("/proc/config.gz").exists(),
        lsm: line("/sys/kernel/security/lsm").map(|names| names.split(',').map(str::to_owned).collect()),
        lockdown: line("/sys/kernel/security/lockdown").and_then(|modes| chosen(&modes)),
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        jit_harden: number("/proc/sys/net/core/bpf_jit_harden"),
        unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
        perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        tracing: tracing(Path::new(TRACEFS)),
        bpffs: rustix::fs::statfs("/sys/fs/bpf").is_ok_and(|found| u64::try_from(found.f_type) == Ok(BPF_FS_MAGIC)),
        cgroup2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        page_size: rustix::param::page_size() as u64,
        cpus: std::thread::available_parallelism().map_or(0, |count| count.get() as u64),
    }
}

fn tracing(tracefs: &Path) -> TracingFacts {
    let has = |name: &str| tracefs.join(name).exists();
    let mut first = [0];
    // All of it would be tens of thousands of names.
    let functions = File::open(tracefs.join("available_filter_functions"))
        .is_ok_and(|mut list| list.read(&mut first).is_ok_and(|length| length > 0));
    TracingFacts {
        tracefs: has("events"),
        kprobes: has("kprobe_events"),
        uprobes: has("uprobe_events"),
        functions,
        syscalls: has("events/syscalls"),
    }
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number<T: FromStr>(path: &str) -> Option<T> {
    line(path)?.parse().ok()
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// The GNU build id among ELF notes, in hex.
fn build_id(notes: &[u8]) -> Option<String> {
    let endian = Endianness::default();
    let mut notes = NoteIterator::<FileHeader64<Endianness>>::new(endian, 4, notes).ok()?;
    while let Ok(Some(note)) = notes.next() {
        if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
            return Some(build_id_text(note.desc()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_in_force_stands_in_brackets() {
        assert_eq!(chosen("none [integrity] confidentiality").as_deref(), Some("integrity"));
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn build_id_is_found_among_other_notes() {
        let mut notes = b"\x06\0\0\0\x04\0\0\0\0\x01\0\0Linux\0\0\0\x01\x02\x03\x04".to_vec();
        assert_eq!(build_id(&notes), None);
        notes.extend(b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\x01\0\0");
        assert_eq!(build_id(&notes).as_deref(), Some("ab01"));
        for end in 0..notes.len() {
            let _ = build_id(&notes[..end]);
        }
    }
}

//! [`resolve`]: the file that a probe in user space is for, looked up as libbpf 1.7 does (`resolve_full_path`).

use std::env;
use std::path::{Path, PathBuf};

/// Where libbpf looks for libraries behind `LD_LIBRARY_PATH`. Debian's folder of the architecture is the last.
const LIBRARIES: &str = "/usr/lib64:/usr/lib:/lib/x86_64-linux-gnu";
/// Where libbpf looks for executables behind `PATH`.
const EXECUTABLES: &str = "/usr/bin:/usr/sbin";

/// The file, if the guest has it. A name without `/` is searched for; `archive!/member` is a member of a zip file.
pub fn resolve(binary: &str) -> Option<PathBuf> {
    if let Some((archive, _)) = binary.split_once("!/") {
        return Some(PathBuf::from(archive)).filter(|path| path.exists());
    }
    if binary.contains('/') {
        return Some(PathBuf::from(binary)).filter(|path| path.exists());
    }
    let is_library = binary.ends_with(".so") || binary.contains(".so.");
    let (variable, folders) = if is_library { ("LD_LIBRARY_PATH", LIBRARIES) } else { ("PATH", EXECUTABLES) };
    let own = env::var(variable).unwrap_or_default();
    search(binary, &[&own, folders])
}

fn search(file: &str, lists: &[&str]) -> Option<PathBuf> {
    let folders = lists.iter().flat_map(|list| list.split(':')).filter(|folder| !folder.is_empty());
    folders.map(|folder| Path::new(folder).join(file)).find(|path| path.exists())
}

/// What a section such as `uprobe/libc.so.6:malloc+0x8` or `usdt/libc.so.6:libc:setjmp` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InBinary<'a> {
    /// The file, as the section writes it.
    pub binary: &'a str,
    /// What in it: a function, a pattern of functions, a provider with a probe; empty if the section does not say.
    pub what: &'a str,
    /// Whether it is a USDT probe.
    pub usdt: bool,
}

impl<'a> InBinary<'a> {
    /// Reads a section; `None` if it is not about user space or names no file.
    pub fn of(section: &'a str) -> Option<InBinary<'a>> {
        let (kind, rest) = section.split_once('/')?;
        let usdt = kind.starts_with("usdt");
        if !usdt && !kind.starts_with("uprobe") && !kind.starts_with("uretprobe") {
            return None;
        }
        let (binary, what) = rest.split_once(':').unwrap_or((rest, ""));
        // What is behind the `+` of a function is an offset in it.
        let what = if usdt { what } else { what.rsplit_once('+').map_or(what, |(name, _)| name) };
        Some(InBinary { binary, what, usdt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_libbpf_reads_them() {
        let of = |section| InBinary::of(section).map(|one| (one.binary, one.what, one.usdt));
        assert_eq!(of("uprobe//bin/sh:main+0x10"), Some(("/bin/sh", "main", false)));
        assert_eq!(of("uretprobe.s/libc.so.6:malloc"), Some(("libc.so.6", "malloc", false)));
        assert_eq!(of("uprobe.multi/libc.so.6:*alloc*"), Some(("libc.so.6", "*alloc*", false)));
        assert_eq!(of("usdt/libc.so.6:libc:setjmp"), Some(("libc.so.6", "libc:setjmp", true)));
        assert_eq!(of("uprobe/sh"), Some(("sh", "", false)));
        assert_eq!((of("uprobe"), of("kprobe/vfs_read")), (None, None));
    }

    #[test]
    fn names_without_a_slash_are_searched_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().to_str().expect("a path").to_owned();
        std::fs::write(folder.path().join("libodd.so.6"), "").expect("a file");
        let lists = format!("/nowhere::{place}");
        assert_eq!(search("libodd.so.6", &["", &lists]), Some(folder.path().join("libodd.so.6")));
        assert_eq!(search("libodd.so.7", &["", &lists]), None);
        let archive = format!("{place}/libodd.so.6!/lib/member.so");
        assert_eq!(resolve(&archive), Some(folder.path().join("libodd.so.6")));
        assert_eq!(resolve("/no/such/file"), None);
    }
}

//! [`InBinary`]: what a section says of a probe in user space, and where libbpf 1.7 looks for the binary.

/// Where libbpf looks for libraries behind `LD_LIBRARY_PATH`. Debian's directory of the architecture is the last.
pub const LIBRARIES: &str = "/usr/lib64:/usr/lib:/lib/x86_64-linux-gnu";
/// Where libbpf looks for executables behind `PATH`.
pub const EXECUTABLES: &str = "/usr/bin:/usr/sbin";
/// The shell of a guest, if it has one.
pub const SHELL: &str = "/bin/sh";

/// Whether libbpf takes a name for that of a library.
pub fn is_library(binary: &str) -> bool {
    binary.ends_with(".so") || binary.contains(".so.")
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
}

//! [`MapFlag`]: the flags of `BPF_MAP_CREATE`.

use std::fmt::Write as _;

/// A flag of `BPF_MAP_CREATE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapFlag {
    /// Its bit.
    pub bit: u32,
    /// Its name in the kernel's UAPI.
    pub name: &'static str,
    /// The first kernel that has it.
    pub since: &'static str,
}

const fn flag(bit: u32, name: &'static str, since: &'static str) -> MapFlag {
    MapFlag { bit: 1 << bit, name, since }
}

/// The flags that a map's definition may have. The others of `BPF_MAP_CREATE` are libbpf's own.
pub const MAP_FLAGS: [MapFlag; 17] = [
    flag(0, "BPF_F_NO_PREALLOC", "4.6"),
    flag(1, "BPF_F_NO_COMMON_LRU", "4.10"),
    flag(2, "BPF_F_NUMA_NODE", "4.14"),
    flag(3, "BPF_F_RDONLY", "4.15"),
    flag(4, "BPF_F_WRONLY", "4.15"),
    flag(5, "BPF_F_STACK_BUILD_ID", "4.17"),
    flag(6, "BPF_F_ZERO_SEED", "5.0"),
    flag(7, "BPF_F_RDONLY_PROG", "5.2"),
    flag(8, "BPF_F_WRONLY_PROG", "5.2"),
    flag(9, "BPF_F_CLONE", "5.4"),
    flag(10, "BPF_F_MMAPABLE", "5.5"),
    flag(11, "BPF_F_PRESERVE_ELEMS", "5.10"),
    flag(12, "BPF_F_INNER_MAP", "5.10"),
    flag(13, "BPF_F_LINK", "6.4"),
    flag(17, "BPF_F_SEGV_ON_FAULT", "6.9"),
    flag(18, "BPF_F_NO_USER_CONV", "6.9"),
    flag(19, "BPF_F_RB_OVERWRITE", "6.19"),
];

pub(super) const NO_PREALLOC: u32 = 1;
pub(super) const NO_COMMON_LRU: u32 = 1 << 1;
pub(super) const NUMA_NODE: u32 = 1 << 2;
pub(super) const RDONLY: u32 = 1 << 3;
pub(super) const WRONLY: u32 = 1 << 4;
pub(super) const BUILD_ID: u32 = 1 << 5;
pub(super) const ZERO_SEED: u32 = 1 << 6;
pub(super) const RDONLY_PROG: u32 = 1 << 7;
pub(super) const WRONLY_PROG: u32 = 1 << 8;
pub(super) const CLONE: u32 = 1 << 9;
pub(super) const MMAPABLE: u32 = 1 << 10;
pub(super) const PRESERVE: u32 = 1 << 11;
pub(super) const INNER_MAP: u32 = 1 << 12;
pub(super) const SEGV_ON_FAULT: u32 = 1 << 17;
pub(super) const NO_USER_CONV: u32 = 1 << 18;
pub(super) const RB_OVERWRITE: u32 = 1 << 19;
pub(super) const FILE: u32 = RDONLY | WRONLY;
pub(super) const ACCESS: u32 = FILE | RDONLY_PROG | WRONLY_PROG;

/// The flags by their names, as C writes them.
pub(super) fn flag_names(flags: u32) -> String {
    let mut text = String::new();
    for flag in MAP_FLAGS.iter().filter(|flag| flags & flag.bit != 0) {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { " | " }, flag.name);
    }
    text
}

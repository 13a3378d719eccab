//! [`GuestState`]: what objects may leave behind in a guest. Read before and after an object, it shows whether the object did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What of a guest an object may have changed. Each part is read the same way every time, so that two of them can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestState {
    /// Numbers of all BPF programs, maps, links and BTFs in the kernel; `None` where the kernel does not say.
    pub bpf: BTreeMap<BpfKind, Option<Vec<u32>>>,
    /// Processes of user space but for the first, by their numbers.
    pub processes: BTreeMap<u32, String>,
    /// Names in directories that are to stay as they are, by the directory; of a directory below one of these its own name alone.
    pub folders: BTreeMap<String, Vec<String>>,
    /// Content of files of the kernel that is to stay as it is, or its checksum if it is long; `None` where there is no such file.
    pub files: BTreeMap<String, Option<String>>,
    /// KiB of memory.
    pub memory: MemoryState,
}

/// What the kernel gives numbers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BpfKind {
    /// Programs.
    Program,
    /// Maps.
    Map,
    /// BTF.
    Btf,
    /// Links.
    Link,
}

/// KiB of memory in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryState {
    /// What the kernel could still give away.
    pub available: u64,
    /// What its slabs hold.
    pub slab: u64,
    /// What is mapped for the kernel's own use.
    pub vmalloc: u64,
    /// Values for each processor.
    pub percpu: u64,
}

//! The kernel store: a cache folder with every kernel that was ever fetched, ready to boot.

use std::path::PathBuf;

use crate::record::KernelIdentity;

/// A kernel in the store, ready to boot. All paths are inside its store entry and stay valid while the value lives.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredKernel {
    /// What it is.
    pub identity: KernelIdentity,
    /// Where it came from, in words.
    pub source: String,
    /// The image to give to QEMU: the uncompressed ELF if it has a PVH note, the bzImage otherwise.
    pub boot_image: PathBuf,
    /// The kernel's config, if the source ships one.
    pub config: Option<PathBuf>,
    /// Uncompressed modules that the guest has to load for its data channel, in load order.
    pub modules: Vec<PathBuf>,
    /// Raw BTF of vmlinux, read from the image; `None` if the kernel has none.
    pub btf: Option<PathBuf>,
    /// What is missing in this package and what that costs.
    pub notes: Vec<String>,
}

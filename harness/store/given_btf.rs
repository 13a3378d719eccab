//! [`GivenBtf`]: BTF that the user gives a kernel, instead of its own.

use std::path::PathBuf;

/// BTF that is used instead of the kernel's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenBtf {
    /// The raw BTF, in the store.
    pub path: PathBuf,
    /// SHA-256 of it, in hex.
    pub sha256: String,
    /// The file that it was read from.
    pub origin: PathBuf,
}

/// The name of given BTF in the entry of its kernel.
pub(crate) fn file_name(sha256: &str) -> String {
    format!("given-{sha256}.btf")
}

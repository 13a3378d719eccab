//! `kernels.toml`: the kernels that exist for corematrix, the default matrix, and how to choose from them.

mod declaration;
mod limits;
mod nearest;
mod parse;
mod problem;
mod quantity;
mod reader;
pub mod release;
pub mod selector;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use nearest::nearest;
pub use problem::{ManifestError, Problem};
pub use selector::{KernelSelector, SelectorError};

/// The whole of `kernels.toml`, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file it was read from.
    pub path: PathBuf,
    /// Every declared kernel, oldest series first.
    pub kernels: Vec<KernelSpec>,
    /// Names of the kernels that a run without `--kernel` takes.
    pub matrix: Vec<String>,
}

impl Manifest {
    /// Reads and checks the file at `path`. Paths in it are relative to its folder; whether they exist is the store's
    /// business, since another machine may have them.
    ///
    /// # Errors
    /// The file cannot be read, or it is wrong; then all its problems are told at once.
    pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
        let read = |source| ManifestError::Read { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(read)?;
        let text = std::fs::read_to_string(path).map_err(read)?;
        parse::parse(&text, &absolute).map_err(|problems| ManifestError::Invalid { path: path.to_owned(), problems })
    }
}

/// One kernel of `kernels.toml`, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpec {
    /// Its name; selectors match it.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Whether a matrix may do without it where its source cannot be reached.
    pub optional: bool,
    /// Guest memory in MiB.
    pub memory_mib: u64,
    /// From starting QEMU to the guest's hello, with hardware virtualisation; scaled up for emulation.
    pub boot_timeout: Duration,
    /// For one program's load, with hardware virtualisation; scaled up for emulation.
    pub program_timeout: Duration,
    /// Extra words for the kernel's command line.
    pub append: Vec<String>,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Debian packages from the machine's own mirror.
    Apt {
        /// Suites to look in, such as `bullseye`.
        suites: Vec<String>,
        /// Globs of the package that holds the image, best first: `linux-image-5.10.*-cloud-amd64`.
        packages: Vec<String>,
    },
    /// An image on this machine; paths are absolute.
    Path {
        /// A bzImage, an ELF vmlinux, or the root of a Debian-style tree (`boot/vmlinuz-*`, `lib/modules/*`).
        image: PathBuf,
        /// `lib/modules/RELEASE`, if the kernel has the virtio drivers as modules.
        modules: Option<PathBuf>,
        /// The kernel's config file.
        config: Option<PathBuf>,
    },
    /// An upstream version, fetched by virtme-ng's own downloader.
    Mainline {
        /// Such as `v6.6`.
        version: String,
    },
}

//! [`StoreError`]: why a kernel or package was unavailable.

use std::io;
use std::path::{Path, PathBuf};

use crate::whole_file::WriteError;

/// Why the store could not give a kernel or package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The source cannot be reached, or it no longer has what is requested. The kernel is unavailable; nothing is
    /// broken.
    #[error("{what} is unavailable: {reason}")]
    Unavailable {
        /// Kernel or package, such as ``kernel `5.4` ``.
        what: String,
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// The run is offline and the store does not have it yet.
    #[error("{what} is not stored, and the run is offline")]
    Offline {
        /// Kernel or package.
        what: String,
    },
    /// What was delivered is not what `kernels.lock` promises for the same version.
    #[error("{what}: `kernels.lock` expects {field} `{expected}` but found `{found}`")]
    Mismatch {
        /// Kernel or package.
        what: String,
        /// What differs, such as `sha256 of linux-image-...`.
        field: String,
        /// What the lock says.
        expected: String,
        /// What was delivered.
        found: String,
    },
    /// The locked version is gone from its source and `kernels.lock` says `when-gone = "stop"`.
    #[error("{what}: the pinned {version} is gone from the mirror")]
    Gone {
        /// Kernel or package.
        what: String,
        /// What the lock names.
        version: String,
    },
    /// An image, package or module is not what it claims to be.
    #[error("{what}: {reason}")]
    Corrupt {
        /// Kernel or package and the file in it.
        what: String,
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// The BTF that the manifest gives a kernel is unavailable.
    #[error("{what}: cannot use the BTF in `{}`: {reason}", path.display())]
    GivenBtf {
        /// The kernel.
        what: String,
        /// The file or directory.
        path: PathBuf,
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// The kernel was built for another machine.
    #[error("{what}: the kernel is for {machine}, but corematrix boots only x86-64")]
    OtherMachine {
        /// Kernel or package and the file in it.
        what: String,
        /// The machine.
        machine: &'static str,
    },
    /// `kernels.lock` cannot be understood.
    #[error("`{}` is not a lock file of corematrix: {reason}", path.display())]
    BadLock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user wants to stop, and another process has what is needed.
    #[error("stopped while waiting for another process")]
    Stopped,
    /// The store, the lock file or a file of the user cannot be read or written.
    #[error("{action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, such as `create`.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the kernel simply is unavailable here, so that a matrix may go on without it.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. } | StoreError::Offline { .. })
    }

    /// Why, for a place that already names the kernel or package.
    pub fn reason(&self) -> String {
        match self {
            StoreError::Unavailable { reason, .. } => reason.clone(),
            StoreError::Offline { .. } => "is not stored, and the run is offline".to_owned(),
            StoreError::Mismatch { field, expected, found, .. } => {
                format!("`kernels.lock` expects {field} `{expected}` but found `{found}`")
            }
            StoreError::Gone { version, .. } => format!("the pinned {version} is gone from the mirror"),
            StoreError::GivenBtf { path, reason, .. } => {
                format!("the BTF given in `{}` cannot be used: {reason}", path.display())
            }
            StoreError::Corrupt { .. }
            | StoreError::OtherMachine { .. }
            | StoreError::BadLock { .. }
            | StoreError::Stopped
            | StoreError::Io { .. } => self.to_string(),
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::Unavailable { hint, .. } => hint.clone(),
            StoreError::Offline { .. } => Some("run once without `--offline` to fetch it".to_owned()),
            StoreError::Mismatch { .. } => Some(
                "the package or image changed under the same version; if you trust the new one, delete its section \
    from `kernels.lock` and run again"
                    .to_owned(),
            ),
            StoreError::Gone { .. } => Some(
                "set `when-gone = \"newest\"` in `kernels.lock` to take the newest version, or delete its section"
                    .to_owned(),
            ),
            StoreError::OtherMachine { .. } => {
                Some("use a kernel that was built for x86-64 (`ARCH=x86_64`)".to_owned())
            }
            StoreError::Corrupt { .. } => {
                Some("the file may be truncated or damaged: download it again, or use another image".to_owned())
            }
            StoreError::GivenBtf { hint, .. } => Some(hint.clone()),
            StoreError::BadLock { .. } => {
                Some("restore it from version control, or delete it; the next run writes a new one".to_owned())
            }
            StoreError::Stopped => None,
            StoreError::Io { source, .. } => Some(match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, or set another store with `--store` or `COREMATRIX_STORE`".to_owned()
                }
                io::ErrorKind::NotFound => "check the path".to_owned(),
                // Not from the system, and so of no file.
                io::ErrorKind::Other => "set a store with `--store` or `COREMATRIX_STORE`".to_owned(),
                _ => "check its permissions, or set another store with `--store` or `COREMATRIX_STORE`".to_owned(),
            }),
        }
    }
}

/// Adds what was tried, and on which path, to an I/O error.
impl From<WriteError> for StoreError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        StoreError::Io { action: "write", path, source }
    }
}

pub(crate) trait IoContext<T> {
    /// `action` is a verb, such as `create`.
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}

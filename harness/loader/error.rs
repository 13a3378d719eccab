//! [`LoaderError`]: why a loader cannot be used.

use std::path::PathBuf;

use super::KNOWN;
use crate::nearest::nearest;

/// Why a loader cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderError {
    /// There is none of that name.
    #[error("unknown loader `{name}`")]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error("cannot read the loader `{}`: {error}", path.display())]
    Unreadable {
        /// The executable.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no executable of a sensible size.
    #[error("the loader `{}` is too large", path.display())]
    TooLarge {
        /// The executable.
        path: PathBuf,
    },
    /// It is a script, or needs a dynamic linker.
    #[error("the loader `{}` is not a static executable", path.display())]
    NotStatic {
        /// The executable.
        path: PathBuf,
    },
    /// One loader was asked for twice.
    #[error("the loader `{name}` is named twice")]
    Twice {
        /// Its name.
        name: String,
    },
}

impl LoaderError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            LoaderError::Missing { name, folders } if KNOWN.contains(&name.as_str()) => {
                let folders: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
                Some(format!("build it with `make loaders`; it is searched in {}", folders.join(" and ")))
            }
            LoaderError::Missing { name, .. } => {
                let known = ["libbpf", "all"].into_iter().chain(KNOWN);
                Some(match nearest(name, known, 1).first() {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "use `libbpf`, `cilium-ebpf`, `aya`, `all`, or the path of a loader".to_owned(),
                })
            }
            LoaderError::NotStatic { .. } => Some(
                "link it statically: guests have neither shared libraries nor a shell (Go: `CGO_ENABLED=0`)".to_owned(),
            ),
            LoaderError::Unreadable { .. } | LoaderError::TooLarge { .. } | LoaderError::Twice { .. } => None,
        }
    }
}

//! [`Place`]: a file or directory to find objects in, and how the user knows it.

use std::path::{Path, PathBuf};

/// A file or directory to find objects in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// What it was unpacked from, such as `oci://registry/name@sha256:...`: then this stands for `path` in origins and messages.
    pub packed_in: Option<PathBuf>,
}

impl Place {
    /// A path at or below the place, as the user knows it.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        match (&self.packed_in, path.strip_prefix(&self.path)) {
            (Some(origin), Ok(inside)) if inside != Path::new("") => origin.join(inside),
            (Some(origin), Ok(_)) => origin.clone(),
            _ => path.to_owned(),
        }
    }
}

impl Place {
    /// The file on this machine that the user knows as `shown`; `None` if it is not of this place.
    pub fn file(&self, shown: &Path) -> Option<PathBuf> {
        let inside = shown.strip_prefix(self.packed_in.as_ref().unwrap_or(&self.path)).ok()?;
        Some(if inside == Path::new("") { self.path.clone() } else { self.path.join(inside) })
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Place {
        Place { path, packed_in: None }
    }
}

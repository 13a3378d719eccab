//! [`Loader`]: what loads an object in a guest instead of libbpf: another library's loader, or the user's own.
//!
//! libbpf is linked into the guest; other loaders are executables that speak the protocol of `images/loaders/README.md`.

mod assign;
mod error;
mod profile;
mod recognise;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use assign::{AssignedLoader, AssignedLoaders, assign, one};
pub use error::LoaderError;
pub use profile::{Lacks, Observed, Profile, depends_on_reach, profile};
pub use recognise::{Recognised, recognise};

use crate::checksum;

/// Stands for the loader that is linked into the guest.
pub const LIBBPF: &str = "libbpf";
/// Stands for every loader that there is.
pub const ALL: &str = "all";
/// The loaders that corematrix brings.
pub const KNOWN: [&str; 2] = [CILIUM_EBPF, AYA];
/// The loader on cilium/ebpf, of Go.
pub const CILIUM_EBPF: &str = "cilium-ebpf";
/// The loader on aya, of Rust.
pub const AYA: &str = "aya";
/// Ends the name of a library that is judged by its profile, though its loader may be built.
pub const BY_PROFILE: &str = "-profile";
/// No loader is nearly as large.
const MOST_BYTES: u64 = 256 << 20;

/// An executable that loads objects in guests.
#[derive(Clone, PartialEq, Eq)]
pub struct Loader {
    /// [`CILIUM_EBPF`], [`AYA`], or the file name of another.
    pub name: String,
    /// SHA-256 of the executable, in hex.
    pub sha256: String,
    /// The executable; it has to be static.
    pub bytes: Arc<Vec<u8>>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("name", &self.name).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl Loader {
    /// Finds a loader by its name in `folders`, most preferred first; or reads it, if `name` is a path.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read or run in a guest.
    pub fn find(name: &str, folders: &[PathBuf]) -> Result<Loader, LoaderError> {
        if name.contains('/') {
            let path = Path::new(name);
            let file_name =
                path.file_name().map_or_else(|| name.to_owned(), |name| name.to_string_lossy().into_owned());
            return Loader::read(path, file_name);
        }
        match folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => Loader::read(&path, name.to_owned()),
            None => Err(LoaderError::Missing { name: name.to_owned(), folders: folders.to_vec() }),
        }
    }

    fn read(path: &Path, name: String) -> Result<Loader, LoaderError> {
        let failed = |error| LoaderError::Unreadable { path: path.to_owned(), error };
        if fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
            return Err(LoaderError::TooLarge { path: path.to_owned() });
        }
        let bytes = fs::read(path).map_err(failed)?;
        if needs_interpreter(&bytes) {
            return Err(LoaderError::NotStatic { path: path.to_owned() });
        }
        Ok(Loader { name, sha256: checksum::of_bytes(&bytes), bytes: Arc::new(bytes) })
    }
}

/// Whether an executable needs a dynamic linker, or is a script: guests have neither linkers nor shells.
fn needs_interpreter(bytes: &[u8]) -> bool {
    use object::read::elf::{FileHeader, ProgramHeader};
    if bytes.starts_with(b"#!") {
        return true;
    }
    let header = object::elf::FileHeader64::<object::Endianness>::parse(bytes);
    let endian = object::Endianness::Little;
    header.is_ok_and(|header| {
        let segments = header.program_headers(endian, bytes).unwrap_or_default();
        segments.iter().any(|segment| segment.p_type(endian) == object::elf::PT_INTERP)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn loaders_are_found_by_name_and_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().to_owned()];
        let missing = Loader::find("aya", &folders).unwrap_err();
        assert!(matches!(&missing, LoaderError::Missing { name, .. } if name == "aya"));
        assert!(missing.hint().unwrap().contains("make loaders"));
        fs::write(folder.path().join("aya"), b"\x7fELF").unwrap();
        let path = folder.path().join("mine").display().to_string();
        assert!(matches!(Loader::find(&path, &folders), Err(LoaderError::Unreadable { .. })));
        fs::write(&path, b"\x7fELF").unwrap();
        assert_eq!(Loader::find("aya", &folders).unwrap().name, "aya");
        assert_eq!(Loader::find(&path, &folders).unwrap().name, "mine");
    }

    #[test]
    fn what_no_guest_can_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        for path in [script.display().to_string(), "/bin/sh".to_owned()] {
            assert!(matches!(Loader::find(&path, &[]), Err(LoaderError::NotStatic { .. })), "{path}");
        }
    }
}

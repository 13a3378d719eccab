//! [`StoredFolder`]: what else than snapshots takes room in the store: kernels, unpacked packages, and objects out of images and archives.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Store;
use super::entry::{Entry, Staging};
use super::error::{IoContext, StoreError};

/// The kinds of directories, as their directories are called.
const KINDS: [(&str, FolderKind); 3] =
    [("kernels", FolderKind::Kernel), ("packages", FolderKind::Package), (super::UNPACKED, FolderKind::Unpacked)];

/// What a directory of the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderKind {
    /// A kernel, ready to boot.
    Kernel,
    /// The unpacked files of a package.
    Package,
    /// The files with objects of an image or an archive.
    Unpacked,
    /// Indexes of the types of kernels, and types that were unpacked.
    Types,
    /// What runs observed of single cells.
    Cells,
}

/// A kernel, a package, or objects out of an image or an archive, in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFolder {
    /// What it holds.
    pub kind: FolderKind,
    /// Its name in the store.
    pub name: String,
    /// Where it came from, in words; empty if unknown.
    pub source: String,
    /// For a kernel, what it is called in the manifest that it was fetched for.
    pub kernel: Option<String>,
    folder: PathBuf,
}

impl Store {
    /// The kernels, packages, images and archives, by name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn folders(&self) -> Result<Vec<StoredFolder>, StoreError> {
        let mut found = Vec::new();
        for (name, kind) in KINDS {
            let all = self.root.join(name);
            for entry in fs::read_dir(&all).during("read", &all)?.flatten() {
                let folder = entry.path();
                let described = Entry::read(&folder, false);
                let name = entry.file_name().to_string_lossy().into_owned();
                let kernel = described.as_ref().and_then(|entry| entry.name_in(&name));
                let unpacked = || fs::read_to_string(folder.join(super::UNPACKED_FROM)).ok();
                let source = described.map(|entry| entry.kernel(&folder, Vec::new()).source).or_else(unpacked);
                let source = source.unwrap_or_default();
                found.push(StoredFolder { kind, name, source, kernel, folder });
            }
        }
        let (types, cells) = (super::TYPES, super::kept_cells::FOLDER);
        for (kind, name, source) in [
            (FolderKind::Types, types, "kernel BTF read by `corematrix predict`"),
            (FolderKind::Cells, cells, "results of earlier runs, for `corematrix run --reuse`"),
        ] {
            let folder = self.root.join(name);
            if folder.is_dir() {
                let (name, source) = (name.to_owned(), source.to_owned());
                found.push(StoredFolder { kind, name, source, kernel: None, folder });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes one of them. A run that uses it just now may lose it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_folder(&self, folder: &StoredFolder) -> Result<(), StoreError> {
        // Moved first: half a kernel must never be seen.
        let staging = Staging::new(&self.locks)?;
        fs::rename(&folder.folder, staging.work().join("removed")).during("remove", &folder.folder)
    }
}

impl StoredFolder {
    /// Bytes on disk. Takes a look at each file in it.
    pub fn bytes(&self) -> u64 {
        bytes_on_disk(&self.folder)
    }

    /// Files of a kernel that are not what they were when they were stored, by name; all are read.
    pub fn damaged_files(&self) -> Vec<String> {
        Entry::read(&self.folder, false)
            .map_or_else(|| vec!["entry.json".to_owned()], |entry| entry.damaged(&self.folder))
    }
}

/// The room that a directory takes, at any depth.
pub(crate) fn bytes_on_disk(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes += found.blocks() * 512,
                // It is being removed.
                Err(_) => {}
            }
        }
    }
    bytes
}

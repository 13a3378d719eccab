//! [`BtfFile`]: BTF of kernels in files of the user's: one file, a directory of them, or an archive laid out as BTFHub's
//! (`DISTRO/VERSION/ARCH/RELEASE.btf.tar.xz`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::given_btf::{ENDINGS, OTHER_MACHINES, read};
use crate::checksum;
use crate::core_relo::{TypeIndex, TypeSource, TypeTable};
use crate::store::{Store, TYPES};
use crate::whole_file;

/// Directories are searched this deep.
const DEPTH: usize = 8;
/// Files in a directory and those below, at most.
const MOST_FILES: usize = 100_000;

/// BTF of one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtfFile {
    /// The directories that it lies in, such as `ubuntu/20.04/x86_64`; empty for one that was named itself.
    pub group: String,
    /// Its name without its ending: a kernel's release.
    pub release: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Why BTF cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("BTF in `{}` cannot be read: {reason}", path.display())]
pub struct BtfFileError {
    /// The file or directory.
    pub path: PathBuf,
    /// In words.
    pub reason: String,
}

impl BtfFile {
    /// The files in `place`, by group and then by release, older ones first. A directory may be followed by a selector, such as
    /// `archive/ubuntu/20.04/x86_64/*`.
    ///
    /// # Errors
    /// There are none, or they cannot be listed.
    pub fn list(place: &Path) -> Result<Vec<BtfFile>, BtfFileError> {
        let failure = |reason: String| BtfFileError { path: place.to_owned(), reason };
        if place.is_file() {
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            let release = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned();
            return Ok(vec![BtfFile { group: String::new(), release, path: place.to_owned() }]);
        }
        // The part before the first `*` that is a directory.
        let text = place.to_string_lossy();
        let root = match text.split_once(['*', '?', '[']) {
            Some((before, _)) => PathBuf::from(before.rsplit_once('/').map_or(".", |(folder, _)| folder)),
            None => place.to_owned(),
        };
        let pattern = (root != place).then(|| glob::Pattern::new(&text)).transpose();
        let pattern = pattern.map_err(|error| failure(error.to_string()))?;
        let mut found = Vec::new();
        let mut folders = vec![(root.clone(), DEPTH)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| failure(error.to_string()))?;
            for entry in entries {
                let path = entry.map_err(|error| failure(error.to_string()))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_dir() {
                    if depth > 1 && !OTHER_MACHINES.contains(&&*name) {
                        folders.push((path, depth - 1));
                    }
                    continue;
                }
                let Some(release) = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)) else { continue };
                let own = path.parent().unwrap_or(&path);
                let chosen = |pattern: &glob::Pattern| pattern.matches_path(&path) || pattern.matches_path(own);
                if !pattern.as_ref().is_none_or(chosen) {
                    continue;
                }
                if found.len() == MOST_FILES {
                    return Err(failure(format!("it has more than {MOST_FILES} files")));
                }
                let group = own.strip_prefix(&root).unwrap_or(own).to_string_lossy().into_owned();
                found.push(BtfFile { group, release: release.to_owned(), path });
            }
        }
        if found.is_empty() {
            return Err(failure(format!(
                "it contains no file ending in {}",
                ENDINGS.map(|end| format!("`{end}`")).join(", ")
            )));
        }
        found.sort_by_cached_key(|file| (file.group.clone(), age(&file.release), file.release.clone()));
        Ok(found)
    }
}

/// The numbers of a release, by which releases of one distribution are ordered: 5, 8, 0, 23 of `5.8.0-23-generic`.
pub fn age(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

impl Store {
    /// The types in a file of raw BTF, an ELF file with `.BTF`, or either packed. What it takes to read them quickly the next time is kept
    /// in the store.
    ///
    /// # Errors
    /// The file cannot be read, or is no BTF.
    pub fn type_table(&self, path: &Path) -> Result<Arc<TypeTable>, BtfFileError> {
        type_table(self.root(), path)
    }

    /// The same, each time that they are requested.
    pub fn type_source(&self, path: &Path) -> TypeSource {
        let (root, path) = (self.root().to_owned(), path.to_owned());
        TypeSource::new(move || type_table(&root, &path).ok())
    }
}

fn type_table(store: &Path, path: &Path) -> Result<Arc<TypeTable>, BtfFileError> {
    let failure = |reason: String| BtfFileError { path: path.to_owned(), reason };
    let found = fs::metadata(path).map_err(|error| failure(error.to_string()))?;
    let full = fs::canonicalize(path).map_err(|error| failure(error.to_string()))?;
    let identity = (full, found.len(), found.mtime(), found.mtime_nsec());
    let key = checksum::of_bytes(format!("{identity:?}").as_bytes());
    let folder = store.join(TYPES);
    let (kept_index, kept_raw) = (folder.join(format!("{key}.index")), folder.join(format!("{key}.btf")));
    let index = fs::read(&kept_index).ok().and_then(TypeIndex::read);
    let is_known = index.is_some();
    if is_known && let Ok(table) = TypeTable::map(&kept_raw, index.clone()) {
        return Ok(Arc::new(table));
    }
    let is_packed = path.extension().is_none_or(|ending| ending != "btf");
    let raw = read(path).map_err(failure)?;
    // The store keeps what would have to be unpacked again. Nothing is lost where it cannot be written.
    let keep = |to: &Path, bytes: &[u8]| {
        let _ = fs::create_dir_all(&folder);
        let _ = whole_file::replace(to, |out| out.write_all(bytes));
    };
    if is_packed {
        keep(&kept_raw, &raw);
    }
    let table = TypeTable::with_index(raw, index).map_err(|error| failure(error.to_string()))?;
    if !is_known {
        keep(&kept_index, table.index().as_bytes());
    }
    Ok(Arc::new(table))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_listed_by_group_and_age() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        for path in [
            "ubuntu/20.04/x86_64/5.8.0-23-generic.btf.tar.xz",
            "ubuntu/20.04/x86_64/5.4.0-100-generic.btf.tar.xz",
            "ubuntu/20.04/x86_64/5.4.0-99-generic.btf.tar.xz",
            "ubuntu/20.04/arm64/5.4.0-99-generic.btf.tar.xz",
            "ubuntu/18.04/x86_64/5.4.0-1.btf",
            "README.md",
        ] {
            file(path);
        }
        let listed = |place: &Path| -> Vec<String> {
            let found = BtfFile::list(place).unwrap();
            found.into_iter().map(|file| format!("{} {}", file.group, file.release)).collect()
        };
        assert_eq!(
            listed(folder.path()),
            [
                "ubuntu/18.04/x86_64 5.4.0-1",
                "ubuntu/20.04/x86_64 5.4.0-99-generic",
                "ubuntu/20.04/x86_64 5.4.0-100-generic",
                "ubuntu/20.04/x86_64 5.8.0-23-generic"
            ]
        );
        assert_eq!(listed(&folder.path().join("ubuntu/18.04/x86_64/*")).len(), 1);
        assert_eq!(listed(&folder.path().join("ubuntu/*/x86_64/5.4.0-*")).len(), 3);
        assert!(BtfFile::list(&folder.path().join("README.md/x")).is_err());
        fs::create_dir(folder.path().join("empty")).unwrap();
        let error = BtfFile::list(&folder.path().join("empty")).unwrap_err().to_string();
        assert!(error.contains("it contains no file ending in `.btf.tar.xz`"), "{error}");
    }
}

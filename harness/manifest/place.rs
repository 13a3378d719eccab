//! [`ManifestPlace`]: which manifest a command works with.

use std::path::{Path, PathBuf};

use super::{Manifest, ManifestError};

/// The file's usual name.
pub const FILE_NAME: &str = "kernels.toml";
/// The manifest that is part of this executable.
pub const BUILT_IN: &str = include_str!("../../kernels.toml");
/// The lock file that belongs to it.
pub const BUILT_IN_LOCK: &str = include_str!("../../kernels.lock");

/// Which manifest a command works with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ManifestPlace {
    /// A file.
    File(PathBuf),
    /// The one that is part of this executable.
    #[default]
    BuiltIn,
}

impl ManifestPlace {
    /// `kernels.toml` of `folder`, or of the nearest directory above it in the same repository; without one, the built-in manifest.
    pub fn find(folder: &Path) -> ManifestPlace {
        let repository = repository(folder);
        for above in folder.ancestors() {
            let file = above.join(FILE_NAME);
            // One that cannot be read must not be skipped either.
            if file.symlink_metadata().is_ok() {
                return ManifestPlace::File(file);
            }
            // Who owns directories outside of a repository is not known.
            if repository.is_none_or(|root| root == above) {
                break;
            }
        }
        ManifestPlace::BuiltIn
    }

    /// The file; `None` for the built-in manifest.
    pub fn file(&self) -> Option<&Path> {
        match self {
            ManifestPlace::File(path) => Some(path),
            ManifestPlace::BuiltIn => None,
        }
    }

    /// The directory where reports go, and where relative paths begin: for the built-in manifest the working directory.
    pub fn folder(&self) -> &Path {
        let parent = self.file().and_then(Path::parent);
        parent.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Reads and checks the manifest.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn load(&self) -> Result<Manifest, ManifestError> {
        match self {
            ManifestPlace::File(path) => Manifest::load(path),
            ManifestPlace::BuiltIn => {
                let path = PathBuf::from(FILE_NAME);
                let absolute = std::path::absolute(&path).map_err(|source| ManifestError::Read { path, source })?;
                Manifest::parse(BUILT_IN, &absolute)
            }
        }
    }
}

impl From<&Path> for ManifestPlace {
    fn from(path: &Path) -> Self {
        ManifestPlace::File(path.to_owned())
    }
}

impl From<&PathBuf> for ManifestPlace {
    fn from(path: &PathBuf) -> Self {
        ManifestPlace::File(path.clone())
    }
}

impl From<&ManifestPlace> for ManifestPlace {
    fn from(place: &ManifestPlace) -> Self {
        place.clone()
    }
}

/// The root of the repository around a directory.
pub fn repository(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|above| above.join(".git").exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn built_in_manifest_is_sound() {
        let manifest = ManifestPlace::BuiltIn.load().unwrap();
        assert!(manifest.matrix.len() >= 8, "{:?}", manifest.matrix);
        assert_eq!(manifest.path.parent().unwrap(), std::env::current_dir().unwrap());
        // What it names has to be reachable from any directory.
        let own = manifest.kernels.iter().filter(|kernel| kernel.btf.is_some() || kernel.source.label() == "path");
        assert_eq!(own.count(), 0);
    }

    #[test]
    fn nearest_manifest_of_the_repository_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (root, inner) = (folder.path().join("repository"), folder.path().join("repository/a/b"));
        fs::create_dir_all(&inner).unwrap();
        fs::write(folder.path().join(FILE_NAME), "").unwrap();
        // Outside of a repository only the directory itself is looked into.
        assert_eq!(ManifestPlace::find(&inner), ManifestPlace::BuiltIn);
        fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(ManifestPlace::find(&inner), ManifestPlace::BuiltIn, "beyond the repository");
        fs::write(root.join(FILE_NAME), "").unwrap();
        assert_eq!(ManifestPlace::find(&inner), ManifestPlace::File(root.join(FILE_NAME)));
        fs::write(inner.join(FILE_NAME), "").unwrap();
        assert_eq!(ManifestPlace::find(&inner), ManifestPlace::File(inner.join(FILE_NAME)));
        assert_eq!(ManifestPlace::find(&inner).folder(), inner);
        fs::remove_file(inner.join(FILE_NAME)).unwrap();
        std::os::unix::fs::symlink("gone", inner.join(FILE_NAME)).unwrap();
        ManifestPlace::find(&inner)
            .load()
            .expect_err("a link that leads nowhere is no reason to take another manifest");
    }

    #[test]
    fn folder_of_a_bare_name_is_the_working_folder() {
        assert_eq!(ManifestPlace::File(FILE_NAME.into()).folder(), Path::new("."));
        assert_eq!(ManifestPlace::BuiltIn.folder(), Path::new("."));
    }
}

//! [`KnownPlaces`]: where the types of kernels are that are not in a run: the store, and the archives of the manifest and the user.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::kernel_types::MatrixTypes;
use super::project::Project;
use crate::explain::{KnownKernel, KnownTypes};
use crate::manifest::{BtfPlace, KernelSpec, Source};
use crate::source::{BtfFile, BtfFileError, age};
use crate::store::Store;

/// Kernels beyond a run whose BTF is read, at most: of more, some of each age.
const MOST_KERNELS: usize = 1024;

/// Types of one kernel, not read yet.
struct Place {
    name: String,
    version: Vec<u64>,
    types: PathBuf,
}

/// The types available beyond those of a run.
pub struct KnownPlaces<'a> {
    store: &'a Store,
    taken: HashSet<String>,
    matrix: Vec<Vec<u64>>,
    places: Vec<Place>,
}

impl<'a> KnownPlaces<'a> {
    /// None yet; `matrix` are the kernels whose BTF is read anyway, in their order.
    pub fn beyond(matrix: &[MatrixTypes], store: &'a Store) -> KnownPlaces<'a> {
        let names = matrix.iter().flat_map(|kernel| [kernel.name.clone(), kernel.release.clone()]);
        let versions = matrix.iter().map(|kernel| version(&kernel.release));
        KnownPlaces { store, taken: names.collect(), matrix: versions.collect(), places: Vec::new() }
    }

    /// Adds the kernels of the store.
    pub fn add_store(&mut self) {
        for (name, kernel) in self.store.kernels() {
            let Some(types) = kernel.types().map(Path::to_owned) else { continue };
            let release = kernel.identity.release;
            if !self.taken.contains(&release) {
                // Two kernels of one name differ in their releases.
                let name = if self.taken.contains(&name) { release.clone() } else { name };
                self.add(name, &release, types);
            }
        }
    }

    /// Adds the archives that kernels of the manifest take their BTF from, and the kernels of which it has only the BTF; gives what
    /// cannot be read, in words. Nothing is fetched.
    pub fn add_archives(&mut self, project: &Project) -> Vec<String> {
        for kernel in &project.manifest.kernels {
            if let Ok(Some(found)) = project.store.types_only(kernel, &project.lock, true, &|_| ())
                && !self.taken.contains(&found.release)
            {
                let name = if self.taken.contains(&kernel.name) { found.release.clone() } else { kernel.name.clone() };
                self.add(name, &found.release, found.path);
            }
        }
        let archives = project.manifest.kernels.iter().filter_map(|kernel| kernel.btf.as_deref());
        let archives: HashSet<&Path> = archives.filter(|path| path.is_dir()).collect();
        let patterns =
            project.manifest.kernels.iter().flat_map(KernelSpec::sources).filter_map(|source| match source {
                Source::Btf { place: BtfPlace::Path(path), .. } if !path.is_file() => Some(path.as_path()),
                _ => None,
            });
        let places: HashSet<&Path> = archives.into_iter().chain(patterns).collect();
        places.into_iter().filter_map(|place| Some(self.add_files(place).err()?.to_string())).collect()
    }

    /// Adds the BTF files at a place, as `corematrix predict` finds them.
    ///
    /// # Errors
    /// There are none.
    pub fn add_files(&mut self, place: &Path) -> Result<(), BtfFileError> {
        for BtfFile { release, path, .. } in BtfFile::list(place)? {
            if !self.taken.contains(&release) {
                self.add(release.clone(), &release, path);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, release: &str, types: PathBuf) {
        self.taken.extend([name.clone(), release.to_owned()]);
        self.places.push(Place { name, version: version(release), types });
    }

    /// All of them. They are read when they are needed; what cannot be read is counted as left out then.
    pub fn open(mut self) -> KnownTypes {
        self.places.sort_by(|a, b| a.version.cmp(&b.version));
        let all = self.places.len();
        let chosen: Vec<&Place> = match all > MOST_KERNELS {
            true => (0..MOST_KERNELS).map(|number| &self.places[number * all / MOST_KERNELS]).collect(),
            false => self.places.iter().collect(),
        };
        let kernel = |place: &Place| {
            let newer = self.matrix.iter().position(|version| *version > place.version);
            KnownKernel {
                name: place.name.clone(),
                place: newer.unwrap_or(self.matrix.len()),
                types: self.store.type_source(&place.types),
            }
        };
        let kernels: Vec<KnownKernel> = chosen.into_iter().map(kernel).collect();
        let left_out = all - kernels.len();
        KnownTypes::new(kernels, left_out)
    }
}

/// The numbers of a release, which show its age, from the first that a dot joins to another: 6, 12, 107 of `6.12.107+deb13-cloud-amd64`,
/// 5, 4 of `x86_64-5.4-distro`.
pub(super) fn version(release: &str) -> Vec<u64> {
    let bytes = release.as_bytes();
    let dot = bytes.windows(3).position(|at| at[0].is_ascii_digit() && at[1] == b'.' && at[2].is_ascii_digit());
    let before = |dot: usize| bytes[..=dot].iter().rposition(|byte| !byte.is_ascii_digit());
    let start = dot.and_then(before).map_or(0, |before| before + 1);
    age(release.get(start..).unwrap_or(release))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_tell_the_age() {
        assert_eq!(version("6.12.107+deb13-cloud-amd64")[..3], [6, 12, 107]);
        assert_eq!(version("x86_64-5.19.15-distro"), [5, 19, 15]);
        assert!(version("5.4.0-99-generic") < version("5.4.0-100-generic"));
        assert!(version("x86_64-6.6-ci") < version("6.12.107+deb13"));
        assert!(version("é6.1").starts_with(&[6, 1]) && version("mine").is_empty());
    }
}

//! [`Project`]: a manifest with its lock file, the store, and the programs that make guests.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::error::{MOST_OF_ARCHIVE, MatrixError};
use super::places::Places;
use crate::manifest::{
    BtfPlace, Catalogue, DiskImage, KernelSpec, Manifest, ManifestPlace, Profiles, SelectorError, Source,
};
use crate::source::{BtfFile, LockFile};
use crate::store::{Store, StoredFolder, StoredKernel};
use crate::venv::Venv;
use crate::vm::{Deadlines, ToolPaths, Toolchain, ToolchainError};

/// Where the store remembers the versions of programs.
const TOOLS: &str = "tools.json";

/// A manifest with its lock file, the store, and the programs that make guests.
#[derive(Debug)]
pub struct Project {
    /// The kernels that there are.
    pub manifest: Manifest,
    /// Whether the manifest is the one that is part of this executable.
    pub is_built_in: bool,
    /// The directory of the manifest; for the built-in one the working directory.
    pub folder: PathBuf,
    /// What exactly the kernels are.
    pub lock: LockFile,
    /// Where kernels are kept.
    pub store: Store,
    /// Where virtme-ng may be installed.
    tools_folder: PathBuf,
    tools: OnceLock<Result<Toolchain, ToolchainError>>,
    paths: ToolPaths,
    /// Where loaders other than libbpf are looked for, most preferred first.
    pub(super) loaders: Vec<PathBuf>,
}

impl Project {
    /// Opens the project of a manifest.
    ///
    /// # Errors
    /// The manifest or its lock file is wrong, or the store cannot be opened. Missing programs are no error yet.
    pub fn load(manifest: impl Into<ManifestPlace>, places: &Places) -> Result<Project, MatrixError> {
        let place = manifest.into();
        Project::of(place.load()?, place == ManifestPlace::BuiltIn, places)
    }

    /// The same; where the file does not exist, a project without kernels, which is enough to look into inputs.
    ///
    /// # Errors
    /// As [`Project::load`].
    pub fn load_for_inputs(manifest: impl Into<ManifestPlace>, places: &Places) -> Result<Project, MatrixError> {
        match manifest.into() {
            ManifestPlace::File(file) if !file.exists() => {
                let path = std::path::absolute(&file).unwrap_or(file);
                let (kernels, matrix, catalogue) = (Vec::new(), Vec::new(), Catalogue::default());
                let profiles = Profiles::built_in();
                Project::of(Manifest { path, kernels, matrix, profiles, catalogue }, false, places)
            }
            place => Project::load(place, places),
        }
    }

    fn of(manifest: Manifest, is_built_in: bool, places: &Places) -> Result<Project, MatrixError> {
        let folder = manifest.path.parent().unwrap_or(Path::new("/")).to_owned();
        let store = Store::open(&places.store)?;
        let lock = match is_built_in {
            true => LockFile::open_built_in(store.root())?,
            false => LockFile::open(&manifest.path.with_extension("lock"))?,
        };
        let (tools_folder, tools) = (folder.clone(), OnceLock::new());
        let (paths, loaders) = (places.tools.clone(), places.loaders.clone());
        let mut project = Project { manifest, is_built_in, folder, lock, store, tools_folder, tools, paths, loaders };
        project.download_with_tools();
        Ok(project)
    }

    /// The same with the programs of another project's directory.
    #[must_use]
    pub fn with_tools_of(mut self, folder: &Path) -> Project {
        (self.tools_folder, self.tools) = (folder.to_owned(), OnceLock::new());
        self.download_with_tools();
        self
    }

    fn download_with_tools(&mut self) {
        let vng = Toolchain::vng(&self.tools_folder, &self.paths);
        let own = self.paths.python_tuf.iter().filter(|own| own.is_whole()).map(Venv::program);
        // Where virtme-ng is in a directory of Python's, python-tuf may be, too.
        let beside = vng.iter().map(|vng| vng.with_file_name("python3")).filter(|python| python.is_file());
        self.store.look_up_with(own.chain(beside).collect());
        if let Some(vng) = vng {
            self.store.download_with(vng);
        }
    }

    /// What reports say of kernels that no file of the user declares.
    pub(super) fn notice(&self) -> Option<String> {
        let version = env!("CARGO_PKG_VERSION");
        self.is_built_in.then(|| format!("using the built-in manifest of corematrix {version}"))
    }

    /// The programs that make guests, looked for when they are first asked for: it takes a tenth of a second to ask for their versions.
    ///
    /// # Errors
    /// [`MatrixError::Toolchain`].
    pub fn tools(&self) -> Result<&Toolchain, MatrixError> {
        let find = || find_tools(&self.tools_folder, &self.paths, &self.store, &self.manifest);
        self.tools.get_or_init(find).as_ref().map_err(MatrixError::from)
    }

    /// The kernels that selectors choose, as [`Manifest::select`], in the manifest's order. Ranges compare what is pinned in `kernels.lock`,
    /// declared or stored, as far as it is.
    ///
    /// # Errors
    /// [`SelectorError`].
    pub fn select(&self, selectors: &[String]) -> Result<Vec<KernelSpec>, SelectorError> {
        let folders = OnceCell::new();
        self.manifest.select(selectors, &|spec| self.known_release(spec, &folders))
    }

    /// What to know of ranges before anything runs: the kernels that are not `chosen` and that none can choose, since their release is not
    /// known.
    pub(super) fn beyond_ranges(&self, selectors: &[String], chosen: &[KernelSpec]) -> Vec<String> {
        let folders = OnceCell::new();
        let beyond = self.manifest.beyond_ranges(selectors, &|spec| self.known_release(spec, &folders));
        let line = |spec: &KernelSpec| {
            let name = &spec.name;
            format!(
                "kernel `{name}` is in no range of `--kernel`: its release is unknown until it is fetched (`corematrix \
    kernels pull {name}`)"
            )
        };
        let is_chosen = |spec: &KernelSpec| chosen.iter().any(|one| one.name == spec.name);
        beyond.into_iter().filter(|spec| !is_chosen(spec)).map(line).collect()
    }

    /// The release of a kernel, as far as it is known without fetching it.
    fn known_release(&self, spec: &KernelSpec, folders: &OnceCell<Vec<StoredFolder>>) -> Option<String> {
        let pinned = || {
            let newest = self.lock.builds(&spec.name_with_builds()).and_then(|builds| builds.last().cloned());
            let of_build = newest.and_then(|build| self.lock.kernel(&format!("{}@{build}", spec.name)));
            let pinned = self.lock.kernel(&spec.name).or(of_build)?;
            spec.sources().any(|source| source.label() == pinned.source).then_some(pinned.release)
        };
        let declared = || match &spec.source {
            Source::Btf { release, .. } => release.clone(),
            _ => None,
        };
        let stored = || {
            let folders = folders.get_or_init(|| self.store.folders().unwrap_or_default());
            Some(self.stored(spec, folders)?.identity.release)
        };
        pinned().or_else(declared).or_else(stored)
    }

    /// The kernels that selectors choose (`5.10`, `>=6.1`, `latest`, `6.*`), in the manifest's order; without any the manifest's matrix.
    /// One whose source is an archive of BTF is a kernel for each file that its pattern chooses, and one that is requested with
    /// its builds is a kernel for each that is pinned, see [`Project::learn_builds`].
    ///
    /// # Errors
    /// [`MatrixError::Selector`], [`MatrixError::TooManyKernels`].
    pub fn kernels(&self, selectors: &[String]) -> Result<Vec<KernelSpec>, MatrixError> {
        let mut kernels: Vec<KernelSpec> = Vec::new();
        for spec in self.select(selectors)? {
            for spec in self.each_build(&spec) {
                // Two selectors may have chosen one build.
                let is_new = |one: &KernelSpec| !kernels.iter().any(|known| known.name == one.name);
                let new: Vec<KernelSpec> = each_of_archive(&spec)?.into_iter().filter(is_new).collect();
                kernels.extend(new);
            }
        }
        Ok(kernels)
    }

    /// The kernel as the store has it; `None` if it was never fetched, or if only its BTF is known.
    pub fn stored(&self, spec: &KernelSpec, folders: &[StoredFolder]) -> Option<StoredKernel> {
        let is_there = folders.iter().any(|folder| folder.kernel.as_ref() == Some(&spec.name));
        let is_bootable = !matches!(spec.source, Source::Btf { .. });
        (is_there && is_bootable).then(|| self.store.kernel(spec, &self.lock, true, &|_| ()).ok()).flatten()
    }

    /// What to know before anything runs: which of these kernels have no BTF, as far as the store has them, or the catalogue knows it.
    pub fn without_btf(&self, kernels: &[KernelSpec]) -> Vec<String> {
        let folders = self.store.folders().unwrap_or_default();
        let line = |spec: &KernelSpec| {
            let name = &spec.name;
            match self.stored(spec, &folders) {
                Some(kernel) if kernel.types().is_some() => None,
                Some(_) => Some(format!(
                    "kernel `{name}` has no BTF, and none is given: objects with CO-RE relocations fail there"
                )),
                None if !self.comes_without_btf(spec) => None,
                // Whether the archive has it the fetched kernel says.
                None if spec.btf_archive.is_some() => {
                    Some(format!("kernel `{name}` has no BTF: it must be in the archive of `btf` under `[defaults]`"))
                }
                None => Some(format!(
                    "kernel `{name}` has no BTF, and none is given: objects with CO-RE relocations fail there (set \
    `btf = \"FILE\"` in its table, or an archive in the layout of BTFHub under `[defaults]`)"
                )),
            }
        };
        kernels.iter().filter_map(line).collect()
    }

    /// Whether it is known before a kernel is fetched that it has no BTF, and none is given to it by name.
    pub fn comes_without_btf(&self, spec: &KernelSpec) -> bool {
        let has_none = self.manifest.catalogue.entry_of(&spec.name).is_some_and(|entry| entry.has_no_btf);
        has_none && spec.btf.is_none()
    }

    /// What has to be done by hand before some of these kernels are available: their disk images are not there.
    pub fn to_be_fetched(&self, kernels: &[KernelSpec]) -> Vec<String> {
        let line = |spec: &KernelSpec| {
            let Source::Disk { disk: DiskImage::Path(disk), .. } = &spec.source else { return None };
            let entry = self.manifest.catalogue.entry_of(&spec.name).filter(|entry| !entry.note.is_empty())?;
            (!disk.exists()).then(|| format!("kernel `{}`: {}", spec.name, entry.note))
        };
        kernels.iter().filter_map(line).collect()
    }
}

/// The kernel itself, unless it stands for several files of BTF.
fn each_of_archive(spec: &KernelSpec) -> Result<Vec<KernelSpec>, MatrixError> {
    let Source::Btf { place: BtfPlace::Path(path), .. } = &spec.source else { return Ok(vec![spec.clone()]) };
    // What cannot be listed says so itself when it is fetched.
    let files = BtfFile::list(path).unwrap_or_default();
    match files.len() {
        0 | 1 => Ok(vec![spec.clone()]),
        found if found > MOST_OF_ARCHIVE => Err(MatrixError::TooManyKernels { kernel: spec.name.clone(), found }),
        _ => Ok(files
            .into_iter()
            .map(|file| KernelSpec {
                name: format!("{}-{}", spec.name, file.release),
                source: Source::Btf { place: BtfPlace::Path(file.path), release: Some(file.release) },
                ..spec.clone()
            })
            .collect()),
    }
}

fn find_tools(
    folder: &Path,
    paths: &ToolPaths,
    store: &Store,
    manifest: &Manifest,
) -> Result<Toolchain, ToolchainError> {
    // It is the machine that is slow, and one kernel that says so is enough.
    let boot_timeout = manifest.kernels.iter().map(|spec| spec.boot_timeout).max().unwrap_or_default();
    Toolchain::find(folder, paths, &store.root().join(TOOLS), Deadlines::version(boot_timeout))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::image::tests::{Packed, Parts, bzimage, vmlinux};

    #[test]
    fn kernels_without_btf_are_named_once_the_store_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, btf) in [("with", true), ("without", false)] {
            let kernel = vmlinux("5.4.0-150-generic", Parts { pvh: true, btf });
            fs::write(at(name), bzimage("5.4.0-150-generic", &kernel, Packed::Gzip)).unwrap();
        }
        let table = |name: &str| format!("[kernel.{name}]\nsource = \"path\"\nimage = \"{name}\"\n");
        let write = |defaults: &str| {
            let text = format!("{defaults}{}{}", table("with"), table("without"));
            fs::write(at("kernels.toml"), text).unwrap();
            Project::load(&at("kernels.toml"), &Places::new(at("store"))).unwrap()
        };
        let project = write("");
        let kernels = project.kernels(&[]).unwrap();
        assert!(project.without_btf(&kernels).is_empty(), "not yet known");
        for spec in &kernels {
            project.store.kernel(spec, &project.lock, true, &|_| ()).unwrap();
        }
        let lines = project.without_btf(&kernels);
        assert_eq!(
            lines,
            ["kernel `without` has no BTF, and none is given: objects with CO-RE relocations fail there"]
        );
        // Of those of the catalogue it is known before anybody looks.
        let project = write("");
        let chosen = |name: &str| project.kernels(&[name.to_owned()]).unwrap();
        for name in ["ubuntu:20.04", "el:7", "amazon:2", "ubuntu:20.04@5.4.0-150-generic"] {
            let lines = project.without_btf(&chosen(name));
            assert!(matches!(&lines[..], [line] if line.contains("has no BTF, and none is given")), "{lines:?}");
        }
        assert_eq!(project.without_btf(&chosen("ubuntu:22.04")), [""; 0]);
        let entry = "[fleet]\nnote = \"fetch fleet.img\"\nsource = \"disk\"\ndisk = \"fleet.img\"\n";
        fs::write(at("catalogue.toml"), entry).unwrap();
        let project = write("");
        let fleet = project.kernels(&["fleet".to_owned()]).unwrap();
        assert_eq!(project.to_be_fetched(&fleet), ["kernel `fleet`: fetch fleet.img"]);
        fs::write(at("fleet.img"), "").unwrap();
        assert_eq!(project.to_be_fetched(&fleet), [""; 0]);
        // An archive that has some is enough.
        fs::create_dir(at("archive")).unwrap();
        let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o");
        fs::copy(types, at("archive/5.4.0-150-generic.btf")).unwrap();
        let project = write("[defaults]\nbtf = \"archive\"\n");
        assert!(project.without_btf(&project.kernels(&[]).unwrap()).is_empty());
    }

    #[test]
    fn ranges_compare_what_is_pinned_or_stored() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let kernel = vmlinux("6.12.9-acme", Parts { pvh: true, btf: true });
        fs::write(at("bzImage"), bzimage("6.12.9-acme", &kernel, Packed::Gzip)).unwrap();
        fs::write(
            at("kernels.toml"),
            "[kernel.customer]\nsource = \"path\"\nimage = \"bzImage\"\n[kernel.pinned]\nsource = \"mainline\"\nversion = \
             \"v5.10.*\"\n[kernel.elsewhere]\nsource = \"mainline\"\nversion = \"v5.4.*\"\n[kernel.\"5.4\"]\nsource = \
             \"mainline\"\nversion = \"v5.4\"\n",
        )
        .unwrap();
        fs::write(
            at("kernels.lock"),
            "version = 1\n[kernel.pinned]\nsource = \"mainline\"\nversion = \"v5.10.3\"\nrelease = \"5.10.3\"\nimage-sha256 = \
             \"00\"\n[kernel.elsewhere]\nsource = \"oci\"\nrelease = \"6.6.1\"\nimage-sha256 = \"00\"\n",
        )
        .unwrap();
        let project = Project::load(&at("kernels.toml"), &Places::new(at("store"))).unwrap();
        let chosen = |range: &str| -> Vec<String> {
            let chosen = project.kernels(&[range.to_owned()]).unwrap_or_default();
            chosen.into_iter().map(|spec| spec.name).collect()
        };
        let notices = |range: &str| {
            let range = [range.to_owned()];
            project.beyond_ranges(&range, &project.kernels(&range).unwrap_or_default())
        };
        // What `elsewhere` is pinned to is of another source than it has now.
        assert_eq!((chosen("<5.12"), chosen(">=6.0")), (vec!["5.4".to_owned(), "pinned".to_owned()], Vec::new()));
        assert_eq!(notices("<5.12").len(), 2);
        assert!(
            notices("<5.12")[0].starts_with("kernel `customer` is in no range of `--kernel`"),
            "{:?}",
            notices("<5.12")
        );
        assert_eq!(notices("5.4"), [""; 0]);
        let customer = project.kernels(&["customer".to_owned()]).unwrap();
        project.store.kernel(&customer[0], &project.lock, true, &|_| ()).unwrap();
        assert_eq!((chosen(">=6.12"), chosen("<6.12.9")), (vec!["customer".to_owned()], chosen("<5.12")));
        assert!(notices(">=6.12").iter().all(|line| !line.contains("customer")));
    }
}

//! [`Store::file_systems`]: the modules with which a kernel shows the host's files to a command: FUSE and overlayfs.
//!
//! Loading objects needs none of them, so they are fetched when a command is first run on a kernel, and kept beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manifest::{KernelSpec, Source};
use crate::source::apt::kernel_packages;
use crate::source::apt::lists::{Package, regex_of_glob};
use crate::source::kernel_files::KernelFiles;
use crate::source::lock_file::{LockFile, LockedPackage};
use crate::source::repository;
use crate::source::request::Request;
use crate::store::Store;
use crate::store::StoredKernel;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree, Selection};

/// The directory in a kernel's entry.
const FOLDER: &str = "file-systems";
/// The file in it that lists what is there.
const LIST: &str = "list.json";
/// The modules, and what a kernel's config says where they are built in.
const WANTED: [(&str, &str); 2] = [("fuse", "CONFIG_FUSE_FS=y"), ("overlay", "CONFIG_OVERLAY_FS=y")];

/// The modules of a kernel's file systems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystems {
    /// Uncompressed modules in load order.
    pub modules: Vec<PathBuf>,
    /// Modules that are neither built in, as far as is known, nor available.
    pub missing: BTreeSet<String>,
    /// Why they are missing, if no one could look; then it is tried again the next time.
    pub trouble: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct List {
    modules: Vec<String>,
    missing: BTreeSet<String>,
}

impl Store {
    /// Gives the modules of a kernel that the store has. Those that are unavailable are no failure: many kernels have FUSE built in, and
    /// without overlayfs commands still run.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the store cannot be written to.
    pub fn file_systems(
        &self,
        spec: &KernelSpec,
        kernel: &StoredKernel,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<FileSystems, StoreError> {
        let _guard = self.lock_kernel(&spec.name, step)?;
        let config = kernel.config.as_deref().map(fs::read_to_string).and_then(Result::ok).unwrap_or_default();
        let is_module = |(_, built_in): &&(&str, &str)| !config.lines().any(|line| line == *built_in);
        let wanted: Vec<&str> = WANTED.iter().filter(is_module).map(|(name, _)| *name).collect();
        if wanted.is_empty() {
            return Ok(FileSystems::default());
        }
        let folder = kernel.boot_image.with_file_name(FOLDER);
        if let Some(known) = read(&folder) {
            return Ok(known);
        }
        let staging = Staging::new(&self.locks)?;
        let request = Request::of_kernel(self, spec, (lock, offline), step);
        let selection = match self.select_file_systems(&request, spec, &wanted, &staging, offline) {
            Ok(selection) => selection,
            Err(error) => {
                let missing = wanted.into_iter().map(str::to_owned).collect();
                return Ok(FileSystems { modules: Vec::new(), missing, trouble: Some(error.reason()) });
            }
        };
        let fresh = staging.entry();
        let mut list = List { modules: Vec::new(), missing: selection.missing };
        for (at, module) in selection.modules.iter().enumerate() {
            let name = format!("{at:02}-{}.ko", module.name);
            let path = fresh.join(&name);
            fs::write(&path, &module.bytes).during("write", &path)?;
            list.modules.push(name);
        }
        let path = fresh.join(LIST);
        let json = serde_json::to_vec_pretty(&list).map_err(io::Error::from).during("write", &path)?;
        fs::write(&path, json).during("write", &path)?;
        staging.publish(&folder)?;
        Ok(list.within(&folder))
    }

    fn select_file_systems(
        &self,
        request: &Request<'_>,
        spec: &KernelSpec,
        wanted: &[&str],
        staging: &Staging,
        offline: bool,
    ) -> Result<Selection, StoreError> {
        let tree = match &spec.source {
            Source::Path { modules: Some(modules), .. } => Some(modules.clone()),
            Source::Path { image, .. } => KernelFiles::find(image).ok().and_then(|tree| tree.modules),
            Source::Apt { .. } if offline => return Err(StoreError::Offline { what: request.what.clone() }),
            Source::Apt { .. } => request.unpack_file_systems(wanted, &staging.work())?,
            Source::Tree { tree } => Some(tree.join("fs")),
            Source::Host => {
                let release = rustix::system::uname().release().to_string_lossy().into_owned();
                Some(Path::new("/lib/modules").join(release)).filter(|folder| folder.is_dir())
            }
            Source::Repository(_) if offline => return Err(StoreError::Offline { what: request.what.clone() }),
            Source::Repository(repository) => {
                let pinned = request.lock.kernel(request.name).map(|pinned| pinned.packages).unwrap_or_default();
                repository::unpack_modules(request, repository, &pinned, &staging.work())?
            }
            // Others do not have them on this machine, and virtme-ng's downloader leaves them out.
            Source::Mainline { .. }
            | Source::Build { .. }
            | Source::Disk { .. }
            | Source::Package { .. }
            | Source::Oci { .. }
            | Source::Btf { .. } => None,
        };
        let tree = ModuleTree::read(tree.as_deref(), None).during("read", &staging.work())?;
        kmod::select_of(&tree, wanted).map_err(|(name, reason)| StoreError::Corrupt {
            what: format!("{}: module `{name}`", request.what),
            reason,
        })
    }
}

impl Request<'_> {
    /// Unpacks the modules from the very build that is pinned; `None` if the mirror has no package with them.
    fn unpack_file_systems(&self, wanted: &[&str], work: &Path) -> Result<Option<PathBuf>, StoreError> {
        let pinned = self.lock.kernel(self.name).map(|pinned| pinned.packages).unwrap_or_default();
        let Some(image) = pinned.first() else { return Ok(None) };
        let Some((package, deb)) = self.modules_of(image, work)? else { return Ok(None) };
        let tree = work.join("tree");
        let mut names: BTreeSet<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        loop {
            let is_wanted = |path: &str| {
                path.ends_with("/modules.builtin") || kmod::module_name(path).is_some_and(|name| names.contains(&name))
            };
            self.unpack(&package, &deb, &tree, &is_wanted)?;
            let found = ["usr/lib/modules", "lib/modules"].map(|folder| tree.join(folder));
            let found = found.iter().find_map(|folder| Some(fs::read_dir(folder).ok()?.flatten().next()?.path()));
            let modules = ModuleTree::read(found.as_deref(), None).during("read", &tree)?;
            let selection = kmod::select_of(&modules, wanted).map_err(|(name, reason)| StoreError::Corrupt {
                what: format!("{}: module `{name}`", self.what),
                reason,
            })?;
            // What modules depend on is only known once they are there.
            let before = names.len();
            names.extend(selection.missing);
            if names.len() == before {
                return Ok(found);
            }
        }
    }

    /// The package that has the modules of a pinned build, downloaded; `None` if it is gone from the mirror.
    pub(super) fn modules_of(
        &self,
        image: &LockedPackage,
        work: &Path,
    ) -> Result<Option<(Package, PathBuf)>, StoreError> {
        self.package_of_build(image, if is_split(image) { "linux-modules-" } else { "" }, work)
    }

    /// The package of a pinned build with the list of what is built in, downloaded, if that is another than the one with the modules and is still there.
    pub(super) fn built_in_of(
        &self,
        image: &LockedPackage,
        work: &Path,
    ) -> Result<Option<(Package, PathBuf)>, StoreError> {
        if is_split(image) { self.package_of_build(image, "linux-base-", work) } else { Ok(None) }
    }

    /// A package of the pinned build, downloaded: that with the image, or the one whose name begins so.
    fn package_of_build(
        &self,
        image: &LockedPackage,
        prefix: &str,
        work: &Path,
    ) -> Result<Option<(Package, PathBuf)>, StoreError> {
        let release = kernel_packages::release_of(&image.name).unwrap_or_default();
        let name = if prefix.is_empty() { image.name.clone() } else { format!("{prefix}{release}") };
        let Some(package) = self.listed_package(image, &name)? else { return Ok(None) };
        Ok(self.fetch(&package, work)?.map(|deb| (package, deb)))
    }

    /// The package of this name and of the version of the image.
    fn listed_package(&self, image: &LockedPackage, name: &str) -> Result<Option<Package>, StoreError> {
        for again in [false, true] {
            self.store.apt(self.archive).update(&self.what, &image.suite, again, self.step)?;
            let listed = self.store.apt(self.archive).packages(&self.what, &image.suite, &regex_of_glob(name))?;
            let found = listed.into_iter().find(|package| package.name == name && package.version == image.version);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Whether the image, the list of what is built in, and the modules are separate packages.
fn is_split(image: &LockedPackage) -> bool {
    image.name.starts_with("linux-binary-")
}

impl List {
    fn within(self, folder: &Path) -> FileSystems {
        let modules = self.modules.iter().map(|name| folder.join(name)).collect();
        FileSystems { modules, missing: self.missing, trouble: None }
    }
}

/// What lies in the directory; `None` if no one has looked yet.
fn read(folder: &Path) -> Option<FileSystems> {
    let list: List = serde_json::from_slice(&fs::read(folder.join(LIST)).ok()?).ok()?;
    let known = list.within(folder);
    known.modules.iter().all(|module| module.is_file()).then_some(known)
}

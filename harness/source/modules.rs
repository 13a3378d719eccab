//! [`Store::learn_modules`], [`Store::with_module_files`]: fetch the modules that a kernel came without.
//!
//! Where the modules are a separate package, that is larger than the kernel and most runs need nothing of it: it is fetched when a
//! verdict or a guest needs it. What it shows is kept, and so are its files.

use std::fs;
use std::path::{Path, PathBuf};

use super::kernel_files::KernelFiles;
use super::lock_file::{LockFile, LockedPackage};
use super::repository;
use super::request::Request;
use super::vng_build;
use crate::manifest::{KernelSpec, Source};
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree};
use crate::store::module_files::{self, ModuleFiles};
use crate::store::module_index;
use crate::store::modules::{FUNCTIONS, GONE, TYPES, pack};
use crate::store::{Store, StoredKernel};

/// The list of modules that are built into the image.
const BUILT_IN: &str = "/modules.builtin";

/// Why a kernel's module files are not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoModuleFiles(pub String);

impl Store {
    /// The kernel with what its modules have, which is fetched if the store does not have it and an archive of packages does. A kernel
    /// whose modules are unavailable is given back as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn learn_modules(
        &self,
        spec: &KernelSpec,
        kernel: &StoredKernel,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<StoredKernel, StoreError> {
        let Some(folder) = kernel.boot_image.parent() else { return Ok(kernel.clone()) };
        let is_here = self.built_tree(spec).is_some();
        let is_packaged = matches!(spec.source, Source::Apt { .. } | Source::Repository(_));
        let is_known = |kernel: &StoredKernel| kernel.has_modules() || kernel.modules_are_gone();
        if !is_here && (!is_packaged || offline) || is_known(kernel) {
            return Ok(kernel.clone());
        }
        let _guard = self.lock_kernel(&spec.name, step)?;
        let kernel = kernel.clone().with_learned(folder);
        if is_known(&kernel) {
            return Ok(kernel);
        }
        self.fetch_modules(spec, &kernel, (lock, offline), step)?;
        Ok(kernel.with_learned(folder))
    }

    /// The kernel's module files, fetched if the store does not have them.
    ///
    /// # Errors
    /// Why there are none, as a lowercase fragment.
    pub fn module_files(
        &self,
        spec: &KernelSpec,
        kernel: &StoredKernel,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<ModuleFiles, NoModuleFiles> {
        // Those of a tree are the user's, who may have built them again.
        let built = self.built_tree(spec).and_then(|tree| ModuleTree::read(Some(&tree), None).ok());
        let current = || {
            let is_current = |files: &ModuleFiles| built.as_ref().is_none_or(|tree| files.are_of(tree));
            kernel.module_files().filter(is_current)
        };
        if let Some(files) = current() {
            return Ok(files);
        }
        let failed = |error: StoreError| NoModuleFiles(error.reason());
        let _guard = self.lock_kernel(&spec.name, step).map_err(failed)?;
        if let Some(files) = current() {
            return Ok(files);
        }
        let is_packaged = matches!(spec.source, Source::Apt { .. } | Source::Repository(_));
        let gone = || NoModuleFiles("the archive no longer has the package with the modules of this kernel".to_owned());
        if is_packaged && kernel.modules_are_gone() {
            return Err(gone());
        }
        if is_packaged && offline {
            return Err(NoModuleFiles("its modules are not stored, and `--offline` forbids fetching them".to_owned()));
        }
        self.fetch_modules(spec, kernel, (lock, offline), step).map_err(failed)?;
        let none = || match is_packaged {
            true => gone(),
            false => NoModuleFiles(self.why_none(spec, kernel)),
        };
        current().ok_or_else(none)
    }

    /// The directory in which the modules of a kernel that was built here are.
    fn built_tree(&self, spec: &KernelSpec) -> Option<PathBuf> {
        match &spec.source {
            Source::Tree { tree } => Some(tree.clone()),
            Source::Build { .. } => Some(vng_build::output(self, &spec.name)),
            _ => None,
        }
    }

    /// Why a source other than an archive of packages has no modules, as a lowercase fragment.
    fn why_none(&self, spec: &KernelSpec, kernel: &StoredKernel) -> String {
        match &spec.source {
            Source::Tree { tree } => {
                format!("no modules are built in `{}`; `make modules` builds them", tree.display())
            }
            Source::Build { .. } => format!(
                "`vng --build` builds none; `make O={} modules` in the tree does",
                vng_build::output(self, &spec.name).display()
            ),
            Source::Path { modules: Some(modules), .. } => format!("`{}` has none", modules.display()),
            Source::Path { .. } => {
                "its table in the manifest names none: `modules = \"FOLDER\"` says where they are".to_owned()
            }
            Source::Host => format!("`/lib/modules/{}` has none", kernel.identity.release),
            _ if kernel.has_modules() => format!(
                "the store has the kernel without their files, as older versions kept it; after `corematrix kernels rm {}` it is fetched \
                 with them",
                spec.name
            ),
            Source::Oci { .. } => "its image has none".to_owned(),
            Source::Disk { .. } => "none were found on its disk".to_owned(),
            Source::Package { .. } => "the packages that its table names have none".to_owned(),
            source => format!("its source, {}, has none", source.label()),
        }
    }

    /// Keeps what the modules of a kernel have, and their files. The caller holds the kernel's lock.
    fn fetch_modules(
        &self,
        spec: &KernelSpec,
        kernel: &StoredKernel,
        (lock, offline): (&LockFile, bool),
        step: &dyn Fn(String),
    ) -> Result<(), StoreError> {
        let folder = kernel.boot_image.parent().unwrap_or(Path::new(""));
        let staging = Staging::new(&self.locks)?;
        let mut is_gone = false;
        let tree = match &spec.source {
            source @ (Source::Apt { .. } | Source::Repository(_)) => {
                let request = Request::of_kernel(self, spec, (lock, offline), step);
                // Another kernel than the one that is pinned has other modules.
                let pinned =
                    request.pinned(source.label()).filter(|pinned| pinned.image_sha256 == kernel.identity.image_sha256);
                let Some(pinned) = pinned else { return Ok(()) };
                let tree = match source {
                    Source::Repository(repository) => {
                        repository::unpack_modules(&request, repository, &pinned.packages, &staging.work())?
                    }
                    _ => request.unpack_modules(&pinned.packages, &staging.work())?,
                };
                is_gone = tree.is_none();
                tree
            }
            Source::Path { modules: Some(modules), .. } => Some(modules.clone()),
            Source::Path { image, .. } => KernelFiles::find(image).ok().and_then(|tree| tree.modules),
            Source::Tree { .. } | Source::Build { .. } => self.built_tree(spec),
            Source::Host => Some(Path::new("/lib/modules").join(&kernel.identity.release)),
            // What others have of modules came with the kernel.
            Source::Mainline { .. }
            | Source::Disk { .. }
            | Source::Package { .. }
            | Source::Oci { .. }
            | Source::Btf { .. } => None,
        };
        // Another run may be looking: a file is whole or not there.
        let publish = |name: &str| {
            let (from, to) = (staging.entry().join(name), folder.join(name));
            fs::rename(&from, &to).during("create", &to)
        };
        if is_gone {
            let path = staging.entry().join(GONE);
            fs::write(&path, []).during("write", &path)?;
            return publish(GONE);
        }
        let Some(tree) = tree.filter(|tree| tree.is_dir()) else { return Ok(()) };
        let modules = ModuleTree::read(Some(&tree), None).during("read", &tree)?;
        if modules.files().next().is_none() {
            return Ok(());
        }
        let files = staging.entry().join(module_files::FOLDER);
        module_files::keep(&modules, &files).during("write", &files)?;
        let kept = folder.join(module_files::FOLDER);
        let is_new_build = kept.exists();
        if is_new_build {
            // Of the build before. Moved away, since only what is empty can be replaced.
            let before = staging.work().join("before");
            fs::rename(&kept, &before).during("replace", &kept)?;
            for name in [TYPES, FUNCTIONS, module_index::FILE] {
                let _ = fs::remove_file(folder.join(name));
            }
        }
        if is_new_build || !kernel.has_modules() {
            let packed = pack(&modules).during("read the modules in", &tree)?;
            for (name, bytes) in [(TYPES, packed.types), (FUNCTIONS, packed.functions)] {
                let Some(bytes) = bytes else { continue };
                let path = staging.entry().join(name);
                fs::write(&path, bytes).during("write", &path)?;
                publish(name)?;
            }
        }
        publish(module_files::FOLDER)
    }
}

impl Request<'_> {
    /// Unpacks all modules of the pinned build; `None` if the mirror has no package with them.
    fn unpack_modules(&self, pinned: &[LockedPackage], work: &Path) -> Result<Option<PathBuf>, StoreError> {
        let Some(image) = pinned.first() else { return Ok(None) };
        let Some((package, deb)) = self.modules_of(image, work)? else { return Ok(None) };
        (self.step)(format!("reading the modules of {}", package.name));
        let tree = work.join("tree");
        self.unpack(&package, &deb, &tree, &|path| kmod::module_name(path).is_some() || path.ends_with(BUILT_IN))?;
        if let Some((package, deb)) = self.built_in_of(image, work)? {
            self.unpack(&package, &deb, &tree, &|path| path.ends_with(BUILT_IN))?;
        }
        let folders = ["usr/lib/modules", "lib/modules"].map(|folder| tree.join(folder));
        Ok(folders.iter().find_map(|folder| Some(fs::read_dir(folder).ok()?.flatten().next()?.path())))
    }
}

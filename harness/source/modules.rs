//! [`Store::learn_modules`]: fetches the modules that a kernel came without.
//!
//! Where the modules are a package of their own, that is larger than the kernel and most runs need nothing of it: it is fetched when a
//! verdict asks, and what it tells is kept.

use std::fs;
use std::path::{Path, PathBuf};

use super::lock_file::{LockFile, LockedPackage};
use super::repository;
use super::request::Request;
use crate::manifest::{KernelSpec, Source};
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree};
use crate::store::modules::{FUNCTIONS, Packed, TYPES, pack};
use crate::store::{Store, StoredKernel};

/// An empty file in an entry: the archive has no modules for this kernel any more.
const NOTHING: &str = "modules.gone";

impl Store {
    /// The kernel with what its modules tell, which is fetched if the store does not have it and an archive of packages does. A kernel
    /// whose modules cannot be had is given back as it is.
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
        let (Some(folder), source @ (Source::Apt { .. } | Source::Repository(_))) =
            (kernel.boot_image.parent(), &spec.source)
        else {
            return Ok(kernel.clone());
        };
        let known = |kernel: StoredKernel| kernel.has_modules() || offline || folder.join(NOTHING).exists();
        if known(kernel.clone()) {
            return Ok(kernel.clone());
        }
        let _guard = self.lock_kernel(&spec.name, step)?;
        let kernel = kernel.clone().with_learned(folder);
        if known(kernel.clone()) {
            return Ok(kernel);
        }
        let what = format!("kernel `{}`", spec.name);
        let request = Request {
            store: self,
            name: &spec.name,
            what,
            lock,
            offline,
            fresh: false,
            archive: match source {
                Source::Apt { archive, .. } => archive.as_ref(),
                _ => None,
            },
            step,
        };
        // Another kernel than the one that is pinned has other modules.
        let pinned =
            request.pinned(source.label()).filter(|pinned| pinned.image_sha256 == kernel.identity.image_sha256);
        let Some(pinned) = pinned else { return Ok(kernel) };
        let staging = Staging::new(&self.locks)?;
        let tree = match source {
            Source::Repository(repository) => {
                repository::unpack_modules(&request, repository, &pinned.packages, &staging.work())?
            }
            _ => request.unpack_modules(&pinned.packages, &staging.work())?,
        };
        let packed = match &tree {
            Some(tree) => {
                let modules = ModuleTree::read(Some(tree), None).during("read", tree)?;
                pack(&modules).during("read the modules in", tree)?
            }
            None => Packed::default(),
        };
        let nothing = (packed.types.is_none() && packed.functions.is_none()).then(Vec::new);
        for (name, bytes) in [(TYPES, packed.types), (FUNCTIONS, packed.functions), (NOTHING, nothing)] {
            let Some(bytes) = bytes else { continue };
            // Another run may be looking: a file is whole or not there.
            let path = staging.entry().join(name);
            fs::write(&path, bytes).during("write", &path)?;
            let target = folder.join(name);
            fs::rename(&path, &target).during("create", &target)?;
        }
        Ok(kernel.with_learned(folder))
    }
}

impl Request<'_> {
    /// Unpacks all modules of the pinned build; `None` if the mirror has no package with them any more.
    fn unpack_modules(&self, pinned: &[LockedPackage], work: &Path) -> Result<Option<PathBuf>, StoreError> {
        let Some(image) = pinned.first() else { return Ok(None) };
        let Some((package, deb)) = self.modules_of(image, work)? else { return Ok(None) };
        (self.step)(format!("reading the modules of {}", package.name));
        let tree = work.join("tree");
        self.unpack(&package, &deb, &tree, &|path| kmod::module_name(path).is_some())?;
        Ok(Some(tree).filter(|tree| tree.is_dir()))
    }
}

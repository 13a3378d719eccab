//! [`KernelBuild`]: the packages of one kernel or tool, downloaded and unpacked as far as they are needed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::file_name::file_name;
use crate::source::apt::kernel_packages::{self, KernelPackages};
use crate::source::apt::lists::{Downloaded, Package};
use crate::source::archive::deb;
use crate::source::kernel_files::{KernelFiles, is_kernel_file};
use crate::source::lock_file::{LockedPackage, archive_mark};
use crate::source::request::Request;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree};

/// A downloaded build, unpacked as far as needed.
pub(in crate::source) struct KernelBuild {
    pub delivery: Delivery,
    /// What it consists of, the package with the image first.
    pub packages: Vec<LockedPackage>,
    pub staging: Staging,
}

impl Request<'_> {
    /// Downloads and unpacks a build; the inner error names the package that is gone.
    pub fn download(&self, candidate: &KernelPackages) -> Result<Result<KernelBuild, String>, StoreError> {
        let staging = Staging::new(&self.store.locks)?;
        let work = staging.work();
        let tree = work.join("tree");
        let mut fetched = None;
        for image in &candidate.images {
            if let Some(deb) = self.fetch(image, &work)? {
                fetched = Some((image, deb));
                break;
            }
        }
        let Some((image, image_deb)) = fetched else {
            return Ok(Err(candidate.images[0].to_string()));
        };
        self.unpack(image, &image_deb, &tree, &is_kernel_file)?;
        if KernelFiles::find(&tree).is_err() {
            return Ok(Err(format!("the package with the image of {image}")));
        }
        let archive = self.archive_mark();
        let mut packages = vec![locked(image, &archive)];
        let mut notes = Vec::new();
        let mut debs = vec![(image.clone(), image_deb)];
        if candidate.split {
            let base = match &candidate.base {
                Some(base) => self.fetch(base, &work)?.map(|deb| (base, deb)),
                None => None,
            };
            match &base {
                Some((base, deb)) => {
                    self.unpack(base, deb, &tree, &is_kernel_file)?;
                    packages.push(locked(base, &archive));
                    debs.push(((*base).clone(), deb.clone()));
                }
                None => {
                    let name = if kernel_packages::is_binary(&image.name) { "linux-base" } else { "linux-modules" };
                    notes.push(format!("the mirror has no `{name}` package with the config of {image}"));
                }
            }
            // Most kernels of this kind have virtio built in, and their modules are the largest part.
            if base.is_some()
                && !drivers(&tree)?.has_all()
                && let Some(modules) = &candidate.modules
            {
                match self.fetch(modules, &work)? {
                    Some(deb) => {
                        self.unpack(modules, &deb, &tree, &is_kernel_file)?;
                        packages.push(locked(modules, &archive));
                        debs.push((modules.clone(), deb));
                    }
                    None => notes.push(format!("{modules} is gone from the mirror")),
                }
            }
        }
        self.complete_modules(&debs, &tree)?;
        let found = KernelFiles::find(&tree).map_err(|reason| self.corrupt(image, reason))?;
        let delivery = Delivery {
            what: self.what.clone(),
            source: format!("apt: {} {} {}", image.suite, image.name, image.version),
            image: found.image,
            config: found.config,
            modules: found.modules,
            notes,
        };
        Ok(Ok(KernelBuild { delivery, packages, staging }))
    }

    /// Unpacks dependencies of the wanted modules that no pattern foresaw.
    fn complete_modules(&self, debs: &[(Package, PathBuf)], tree: &Path) -> Result<(), StoreError> {
        let mut tried = BTreeSet::new();
        let image = &debs[0].0;
        loop {
            let selection = kmod::select(&drivers(tree)?)
                .map_err(|(name, reason)| self.corrupt(image, format!("module `{name}`: {reason}")))?;
            let missing: Vec<String> =
                selection.missing.into_iter().filter(|name| tried.insert(name.clone())).collect();
            if missing.iter().all(|name| name.starts_with("virtio")) {
                return Ok(());
            }
            let wanted = |path: &str| {
                kmod::module_name(path).is_some_and(|name| missing.contains(&name) && !is_kernel_file(path))
            };
            for (package, deb) in debs {
                self.unpack(package, deb, tree, &wanted)?;
            }
        }
    }

    /// Downloads a package to `work`; `None` if it is gone from the mirror.
    pub fn fetch(&self, package: &Package, work: &Path) -> Result<Option<PathBuf>, StoreError> {
        (self.step)(format!("downloading {}", package.name));
        match self.store.apt(self.archive).download(&self.what, package, &work.join(file_name(&package.name)))? {
            Downloaded::Done(deb) => Ok(Some(deb)),
            Downloaded::Gone => {
                (self.step)(format!("{} is gone from the mirror", package.name));
                Ok(None)
            }
        }
    }

    fn corrupt(&self, package: &Package, reason: String) -> StoreError {
        StoreError::Corrupt { what: format!("{}: package {package}", self.what), reason }
    }

    /// Unpacks the wanted files of a package.
    pub fn unpack(
        &self,
        package: &Package,
        deb: &Path,
        into: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        match deb::unpack(deb, into, wanted) {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) =>
            {
                Err(error).during("unpack to", into)
            }
            Err(error) => Err(self.corrupt(package, error.to_string())),
        }
    }
}

/// Identifies a build by its packages, but for those that follow from the others.
pub(in crate::source) fn key(packages: &[LockedPackage]) -> String {
    let binary = packages.first().is_some_and(|first| kernel_packages::is_binary(&first.name));
    let relevant = packages.iter().filter(|package| !kernel_packages::follows(&package.name, binary));
    checksum::of_bytes(relevant.map(|package| package.sha256.as_str()).collect::<Vec<_>>().join(" ").as_bytes())
}

impl Request<'_> {
    /// What the lock file calls the archive that apt looks in; nothing for the machine's own.
    pub fn archive_mark(&self) -> String {
        self.archive.map_or_else(String::new, |archive| archive_mark(&archive.mirror))
    }
}

/// The package as it is pinned.
pub(in crate::source) fn locked(package: &Package, archive: &str) -> LockedPackage {
    LockedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: String::new(),
        archive: archive.to_owned(),
        suite: package.suite.clone(),
        sha256: package.sha256.clone(),
    }
}

fn drivers(tree: &Path) -> Result<ModuleTree, StoreError> {
    let (modules, config) = match KernelFiles::find(tree) {
        Ok(found) => (found.modules, found.config),
        Err(_) => (None, None),
    };
    ModuleTree::read(modules.as_deref(), config.as_deref()).during("read", tree)
}

//! [`KernelBuild`]: the packages of one kernel, downloaded, verified and unpacked as far as they are needed.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::manifest::{Repository, RepositoryFormat};
use crate::source::archive::bounded::UnpackRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::{rpm as rpm_archive, tarball};
use crate::source::download::Download;
use crate::source::kernel_files::{KernelFiles, is_kernel_file};
use crate::source::lock_file::LockedPackage;
use crate::source::mapped::mapped;
use crate::source::repository::index::Index;
use crate::source::repository::kernel_packages::KernelPackages;
use crate::source::repository::listed::{Listed, joined};
use crate::source::repository::{apk, archive_of, pacman, rpm};
use crate::source::request::Request;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree};

/// Packages with all debug information may have a gigabyte.
const LARGEST: u64 = 2 << 30;

/// A downloaded build.
pub(super) struct KernelBuild {
    pub delivery: Delivery,
    /// What it consists of, the package with the image first.
    pub packages: Vec<LockedPackage>,
    pub staging: Staging,
}

/// Packages of the repositories of one kernel.
#[derive(Clone, Copy)]
pub(super) struct Packages<'a> {
    pub request: &'a Request<'a>,
    pub repository: &'a Repository,
}

impl Packages<'_> {
    /// Downloads and unpacks a build; the inner error names the package that cannot be used.
    pub fn build(&self, candidate: &KernelPackages) -> Result<Result<KernelBuild, String>, StoreError> {
        let staging = Staging::new(&self.request.store.locks)?;
        let (work, tree) = (staging.work(), staging.work().join("tree"));
        fs::create_dir_all(&tree).during("create", &tree)?;
        let image = &candidate.image;
        let Some(file) = self.fetch(image, &work)? else { return Ok(Err(image.to_string())) };
        let mut packages = vec![locked(self.repository, image, &file)?];
        self.unpack(image, &file, &tree, &is_kernel_file)?;
        if KernelFiles::find(&tree).is_err() {
            return Ok(Err(format!("{image}, which contains no kernel image")));
        }
        let mut notes = Vec::new();
        // A kernel with virtio built in needs no modules, and they are its largest part. Else all are fetched: what some of them say must not
        // pass for all.
        let needed = if is_complete(&tree)? { &[][..] } else { &candidate.modules[..] };
        for modules in needed {
            match self.fetch(modules, &work)? {
                Some(file) => {
                    packages.push(locked(self.repository, modules, &file)?);
                    self.unpack(modules, &file, &tree, &is_kernel_file)?;
                }
                None => notes.push(format!("{modules} is gone from the repository")),
            }
        }
        let found = KernelFiles::find(&tree).map_err(|reason| self.corrupt(image, &reason))?;
        let label = self.repository.format.label();
        let delivery = Delivery {
            what: self.request.what.clone(),
            source: format!("{label}: {} {}", image.name, image.version),
            image: found.image,
            config: found.config,
            modules: found.modules,
            notes,
        };
        Ok(Ok(KernelBuild { delivery, packages, staging }))
    }

    /// Unpacks all packages with modules; `None` if no repository has one.
    pub fn modules(&self, candidate: &KernelPackages, work: &Path) -> Result<Option<PathBuf>, StoreError> {
        let tree = work.join("tree");
        // Where modules have no package of their own, they are in that with the image.
        let own = Some(&candidate.image).filter(|_| candidate.modules.is_empty());
        for package in own.into_iter().chain(&candidate.modules) {
            if let Some(file) = self.fetch(package, work)? {
                self.unpack(package, &file, &tree, &|path| kmod::module_name(path).is_some())?;
            }
        }
        Ok(Some(tree).filter(|tree| tree.is_dir()))
    }

    /// Downloads a package to `work` and verifies it; `None` if all mirrors have lost it.
    fn fetch(&self, listed: &Listed, work: &Path) -> Result<Option<PathBuf>, StoreError> {
        let Request { store, what, step, .. } = self.request;
        step(format!("downloading {}", listed.name));
        let index = Index { request: self.request, repository: self.repository, at: listed.repository };
        let state = index.state()?;
        let sha256 = listed.digest.as_ref().and_then(|digest| digest.sha256());
        let mut failure = None;
        for base in &state.bases {
            // That of a database of Arch is the directory that it lies in.
            let folder = match self.repository.format {
                RepositoryFormat::Pacman => base.rsplit_once('/').map_or(base.as_str(), |(folder, _)| folder),
                _ => base,
            };
            let Some(url) = joined(folder, &listed.location) else {
                return Err(self.corrupt(listed, "its index names a path outside the repository"));
            };
            let name = sha256.map_or_else(|| checksum::of_bytes(url.as_bytes()), str::to_owned);
            let mut waiting = || step(format!("waiting for another run that downloads {}", listed.name));
            let _guard = store.locks.take(&format!("download-{}", &name[..20]), &mut waiting)?;
            let begun = store.downloads().join(&name);
            let server = self.request.server(&url);
            let download = Download { what, url: &url, headers: &[], sha256, limit: LARGEST, server, step: *step };
            let answered = download.answer(&begun).and_then(|response| match response.status {
                200..300 => Ok(true),
                404 | 410 => Ok(false),
                _ => Err(download.refused(&response)),
            });
            match answered {
                Ok(true) => {
                    let file = work.join(&name);
                    fs::rename(&begun, &file).during("move to", &file)?;
                    self.verify(listed, &file, &url, &index, work)?;
                    return Ok(Some(file));
                }
                Ok(false) => {}
                // Another mirror may be whole.
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
                    let _ = fs::remove_file(&begun);
                    failure = failure.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => {
                step(format!("{} is gone from the repository", listed.name));
                Ok(None)
            }
        }
    }

    /// Checks a package against its index and its signature.
    fn verify(
        &self,
        listed: &Listed,
        file: &Path,
        url: &str,
        index: &Index<'_>,
        work: &Path,
    ) -> Result<(), StoreError> {
        if let Some(digest) = &listed.digest
            && !digest.is_of(file).during("read", file)?
        {
            return Err(self.corrupt(listed, "its checksum does not match the index"));
        }
        let (keys, is_signed) = (index.keys()?, index.state()?.is_signed);
        let verified = match self.repository.format {
            RepositoryFormat::Rpm => rpm::verify(self.request, file, listed, keys.as_ref(), is_signed, work)?,
            RepositoryFormat::Pacman => {
                pacman::verify(self.request, (file, url), listed, keys.as_ref(), is_signed, work)?
            }
            RepositoryFormat::Apk => {
                let bytes = mapped(file).during("read", file)?;
                apk::data(&bytes, listed).map(drop).map_err(|error| error.to_string())
            }
        };
        verified.map_err(|reason| self.corrupt(listed, &reason))
    }

    fn unpack(
        &self,
        listed: &Listed,
        file: &Path,
        into: &Path,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        (self.request.step)(format!("unpacking {}", listed.name));
        let mut room = UnpackRoom::default();
        let unpacked = match self.repository.format {
            RepositoryFormat::Rpm => rpm_archive::unpack(file, into, is_wanted).map(drop),
            RepositoryFormat::Pacman => File::open(file)
                .and_then(|opened| unpacked(BufReader::new(opened)))
                .and_then(|data| tarball::unpack(data, into, is_wanted, &mut room))
                .map(drop),
            RepositoryFormat::Apk => mapped(file).and_then(|bytes| {
                let data = unpacked(apk::data(&bytes, listed)?)?;
                tarball::unpack(data, into, is_wanted, &mut room).map(drop)
            }),
        };
        match unpacked {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Err(error).during("unpack to", into)
            }
            unpacked => unpacked.map_err(|error: io::Error| self.corrupt(listed, &error.to_string())),
        }
    }

    fn corrupt(&self, listed: &Listed, reason: &str) -> StoreError {
        StoreError::Corrupt { what: format!("{}: package {listed}", self.request.what), reason: reason.to_owned() }
    }
}

/// Whether a tree has all modules that a guest needs, and those that they need.
fn is_complete(tree: &Path) -> Result<bool, StoreError> {
    let Ok(found) = KernelFiles::find(tree) else { return Ok(false) };
    let modules = ModuleTree::read(found.modules.as_deref(), found.config.as_deref()).during("read", tree)?;
    Ok(modules.has_all() && kmod::select(&modules).is_ok_and(|selection| selection.missing.is_empty()))
}

/// The package as it is pinned.
fn locked(repository: &Repository, listed: &Listed, file: &Path) -> Result<LockedPackage, StoreError> {
    Ok(LockedPackage {
        name: listed.name.clone(),
        version: listed.version.clone(),
        architecture: listed.arch.clone(),
        archive: archive_of(repository, listed),
        suite: String::new(),
        sha256: checksum::of_file(file).during("read", file)?,
    })
}

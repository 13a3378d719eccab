//! [`Request`]: a kernel or package that is requested from the store, and what every source does alike.

use crate::manifest::{Archive, KernelSpec, Source};
use crate::record::KernelIdentity;
use crate::source::apt;
use crate::source::disk;
use crate::source::download;
use crate::source::host;
use crate::source::lock_file::{LockFile, LockedKernel, archive_mark};
use crate::source::mainline;
use crate::source::oci;
use crate::source::package_files;
use crate::source::path;
use crate::source::repository;
use crate::source::tree;
use crate::source::unreachable::Unreachable;
use crate::source::vng_build;
use crate::store::Store;
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::StoreError;

/// What is requested and how, handed down to the source.
pub(super) struct Request<'a> {
    pub store: &'a Store,
    /// Of the kernel or package.
    pub name: &'a str,
    /// The same for messages, such as ``kernel `5.10` ``.
    pub what: String,
    pub lock: &'a LockFile,
    /// Nothing may be fetched.
    pub offline: bool,
    /// What is pinned does not count: the newest is wanted.
    pub fresh: bool,
    /// Where apt looks; without one, in the machine's own archive.
    pub archive: Option<&'a Archive>,
    /// Called with what takes time.
    pub step: &'a dyn Fn(String),
}

/// A kernel as its source delivered it, ready to become an entry.
pub(super) struct Fetched {
    /// Identifies the entry: the same for the same kernel, at least 12 hex digits.
    pub key: String,
    pub delivery: Delivery,
    pub staging: Staging,
    /// What the user of this run should know and later runs need not.
    pub notes: Vec<String>,
}

impl<'a> Request<'a> {
    /// For what belongs to the packages of a kernel, from the archive that its source names.
    pub fn of_kernel(
        store: &'a Store,
        spec: &'a KernelSpec,
        (lock, offline): (&'a LockFile, bool),
        step: &'a dyn Fn(String),
    ) -> Request<'a> {
        let archive = match &spec.source {
            Source::Apt { archive, .. } => archive.as_ref(),
            _ => None,
        };
        let what = format!("kernel `{}`", spec.name);
        Request { store, name: &spec.name, what, lock, offline, fresh: false, archive, step }
    }
}

impl Request<'_> {
    /// The kernel from the first source that has it. One that is pinned goes first: a run takes what the last one took.
    pub fn kernel(&self, spec: &KernelSpec) -> Result<StoredKernel, StoreError> {
        let pinned = self.lock.kernel(&spec.name).filter(|_| !self.fresh);
        // BTF without an image boots nothing.
        let mut sources: Vec<&Source> = spec.sources().filter(|one| !matches!(one, Source::Btf { .. })).collect();
        if sources.is_empty() {
            return Err(self.unavailable(
                "only its BTF is known, so it cannot be booted".to_owned(),
                "`corematrix run` and `corematrix predict` make predictions from its BTF",
            ));
        }
        sources.sort_by_key(|source| pinned.as_ref().is_none_or(|pinned| !may_have(source, pinned)));
        let mut failures: Vec<(&Source, StoreError)> = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            match self.from(source) {
                Ok(mut kernel) => {
                    kernel.notes.extend(failures.iter().map(|(tried, error)| missed(tried, error)));
                    return Ok(kernel);
                }
                Err(error) if error.is_unavailable() => {
                    // With `--offline` the user knows that.
                    if at + 1 < sources.len() && !matches!(error, StoreError::Offline { .. }) {
                        (self.step)(missed(source, &error));
                    }
                    failures.push((*source, error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.none_of(failures))
    }

    /// See [`Store::newest_version`].
    pub fn newest_version(&self, spec: &KernelSpec) -> Result<Option<(String, String)>, StoreError> {
        let Some(pinned) = self.lock.kernel(&spec.name) else { return Ok(None) };
        let of_label = || spec.sources().find(|one| one.label() == pinned.source);
        let source = spec.sources().find(|one| may_have(one, &pinned)).or_else(of_label);
        let newest = match source {
            Some(Source::Apt { suites, packages, archive }) => {
                let request = Request { what: self.what.clone(), archive: archive.as_ref(), ..*self };
                apt::newest_version(&request, suites, packages)?
            }
            Some(Source::Repository(repository)) => repository::newest_version(self, repository)?,
            Some(Source::Oci { image }) => oci::newest_digest(self, image)?,
            Some(Source::Disk { disk, .. }) => match disk::served::newest(self, disk)? {
                Some(newest) => newest,
                None => return Ok(None),
            },
            Some(Source::Mainline { version, mirror, keys }) if version.ends_with(".*") => {
                let newest = mainline::newest_version(
                    self,
                    &mainline::Asked { version, mirror: mirror.as_deref(), keys: keys.as_ref() },
                )?;
                return Ok(pinned.version.map(|old| (old, newest)));
            }
            _ => return Ok(None),
        };
        let old = pinned.packages.first().map(|package| package.version.clone()).or(pinned.digest);
        Ok(old.map(|old| (old, newest)))
    }

    fn from(&self, source: &Source) -> Result<StoredKernel, StoreError> {
        match source {
            Source::Apt { suites, packages, archive } => {
                let request = Request { what: self.what.clone(), archive: archive.as_ref(), ..*self };
                apt::kernel(&request, suites, packages)
            }
            Source::Repository(repository) => repository::kernel(self, repository),
            Source::Path { image, modules, config } => {
                path::kernel(self, (image, modules.as_deref(), config.as_deref()))
            }
            Source::Tree { tree } => tree::kernel(self, tree),
            Source::Build { tree, version, config } => {
                vng_build::kernel(self, tree, version.as_deref(), config.as_deref())
            }
            Source::Host => host::kernel(self),
            Source::Disk { disk, release } => disk::kernel(self, disk, release.as_deref()),
            Source::Package { files } => package_files::kernel(self, files),
            Source::Oci { image } => oci::kernel(self, image),
            Source::Mainline { version, mirror, keys } => {
                mainline::kernel(self, &mainline::Asked { version, mirror: mirror.as_deref(), keys: keys.as_ref() })
            }
            // No one asks for it.
            Source::Btf { .. } => Err(self.unavailable("a kernel of source `btf` cannot be booted".to_owned(), "")),
        }
    }

    /// One failure for those of all sources.
    fn none_of(&self, mut failures: Vec<(&Source, StoreError)>) -> StoreError {
        if failures.len() == 1 || failures.iter().all(|(_, error)| matches!(error, StoreError::Offline { .. })) {
            return failures.swap_remove(0).1;
        }
        let reasons = failures.iter().map(|(source, error)| format!("{}: {}", source.label(), error.reason()));
        StoreError::Unavailable {
            what: self.what.clone(),
            reason: reasons.collect::<Vec<_>>().join("; "),
            hint: failures.iter().find_map(|(_, error)| error.hint()),
        }
    }

    /// What is pinned for this kernel from `source`, unless the newest is wanted.
    pub fn pinned(&self, source: &str) -> Option<LockedKernel> {
        self.lock.kernel(self.name).filter(|pinned| pinned.source == source && !self.fresh)
    }

    /// Says that the source does not have it.
    pub fn unavailable(&self, reason: String, hint: &str) -> StoreError {
        StoreError::Unavailable { what: self.what.clone(), reason, hint: Some(hint.to_owned()) }
    }

    /// What is known about the server of an address. One on this machine takes no time to ask.
    pub fn server(&self, url: &str) -> Unreachable {
        let host = download::host(url);
        Unreachable::at(self.store.root(), host, self.fresh || crate::manifest::is_this_machine(host))
    }

    /// Refuses to fetch if the run is offline.
    pub fn may_fetch(&self) -> Result<(), StoreError> {
        match self.offline {
            true => Err(StoreError::Offline { what: self.what.clone() }),
            false => Ok(()),
        }
    }

    /// Makes the entry, checks it against what is pinned, and pins what `locked` makes of it.
    pub fn publish(
        &self,
        fetched: Fetched,
        pinned: Option<&LockedKernel>,
        locked: &dyn Fn(&KernelIdentity) -> LockedKernel,
    ) -> Result<StoredKernel, StoreError> {
        let Fetched { key, delivery, staging, notes } = fetched;
        self.store.make(self.name, &key, delivery, staging, notes, &|entry| {
            if let Some(pinned) = pinned {
                self.expect_identity(pinned, &entry.identity)?;
            }
            self.lock.set_kernel(self.name, locked(&entry.identity))
        })
    }

    /// Makes the entry of a kernel that is the user's own and may change any time.
    pub fn publish_unpinned(&self, fetched: Fetched) -> Result<StoredKernel, StoreError> {
        let Fetched { key, delivery, staging, notes } = fetched;
        self.store.make(self.name, &key, delivery, staging, notes, &|_| Ok(()))
    }

    /// Compares a kernel with what `kernels.lock` says of it.
    pub fn expect_identity(&self, pinned: &LockedKernel, found: &KernelIdentity) -> Result<(), StoreError> {
        crate::source::expect(&self.what, "release", &pinned.release, &found.release)?;
        crate::source::expect(&self.what, "sha256 of the image", &pinned.image_sha256, &found.image_sha256)
    }
}

/// Whether what is pinned may be of this source.
fn may_have(source: &Source, pinned: &LockedKernel) -> bool {
    let Some(package) = pinned.packages.first() else { return pinned.source == source.label() };
    pinned.source == source.label()
        && match source {
            Source::Apt { archive, .. } => {
                package.may_be_of(&archive.as_ref().map_or_else(String::new, |archive| archive_mark(&archive.mirror)))
            }
            Source::Repository(repository) => repository::may_have(repository, package),
            _ => true,
        }
}

/// Says that a source was passed over.
fn missed(source: &Source, error: &StoreError) -> String {
    format!("source `{source}` is unavailable: {}", error.reason())
}

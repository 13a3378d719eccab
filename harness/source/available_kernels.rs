//! [`Store::offers`]: every kernel that the sources of a manifest have, build by build.

use std::cmp::Ordering;

use glob::Pattern;

use crate::manifest::{Archive, KernelSpec, Repository, Source};
use crate::source::apt::kernel_packages::{self, release_of};
use crate::source::apt::lists::regex_of_glob;
use crate::source::lock_file::LockFile;
use crate::source::repository;
use crate::source::request::Request;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::version;

/// A kernel that can be had.
#[derive(Debug, Clone, PartialEq)]
pub struct AvailableKernel {
    /// How to get it: a kernel of the manifest, or one build of what a kernel of the manifest may be.
    pub spec: KernelSpec,
    /// Its version as its source counts, such as `6.1.176-1`.
    pub version: String,
}

impl Store {
    /// The kernels of a manifest and, unless `offline`, all other builds that their archives of packages list; oldest first. Fetches
    /// lists of packages and nothing else. A kernel whose version nobody knows, such as an image on this machine, is left out.
    ///
    /// # Errors
    /// See [`StoreError`]. An archive that cannot be reached offers nothing, which `step` gets.
    pub fn offers(
        &self,
        manifest: &[KernelSpec],
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<Vec<AvailableKernel>, StoreError> {
        let mut offers: Vec<AvailableKernel> = Vec::new();
        for spec in manifest {
            let pinned = lock.kernel(&spec.name);
            let release = pinned.as_ref().map(|pinned| pinned.release.clone());
            let version = match &spec.source {
                // Of a series the one that is pinned.
                Source::Mainline { version, .. } if version.ends_with(".*") => {
                    pinned.and_then(|pinned| Some(pinned.version?.trim_start_matches('v').to_owned()))
                }
                Source::Mainline { version, .. } => Some(version.trim_start_matches('v').to_owned()),
                _ => pinned.and_then(|pinned| Some(pinned.packages.first()?.version.clone())),
            };
            offers.extend(version.map(|version| AvailableKernel { spec: spec.clone(), version }));
            if let (Source::Apt { suites, packages, archive }, false) = (&spec.source, offline) {
                let builds = self.builds(spec, (suites, packages, archive.as_ref()), lock, step)?;
                offers.extend(builds.into_iter().filter(|build| Some(&build.spec.name) != release.as_ref()));
            }
            if let (Source::Repository(repository), false) = (&spec.source, offline) {
                offers.extend(self.builds_of_repository(spec, repository, lock, step)?);
            }
        }
        offers.sort_by(|a, b| version::compare(&a.version, &b.version).then_with(|| named_last(a, b)));
        let mut seen: Vec<String> = Vec::new();
        // Suites share builds, and a kernel of the manifest goes before the same build by its own name.
        offers.retain(|offer| {
            let is_new = !seen.contains(&offer.spec.name);
            seen.push(offer.spec.name.clone());
            is_new
        });
        Ok(offers)
    }

    /// The builds that a kernel of the manifest may be: those of the best glob that matches any.
    fn builds(
        &self,
        spec: &KernelSpec,
        (suites, globs, archive): (&[String], &[String], Option<&Archive>),
        lock: &LockFile,
        step: &dyn Fn(String),
    ) -> Result<Vec<AvailableKernel>, StoreError> {
        let what = format!("kernel `{}`", spec.name);
        let request =
            Request { store: self, name: &spec.name, what, lock, offline: false, fresh: false, archive, step };
        for glob in globs {
            let Ok(pattern) = Pattern::new(glob) else { continue };
            let listed = match request.listed(suites, &regex_of_glob(glob), false) {
                Ok((listed, _)) => listed,
                Err(error) if error.is_unavailable() => {
                    step(error.reason());
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            };
            let candidates = kernel_packages::candidates(&[pattern], suites, &listed);
            let builds: Vec<AvailableKernel> =
                candidates.iter().filter_map(|build| Some(offer(spec, archive, build.images.first()?))).collect();
            if !builds.is_empty() {
                return Ok(builds);
            }
        }
        Ok(Vec::new())
    }
}

impl Store {
    /// The builds that a kernel of the manifest may be, but for the one that is pinned.
    fn builds_of_repository(
        &self,
        spec: &KernelSpec,
        repository: &Repository,
        lock: &LockFile,
        step: &dyn Fn(String),
    ) -> Result<Vec<AvailableKernel>, StoreError> {
        let (name, what) = (spec.name.as_str(), format!("kernel `{}`", spec.name));
        let request = Request { store: self, name, what, lock, offline: false, fresh: false, archive: None, step };
        let builds = match repository::builds(&request, repository) {
            // Why was said.
            Err(error) if error.is_unavailable() => Vec::new(),
            builds => builds?,
        };
        let pinned = lock.kernel(&spec.name).and_then(|pinned| Some(pinned.packages.first()?.version.clone()));
        let builds = builds.into_iter().filter(|(.., version)| pinned.as_ref() != Some(version));
        let offer = |(package, name, version)| {
            let source = Source::Repository(Repository { packages: vec![package], ..repository.clone() });
            AvailableKernel { spec: KernelSpec { name, source, ..spec.clone() }, version }
        };
        Ok(builds.map(offer).collect())
    }
}

/// One build as a kernel of its own, called by its release.
fn offer(spec: &KernelSpec, archive: Option<&Archive>, image: &crate::source::apt::lists::Package) -> AvailableKernel {
    let name = release_of(&image.name).unwrap_or(&image.name).to_owned();
    let source = Source::Apt {
        suites: vec![image.suite.clone()],
        packages: vec![image.name.clone()],
        archive: archive.cloned(),
    };
    AvailableKernel { spec: KernelSpec { name, source, ..spec.clone() }, version: image.version.clone() }
}

/// Short names are those of the manifest.
fn named_last(a: &AvailableKernel, b: &AvailableKernel) -> Ordering {
    a.spec.name.len().cmp(&b.spec.name.len())
}

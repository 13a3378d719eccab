//! [`Store::builds`]: the builds of a kernel that its archive has; [`Store::offers`]: those of all kernels of a manifest.

use std::cmp::Ordering;

use glob::Pattern;

use crate::manifest::{Archive, KernelSpec, Source, split_name};
use crate::source::apt::kernel_packages::{self, release_of};
use crate::source::apt::lists::regex_of_glob;
use crate::source::lock_file::LockFile;
use crate::source::repository;
use crate::source::request::Request;
use crate::source::{mainline, mainline::Asked};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::version;

/// A kernel that is available.
#[derive(Debug, Clone, PartialEq)]
pub struct AvailableKernel {
    /// How to get it: a kernel of the manifest, or one build of what a kernel of the manifest may be.
    pub spec: KernelSpec,
    /// Its version as its source counts, such as `6.1.176-1`.
    pub version: String,
}

/// A build, as an archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Build {
    /// Its release or, where the archive does not give that, its version.
    pub name: String,
    /// Its version as its source counts.
    pub version: String,
}

impl Store {
    /// The builds of a kernel that the first of its archives has that answers, oldest first, each as a separate kernel. Fetches lists and
    /// nothing else.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::is_unavailable`] if no archive answers or none has a build.
    pub fn builds(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        anew: bool,
        step: &dyn Fn(String),
    ) -> Result<Vec<AvailableKernel>, StoreError> {
        let what = format!("kernel `{}`", spec.name);
        let request =
            Request { store: self, name: &spec.name, what, lock, offline: false, fresh: anew, archive: None, step };
        let mut failure = None;
        for source in spec.sources().filter(|source| source.has_builds()) {
            let found = match source {
                Source::Apt { suites, packages, archive } => request.apt_builds(suites, packages, archive.as_ref()),
                Source::Repository(repository) => repository::builds(&request, repository),
                Source::Mainline { version, mirror, keys } => {
                    mainline::builds(&request, &Asked { version, mirror: mirror.as_deref(), keys: keys.as_ref() })
                }
                _ => continue,
            };
            match found {
                Ok(builds) if !builds.is_empty() => {
                    let offer = |build: Build| {
                        Some(AvailableKernel { spec: spec.build(&build.name).ok()?, version: build.version })
                    };
                    return Ok(builds.into_iter().filter_map(offer).collect());
                }
                Ok(_) => {
                    let reason = format!("{source}: no builds found");
                    let hint = "choose packages that the archive has".to_owned();
                    failure.get_or_insert(StoreError::Unavailable {
                        what: request.what.clone(),
                        reason,
                        hint: Some(hint),
                    });
                }
                Err(error) if error.is_unavailable() => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| request.unavailable("its source has one build".to_owned(), "")))
    }

    /// The kernels of a manifest and, unless `offline`, all other builds that their archives of packages list; oldest first. Fetches
    /// lists of packages and nothing else. A kernel whose version no one knows, such as an image on this machine, is left out.
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
            let image = pinned.as_ref().and_then(|pinned| pinned.packages.first());
            let version = match &spec.source {
                // Of a series the one that is pinned.
                Source::Mainline { version, .. } if version.ends_with(".*") => {
                    let version = pinned.as_ref().and_then(|pinned| pinned.version.as_ref());
                    version.map(|version| version.trim_start_matches('v').to_owned())
                }
                Source::Mainline { version, .. } => Some(version.trim_start_matches('v').to_owned()),
                _ => image.map(|image| image.version.clone()),
            };
            let is_archive = matches!(spec.source, Source::Apt { .. } | Source::Repository(_));
            let builds = match is_archive && !offline {
                true => self.builds(spec, lock, false, step),
                false => Ok(Vec::new()),
            };
            let builds = match builds {
                Err(error) if error.is_unavailable() => {
                    step(error.reason());
                    Vec::new()
                }
                builds => builds?,
            };
            // That which is pinned is known by the kernel's own name.
            let is_pinned = |build: &AvailableKernel| {
                let release = pinned.as_ref().map(|pinned| pinned.release.as_str());
                let is_release = release.is_some() && split_name(&build.spec.name).1 == release;
                match &spec.source {
                    Source::Apt { .. } => is_release,
                    _ => version.as_ref() == Some(&build.version),
                }
            };
            offers.extend(builds.into_iter().filter(|build| !is_pinned(build)));
            offers.extend(version.map(|version| AvailableKernel { spec: spec.clone(), version }));
        }
        offers.sort_by(|a, b| version::compare(&a.version, &b.version).then_with(|| named_last(a, b)));
        let mut seen: Vec<String> = Vec::new();
        // Suites share builds, and kernels of a manifest their archives.
        offers.retain(|offer| {
            let name = split_name(&offer.spec.name).1.unwrap_or(&offer.spec.name);
            let is_new = !seen.iter().any(|seen| seen == name);
            seen.push(name.to_owned());
            is_new
        });
        Ok(offers)
    }
}

impl Request<'_> {
    /// The builds that the best glob matches which matches any, oldest first.
    fn apt_builds(
        &self,
        suites: &[String],
        globs: &[String],
        archive: Option<&Archive>,
    ) -> Result<Vec<Build>, StoreError> {
        let request = Request { what: self.what.clone(), archive, ..*self };
        for glob in globs {
            let Ok(pattern) = Pattern::new(glob) else { continue };
            let (listed, _) = request.listed(suites, &regex_of_glob(glob), self.fresh)?;
            let mut builds: Vec<Build> = Vec::new();
            // The newest first, so that of several packages of one release that one is taken.
            for candidate in kernel_packages::candidates(&[pattern], suites, &listed) {
                let Some(image) = candidate.images.first() else { continue };
                let name = release_of(&image.name).unwrap_or(&image.name).to_owned();
                if !builds.iter().any(|build| build.name == name) {
                    builds.push(Build { name, version: image.version.clone() });
                }
            }
            if !builds.is_empty() {
                builds.reverse();
                return Ok(builds);
            }
        }
        Ok(Vec::new())
    }
}

/// Short names are those of the manifest.
fn named_last(a: &AvailableKernel, b: &AvailableKernel) -> Ordering {
    a.spec.name.len().cmp(&b.spec.name.len())
}

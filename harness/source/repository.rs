//! [`kernel`]: a kernel from a repository of `.rpm`, of Alpine's `.apk` or of Arch's packages, pinned in `kernels.lock`.

mod apk;
mod build;
pub(in crate::source) mod digest;
mod index;
mod kernel_packages;
pub(super) mod keys;
mod listed;
mod mirrors;
mod pacman;
mod rpm;
mod version;
mod xml;

use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::checksum;
use crate::manifest::Repository;
use crate::record::KernelIdentity;
use crate::source::available_kernels::Build;
use crate::source::lock_file::{LockedKernel, LockedPackage, archive_mark};
use crate::source::repository::build::{KernelBuild, Packages};
use crate::source::repository::index::Index;
use crate::source::repository::kernel_packages::{KernelPackages, candidates, is_wanted, put_together};
use crate::source::repository::listed::{Listed, is_build, plain_version};
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::error::StoreError;

const ANOTHER_GLOB: &str = "choose a package that the repository still has, or another source for this kernel";

/// The kernel of a `Source::Repository`.
pub(super) fn kernel(request: &Request<'_>, repository: &Repository) -> Result<StoredKernel, StoreError> {
    let globs = globs(request, repository)?;
    // What is pinned counts only as long as the manifest still asks for it.
    let pinned = request.pinned(repository.format.label()).filter(|pinned| {
        let name_and_version = |image: &LockedPackage| format!("{}-{}", image.name, plain_version(&image.version));
        let is_meant =
            |image: &LockedPackage, glob: &Pattern| glob.matches(&image.name) || glob.matches(&name_and_version(image));
        let is_asked =
            |image: &LockedPackage| repository.build.as_ref().is_none_or(|build| is_build(&image.version, build));
        let image = pinned.packages.first();
        image.is_some_and(|image| is_asked(image) && globs.iter().any(|glob| is_meant(image, glob)))
    });
    if let Some(pinned) = &pinned
        && let Some(stored) = request.store.stored(request.name, &key(&pinned.packages), Vec::new())
    {
        request.expect_identity(pinned, &stored.identity)?;
        return Ok(stored);
    }
    request.may_fetch()?;
    let from = Packages { request, repository };
    let mut gone = None;
    if let Some(pinned) = &pinned {
        if let Some(build) = as_pinned(&from, &globs, &pinned.packages)? {
            return finish(request, repository, build, Some(pinned), Vec::new());
        }
        gone = Some(request.when_gone(&pinned.packages[0])?);
    }
    newest(&from, &globs, gone)
}

/// The version of the package that the newest kernel would be taken from, by a fresh index.
pub(super) fn newest_version(request: &Request<'_>, repository: &Repository) -> Result<String, StoreError> {
    let globs = globs(request, repository)?;
    let (listed, _) = listed(request, repository, &globs, true)?;
    let newest = candidates(repository, &globs, &listed).into_iter().next();
    newest.map(|build| build.image.version).ok_or_else(|| no_match(request, repository))
}

/// The builds that may be meant, oldest first: of the best glob that matches any.
pub(super) fn builds(request: &Request<'_>, repository: &Repository) -> Result<Vec<Build>, StoreError> {
    let globs = globs(request, repository)?;
    let (listed, _) = listed(request, repository, &globs, request.fresh)?;
    let mut builds: Vec<Build> = Vec::new();
    for glob in globs.chunks(1) {
        for KernelPackages { image, .. } in candidates(repository, glob, &listed) {
            let name = image.plain_version().to_owned();
            if !builds.iter().any(|build| build.name == name) {
                builds.push(Build { name, version: image.version });
            }
        }
        if !builds.is_empty() {
            break;
        }
    }
    builds.reverse();
    Ok(builds)
}

/// Unpacks all modules of the pinned build; `None` if no repository has a package with them.
pub(super) fn unpack_modules(
    request: &Request<'_>,
    repository: &Repository,
    pinned: &[LockedPackage],
    work: &Path,
) -> Result<Option<PathBuf>, StoreError> {
    let globs = globs(request, repository)?;
    let (listed, _) = listed(request, repository, &globs, false)?;
    let Some(candidate) = pinned.first().and_then(|image| pinned_build(repository, &listed, image)) else {
        return Ok(None);
    };
    (request.step)(format!("reading the modules of {}", candidate.image));
    Packages { request, repository }.modules(&candidate, work)
}

fn globs(request: &Request<'_>, repository: &Repository) -> Result<Vec<Pattern>, StoreError> {
    repository
        .packages
        .iter()
        .map(|glob| Pattern::new(glob))
        .collect::<Result<_, _>>()
        .map_err(|error| request.unavailable(format!("invalid package glob: {error}"), "correct it in the manifest"))
}

/// The packages of all repositories that answer, and whether any index changed.
fn listed(
    request: &Request<'_>,
    repository: &Repository,
    globs: &[Pattern],
    again: bool,
) -> Result<(Vec<Listed>, bool), StoreError> {
    let (mut all, mut changed, mut failure) = (Vec::new(), false, None);
    for index in Index::all(request, repository) {
        let found = index.update(again).and_then(|new| {
            changed |= new;
            index.packages(&|listed| is_wanted(globs, listed))
        });
        match found {
            Ok(found) => all.extend(found),
            Err(error) if error.is_unavailable() => {
                (request.step)(error.reason());
                failure = failure.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    match failure {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok((all, changed)),
    }
}

fn pinned_build(repository: &Repository, listed: &[Listed], image: &LockedPackage) -> Option<KernelPackages> {
    let is_it = |listed: &&Listed| {
        let is_arch = image.architecture.is_empty() || image.architecture == listed.arch;
        listed.name == image.name && listed.version == image.version && listed.arch == std::env::consts::ARCH && is_arch
    };
    let sha256 = |listed: &Listed| listed.digest.as_ref().and_then(|digest| digest.sha256()).map(str::to_owned);
    let is_same = |listed: &&Listed| sha256(listed).as_ref() == Some(&image.sha256);
    // Another archive may have another package of this name and version.
    let may_be = |listed: &&Listed| sha256(listed).is_none() || image.may_be_of(&archive_of(repository, listed));
    let exact = listed.iter().filter(is_it).find(is_same);
    let found = exact.or_else(|| listed.iter().filter(is_it).find(may_be));
    found.map(|found| put_together(repository, found, listed))
}

/// What the lock file calls the archive of a package.
fn archive_of(repository: &Repository, listed: &Listed) -> String {
    repository.addresses.get(listed.repository).map_or_else(String::new, |address| archive_mark(address.text()))
}

/// Whether a package that is pinned may be of this repository.
pub(super) fn may_have(repository: &Repository, pinned: &LockedPackage) -> bool {
    repository.addresses.iter().any(|address| pinned.may_be_of(&archive_mark(address.text())))
}

/// The pinned build; `None` if a part of it is gone, even from a fresh index.
fn as_pinned(
    from: &Packages<'_>,
    globs: &[Pattern],
    pinned: &[LockedPackage],
) -> Result<Option<KernelBuild>, StoreError> {
    let Packages { request, repository } = *from;
    for again in [false, true] {
        let (listed, changed) = listed(request, repository, globs, again)?;
        if again && !changed {
            break;
        }
        let Some(candidate) = pinned.first().and_then(|image| pinned_build(repository, &listed, image)) else {
            continue;
        };
        for locked in pinned {
            let all = std::iter::once(&candidate.image).chain(&candidate.modules);
            let found = all.filter(|listed| listed.name == locked.name).find_map(|listed| listed.digest.as_ref());
            expect_sum(request, locked, found.and_then(|digest| digest.sha256()))?;
        }
        if let Ok(build) = from.build(&candidate)? {
            let is_other = |locked: &&LockedPackage| {
                let found = build.packages.iter().find(|package| package.name == locked.name);
                found.is_some_and(|found| found.sha256 != locked.sha256 && !locked.may_be_of(&found.archive))
            };
            if pinned.iter().any(|locked| is_other(&locked)) {
                return Ok(None);
            }
            for locked in pinned {
                let found = build.packages.iter().find(|package| package.name == locked.name);
                expect_sum(request, locked, found.map(|package| package.sha256.as_str()))?;
            }
            if build.packages.len() == pinned.len() {
                return Ok(Some(build));
            }
        }
    }
    Ok(None)
}

/// Compares a package with what is pinned, where its checksum is known.
fn expect_sum(request: &Request<'_>, locked: &LockedPackage, found: Option<&str>) -> Result<(), StoreError> {
    let field = format!("sha256 of `{}` {}", locked.name, locked.version);
    found.map_or(Ok(()), |found| crate::source::expect(&request.what, &field, &locked.sha256, found))
}

/// The newest build that is available.
fn newest(from: &Packages<'_>, globs: &[Pattern], gone: Option<String>) -> Result<StoredKernel, StoreError> {
    let Packages { request, repository } = *from;
    let mut vanished: Vec<String> = Vec::new();
    // Who wants the newest does not trust an index of an earlier run.
    let tries: &[bool] = if request.fresh { &[true] } else { &[false, true] };
    for &again in tries {
        let (listed, changed) = listed(request, repository, globs, again)?;
        if again && !changed && !request.fresh {
            break;
        }
        vanished.clear();
        for candidate in candidates(repository, globs, &listed) {
            let mut notes = Vec::new();
            if let Some(gone) = &gone {
                notes.push(format!("pinned {gone} is gone from the repository; using {}", candidate.image.version));
            }
            if !vanished.is_empty() {
                notes.push(format!("listed but not available: {}", vanished.join(", ")));
            }
            if let Some(stored) = already_stored(request, repository, &candidate, &notes)? {
                return Ok(stored);
            }
            match from.build(&candidate)? {
                Ok(build) => return finish(request, repository, build, None, notes),
                Err(package) => vanished.push(package),
            }
        }
    }
    Err(match vanished.is_empty() {
        true => no_match(request, repository),
        false => request.unavailable(format!("listed but not available: {}", vanished.join(", ")), ANOTHER_GLOB),
    })
}

fn no_match(request: &Request<'_>, repository: &Repository) -> StoreError {
    let build = repository.build.as_ref().map_or_else(String::new, |build| format!(" with version {build}"));
    let reason = format!("no package of its repositories matches `{}`{build}", repository.packages.join("`, `"));
    request.unavailable(reason, ANOTHER_GLOB)
}

/// A build that is in the store though the lock does not know it yet (a new lock file, an old store). What it was made of besides the package
/// with the image is not known, so only a kernel of one package is taken.
fn already_stored(
    request: &Request<'_>,
    repository: &Repository,
    candidate: &KernelPackages,
    notes: &[String],
) -> Result<Option<StoredKernel>, StoreError> {
    let image = &candidate.image;
    let Some(sha256) = image.digest.as_ref().and_then(|digest| digest.sha256()) else { return Ok(None) };
    let packages = vec![LockedPackage {
        name: image.name.clone(),
        version: image.version.clone(),
        architecture: image.arch.clone(),
        archive: archive_of(repository, image),
        suite: String::new(),
        sha256: sha256.to_owned(),
    }];
    let Some(stored) = request.store.stored(request.name, &key(&packages), notes.to_vec()) else { return Ok(None) };
    if !candidate.modules.is_empty() && !stored.modules.is_empty() {
        return Ok(None);
    }
    request.lock.set_kernel(request.name, pin(repository, &stored.identity, packages))?;
    Ok(Some(stored))
}

/// Makes the entry, checks it against the lock, and pins it.
fn finish(
    request: &Request<'_>,
    repository: &Repository,
    build: KernelBuild,
    pinned: Option<&LockedKernel>,
    notes: Vec<String>,
) -> Result<StoredKernel, StoreError> {
    let KernelBuild { delivery, packages, staging } = build;
    let fetched = Fetched { key: key(&packages), delivery, staging, notes };
    request.publish(fetched, pinned, &|identity| pin(repository, identity, packages.clone()))
}

/// Identifies a build: its other packages follow from that with the image.
fn key(packages: &[LockedPackage]) -> String {
    let image = packages.first().map_or("", |image| image.sha256.as_str());
    checksum::of_bytes(image.as_bytes())
}

fn pin(repository: &Repository, identity: &KernelIdentity, packages: Vec<LockedPackage>) -> LockedKernel {
    LockedKernel {
        source: repository.format.label().to_owned(),
        version: None,
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages,
    }
}

/// Reads an index to its end, as tests of its readers want it.
#[cfg(test)]
pub(super) fn read_index(format: crate::manifest::RepositoryFormat, index: &Path) -> std::io::Result<usize> {
    use crate::manifest::RepositoryFormat;
    let all = |_: &Listed| true;
    let listed = match format {
        RepositoryFormat::Rpm => rpm::packages(index, &all),
        RepositoryFormat::Apk => apk::packages(index, &all),
        RepositoryFormat::Pacman => pacman::packages(index, &all),
    };
    listed.map(|listed| listed.len())
}

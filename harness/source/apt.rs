//! [`kernel`]: a kernel from Debian packages, pinned in `kernels.lock`.

pub(super) mod kernel_packages;
pub(super) mod lists;
mod mirror;
pub(super) mod packages;
pub(super) mod tool_package;

use glob::Pattern;

use crate::record::KernelIdentity;
use crate::source::apt::kernel_packages::KernelPackages;
use crate::source::apt::lists::{Package, regex_of_glob};
use crate::source::apt::packages::{KernelBuild, key, locked};
use crate::source::lock_file::{LockedKernel, LockedPackage, WhenGone};
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::error::StoreError;

const ANOTHER_SERIES: &str = "choose a series that the mirror still has, or another source for this kernel";

/// The kernel of a `Source::Apt`.
pub(super) fn kernel(request: &Request<'_>, suites: &[String], globs: &[String]) -> Result<StoredKernel, StoreError> {
    let Request { store, .. } = request;
    let patterns = patterns(request, globs)?;
    // What is pinned counts only as long as the manifest still asks for it.
    let pinned = request.pinned("apt").filter(|pinned| {
        let image = pinned.packages.first();
        image.is_some_and(|image| suites.contains(&image.suite) && kernel_packages::matches(&patterns, &image.name))
    });
    if let Some(pinned) = &pinned
        && let Some(stored) = store.stored(request.name, &key(&pinned.packages), Vec::new())
    {
        request.expect_identity(pinned, &stored.identity)?;
        return Ok(stored);
    }
    request.may_fetch()?;
    let mut gone = None;
    if let Some(pinned) = &pinned {
        if let Some(build) = request.listed_as_pinned(&pinned.packages)? {
            return request.finish(build, Some(pinned), Vec::new());
        }
        gone = Some(request.when_gone(&pinned.packages[0])?);
    }
    request.newest(suites, globs, &patterns, gone)
}

/// The version of the package that the newest kernel would be taken from, by fresh lists.
pub(super) fn newest_version(request: &Request<'_>, suites: &[String], globs: &[String]) -> Result<String, StoreError> {
    let patterns = patterns(request, globs)?;
    let mut regex: Vec<String> = globs.iter().map(|glob| regex_of_glob(glob)).collect();
    regex.push(kernel_packages::SIBLINGS.to_owned());
    let (listed, _) = request.listed(suites, &regex.join("|"), true)?;
    let newest = kernel_packages::candidates(&patterns, suites, &listed).into_iter().next();
    newest.map(|candidate| candidate.images[0].version.clone()).ok_or_else(|| request.no_match(suites, globs))
}

fn patterns(request: &Request<'_>, globs: &[String]) -> Result<Vec<Pattern>, StoreError> {
    globs
        .iter()
        .map(|glob| Pattern::new(glob))
        .collect::<Result<_, _>>()
        .map_err(|error| request.unavailable(format!("invalid package glob: {error}"), "correct it in the manifest"))
}

impl Request<'_> {
    /// The version that is gone, if the user wants the newest instead.
    pub fn when_gone(&self, locked: &LockedPackage) -> Result<String, StoreError> {
        match self.lock.when_gone() {
            WhenGone::Newest => Ok(locked.version.clone()),
            WhenGone::Stop => Err(StoreError::Gone {
                what: self.what.clone(),
                version: format!("`{}` {}", locked.name, locked.version),
            }),
        }
    }

    /// The pinned build; `None` if a part of it is gone, even from fresh lists.
    fn listed_as_pinned(&self, locked: &[LockedPackage]) -> Result<Option<KernelBuild>, StoreError> {
        let suite = &locked[0].suite;
        for again in [false, true] {
            if !self.store.apt(self.archive).update(&self.what, suite, again, self.step)? && again {
                break;
            }
            let names: Vec<String> = locked.iter().map(|package| regex_of_glob(&package.name)).collect();
            let listed = self.store.apt(self.archive).packages(&self.what, suite, &names.join("|"))?;
            let Some(found) = self.all_listed(locked, &listed)? else {
                continue;
            };
            let Some(candidate) = kernel_packages::of_packages(&found) else { continue };
            match self.download(&candidate)? {
                Ok(build) if build.packages.len() == locked.len() => return Ok(Some(build)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The locked packages in the index; `None` if one is not there.
    pub fn all_listed(&self, locked: &[LockedPackage], listed: &[Package]) -> Result<Option<Vec<Package>>, StoreError> {
        let mut found = Vec::new();
        for wanted in locked {
            let same = |package: &&Package| package.name == wanted.name && package.version == wanted.version;
            let exact = listed.iter().filter(same).find(|package| package.sha256 == wanted.sha256);
            let Some(package) = exact.or_else(|| listed.iter().find(same)) else {
                return Ok(None);
            };
            // Another archive may have another package of this name and version.
            if exact.is_none() && !wanted.may_be_of(&self.archive_mark()) {
                return Ok(None);
            }
            let field = format!("sha256 of {package}");
            crate::source::expect(&self.what, &field, &wanted.sha256, &package.sha256)?;
            found.push(package.clone());
        }
        Ok(Some(found))
    }

    /// The newest build that is available.
    fn newest(
        &self,
        suites: &[String],
        globs: &[String],
        patterns: &[Pattern],
        gone: Option<String>,
    ) -> Result<StoredKernel, StoreError> {
        let mut regex: Vec<String> = globs.iter().map(|glob| regex_of_glob(glob)).collect();
        regex.push(kernel_packages::SIBLINGS.to_owned());
        let mut vanished: Vec<String> = Vec::new();
        // Who wants the newest does not trust lists of an earlier run.
        let tries: &[bool] = if self.fresh { &[true] } else { &[false, true] };
        for &again in tries {
            let (listed, changed) = self.listed(suites, &regex.join("|"), again)?;
            if again && !changed && !self.fresh {
                break;
            }
            vanished.clear();
            for candidate in kernel_packages::candidates(patterns, suites, &listed) {
                let mut notes = Vec::new();
                if let Some(gone) = &gone {
                    let image = &candidate.images[0].version;
                    notes.push(format!("pinned {gone} is gone from the mirror; using {image}"));
                }
                if !vanished.is_empty() {
                    notes.push(format!("listed but gone from the mirror: {}", vanished.join(", ")));
                }
                if let Some(stored) = self.already_stored(&candidate, &notes)? {
                    return Ok(stored);
                }
                match self.download(&candidate)? {
                    Ok(build) => return self.finish(build, None, notes),
                    Err(package) => vanished.push(package),
                }
            }
        }
        Err(match vanished.is_empty() {
            true => self.no_match(suites, globs),
            false => {
                let reason = format!("listed but gone from the mirror: {}", vanished.join(", "));
                self.unavailable(reason, ANOTHER_SERIES)
            }
        })
    }

    fn no_match(&self, suites: &[String], globs: &[String]) -> StoreError {
        let reason = format!("no package in {} matches `{}`", suites.join(", "), globs.join("`, `"));
        self.unavailable(reason, ANOTHER_SERIES)
    }

    /// The packages of all suites that answer, and whether any list changed.
    pub fn listed(&self, suites: &[String], regex: &str, again: bool) -> Result<(Vec<Package>, bool), StoreError> {
        let mut listed = Vec::new();
        let mut changed = false;
        let mut failure = None;
        for suite in suites {
            match self.store.apt(self.archive).update(&self.what, suite, again, self.step) {
                Ok(new) => {
                    changed |= new;
                    listed.extend(self.store.apt(self.archive).packages(&self.what, suite, regex)?);
                }
                Err(error) if error.is_unavailable() => {
                    (self.step)(error.reason());
                    failure = failure.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(error) if listed.is_empty() => Err(error),
            _ => Ok((listed, changed)),
        }
    }

    /// A build that is in the store though the lock does not know it yet (a new lock file, an old store).
    fn already_stored(&self, candidate: &KernelPackages, notes: &[String]) -> Result<Option<StoredKernel>, StoreError> {
        let archive = self.archive_mark();
        let mut packages: Vec<LockedPackage> =
            candidate.images.iter().take(1).chain(&candidate.base).map(|package| locked(package, &archive)).collect();
        let Some(stored) = self.store.stored(self.name, &key(&packages), notes.to_vec()) else {
            return Ok(None);
        };
        // Of modules in two packages, the first had them: the second is fetched where something is missing.
        let needed = |package: &&Package| !stored.modules.is_empty() && !kernel_packages::follows(&package.name, false);
        packages.extend(candidate.modules.iter().filter(needed).map(|package| locked(package, &archive)));
        self.lock.set_kernel(self.name, pin(&stored.identity, packages))?;
        Ok(Some(stored))
    }

    /// Makes the entry, checks it against the lock, and pins it.
    fn finish(
        &self,
        build: KernelBuild,
        pinned: Option<&LockedKernel>,
        notes: Vec<String>,
    ) -> Result<StoredKernel, StoreError> {
        (self.step)(format!("unpacking {}", build.packages[0].name));
        let KernelBuild { delivery, packages, staging } = build;
        let fetched = Fetched { key: key(&packages), delivery, staging, notes };
        self.publish(fetched, pinned, &|identity| pin(identity, packages.clone()))
    }
}

fn pin(identity: &KernelIdentity, packages: Vec<LockedPackage>) -> LockedKernel {
    LockedKernel {
        source: "apt".to_owned(),
        version: None,
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages,
    }
}

//! [`kernel`]: a kernel from Debian packages, pinned in `kernels.lock`; and the [`Request`] behind it, for tools too.

use glob::Pattern;

use super::apt::{Package, regex_of_glob};
use super::build::{Build, key, locked};
use super::candidates::{self, Candidate};
use super::error::StoreError;
use super::lockfile::{LockFile, LockedKernel, LockedPackage, WhenGone};
use super::{Store, StoredKernel};
use crate::manifest::KernelSpec;

/// What is asked for and how, handed down together.
pub(super) struct Request<'a> {
    pub store: &'a Store,
    /// Of the kernel or package.
    pub name: &'a str,
    /// The same for messages, such as ``kernel `5.10` ``.
    pub what: String,
    pub lock: &'a LockFile,
    pub step: &'a dyn Fn(String),
}

/// The kernel of a `Source::Apt`.
pub(super) fn kernel(
    store: &Store,
    spec: &KernelSpec,
    (suites, globs): (&[String], &[String]),
    lock: &LockFile,
    offline: bool,
    step: &dyn Fn(String),
) -> Result<StoredKernel, StoreError> {
    let request = Request { store, name: &spec.name, what: format!("kernel `{}`", spec.name), lock, step };
    let patterns = request.patterns(globs)?;
    // What is pinned counts only as long as the manifest still asks for it.
    let pinned = lock.kernel(&spec.name).filter(|pinned| {
        let image = pinned.packages.first();
        pinned.source == "apt"
            && image.is_some_and(|image| suites.contains(&image.suite) && candidates::matches(&patterns, &image.name))
    });
    if let Some(pinned) = &pinned
        && let Some(stored) = store.stored(&spec.name, &key(&pinned.packages), Vec::new())
    {
        super::expect(&request.what, "release", &pinned.release, &stored.identity.release)?;
        super::expect(&request.what, "sha256 of the image", &pinned.image_sha256, &stored.identity.image_sha256)?;
        return Ok(stored);
    }
    if offline {
        return Err(StoreError::Offline { what: request.what });
    }
    let mut gone = None;
    if let Some(pinned) = &pinned {
        if let Some(build) = request.pinned(&pinned.packages)? {
            return request.finish(build, Some(pinned), Vec::new());
        }
        gone = Some(request.when_gone(&pinned.packages[0])?);
    }
    request.newest(suites, globs, &patterns, gone, false)
}

/// The newest kernel of a `Source::Apt` by fresh lists, whatever is pinned.
pub(super) fn newest(
    store: &Store,
    spec: &KernelSpec,
    (suites, globs): (&[String], &[String]),
    lock: &LockFile,
    step: &dyn Fn(String),
) -> Result<StoredKernel, StoreError> {
    let request = Request { store, name: &spec.name, what: format!("kernel `{}`", spec.name), lock, step };
    let patterns = request.patterns(globs)?;
    request.newest(suites, globs, &patterns, None, true)
}

impl Request<'_> {
    fn patterns(&self, globs: &[String]) -> Result<Vec<Pattern>, StoreError> {
        globs.iter().map(|glob| Pattern::new(glob)).collect::<Result<_, _>>().map_err(|error| StoreError::Unavailable {
            what: self.what.clone(),
            reason: format!("its package glob is not one: {error}"),
            hint: Some("correct it in the manifest".to_owned()),
        })
    }

    /// Says that the mirror does not have it.
    pub fn unavailable(&self, reason: String, hint: &str) -> StoreError {
        StoreError::Unavailable { what: self.what.clone(), reason, hint: Some(hint.to_owned()) }
    }

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
    fn pinned(&self, locked: &[LockedPackage]) -> Result<Option<Build>, StoreError> {
        let suite = &locked[0].suite;
        for again in [false, true] {
            if !self.store.apt().update(&self.what, suite, again, self.step)? && again {
                break;
            }
            let names: Vec<String> = locked.iter().map(|package| regex_of_glob(&package.name)).collect();
            let listed = self.store.apt().packages(&self.what, suite, &names.join("|"))?;
            let Some(found) = self.all_listed(locked, &listed)? else {
                continue;
            };
            let role = |prefix: &str| found.iter().find(|package| package.name.starts_with(prefix)).cloned();
            let candidate = Candidate {
                split: found[0].name.starts_with("linux-binary-"),
                base: role("linux-base-"),
                modules: role("linux-modules-"),
                images: vec![found[0].clone()],
            };
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
            let Some(package) = listed.iter().find(same) else {
                return Ok(None);
            };
            let field = format!("sha256 of {package}");
            super::expect(&self.what, &field, &wanted.sha256, &package.sha256)?;
            found.push(package.clone());
        }
        Ok(Some(found))
    }

    /// The newest build that can be had; `fresh` does not trust lists of an earlier run.
    fn newest(
        &self,
        suites: &[String],
        globs: &[String],
        patterns: &[Pattern],
        gone: Option<String>,
        fresh: bool,
    ) -> Result<StoredKernel, StoreError> {
        let mut regex: Vec<String> = globs.iter().map(|glob| regex_of_glob(glob)).collect();
        regex.push(candidates::SIBLINGS.to_owned());
        let mut vanished: Vec<String> = Vec::new();
        let tries: &[bool] = if fresh { &[true] } else { &[false, true] };
        for &again in tries {
            let (listed, changed) = self.listed(suites, &regex.join("|"), again)?;
            if again && !changed && !fresh {
                break;
            }
            vanished.clear();
            for candidate in candidates::candidates(patterns, suites, &listed) {
                let mut notes = Vec::new();
                if let Some(gone) = &gone {
                    let image = &candidate.images[0].version;
                    notes.push(format!("locked {gone} is gone from the mirror, took {image}"));
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
        let hint = "look for a series that the mirror still has, or give this kernel another source";
        Err(self.unavailable(
            match vanished.is_empty() {
                true => format!("no package in {} matches `{}`", suites.join(", "), globs.join("`, `")),
                false => format!("listed but gone from the mirror: {}", vanished.join(", ")),
            },
            hint,
        ))
    }

    /// The packages of all suites that answer, and whether any list changed.
    pub fn listed(&self, suites: &[String], regex: &str, again: bool) -> Result<(Vec<Package>, bool), StoreError> {
        let mut listed = Vec::new();
        let mut changed = false;
        let mut failure = None;
        for suite in suites {
            match self.store.apt().update(&self.what, suite, again, self.step) {
                Ok(new) => {
                    changed |= new;
                    listed.extend(self.store.apt().packages(&self.what, suite, regex)?);
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
    fn already_stored(&self, candidate: &Candidate, notes: &[String]) -> Result<Option<StoredKernel>, StoreError> {
        let mut packages: Vec<LockedPackage> =
            candidate.images.iter().take(1).chain(&candidate.base).map(locked).collect();
        let Some(stored) = self.store.stored(self.name, &key(&packages), notes.to_vec()) else {
            return Ok(None);
        };
        packages.extend(candidate.modules.iter().filter(|_| !stored.modules.is_empty()).map(locked));
        self.pin(&stored.identity.release, &stored.identity.image_sha256, packages)?;
        Ok(Some(stored))
    }

    fn pin(&self, release: &str, image_sha256: &str, packages: Vec<LockedPackage>) -> Result<(), StoreError> {
        let kernel = LockedKernel {
            source: "apt".to_owned(),
            version: None,
            release: release.to_owned(),
            image_sha256: image_sha256.to_owned(),
            packages,
        };
        self.lock.set_kernel(self.name, kernel)
    }

    /// Makes the entry, checks it against the lock, and pins it.
    fn finish(
        &self,
        build: Build,
        pinned: Option<&LockedKernel>,
        notes: Vec<String>,
    ) -> Result<StoredKernel, StoreError> {
        (self.step)(format!("unpacking {}", build.packages[0].name));
        let Build { delivery, packages, staging } = build;
        self.store.make(self.name, &key(&packages), delivery, staging, notes, &|entry| {
            let identity = &entry.identity;
            if let Some(pinned) = pinned {
                super::expect(&self.what, "release", &pinned.release, &identity.release)?;
                super::expect(&self.what, "sha256 of the image", &pinned.image_sha256, &identity.image_sha256)?;
            }
            self.pin(&identity.release, &identity.image_sha256, packages.clone())
        })
    }
}

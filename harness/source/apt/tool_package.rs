//! [`folder`]: the unpacked files of a Debian package of tools, pinned in `kernels.lock`.

use std::path::PathBuf;

use crate::file_name::file_name;
use crate::source::apt::lists::{Package, regex_of_glob};
use crate::source::apt::packages::locked;
use crate::source::lock_file::{LockFile, LockedPackage};
use crate::source::request::Request;
use crate::store::Store;
use crate::store::entry::Staging;
use crate::store::error::StoreError;
use crate::store::version;

/// See [`Store::debian_package`].
pub(in crate::source) fn folder(
    store: &Store,
    name: &str,
    suites: &[String],
    lock: &LockFile,
    offline: bool,
    step: &dyn Fn(String),
) -> Result<PathBuf, StoreError> {
    let request =
        Request { store, name, what: format!("package `{name}`"), lock, offline, fresh: false, archive: None, step };
    let mut waiting = || step(format!("waiting for another run that fetches {name}"));
    let _guard = store.locks.take(&format!("package-{name}"), &mut waiting)?;
    lock.reload()?;
    let pinned = lock.package(name, suites);
    if let Some(folder) = pinned.as_ref().map(|pinned| target(store, pinned)).filter(|folder| folder.is_dir()) {
        return Ok(folder);
    }
    request.may_fetch()?;
    let pattern = regex_of_glob(name);
    let (mut listed, _) = request.listed(suites, &pattern, false)?;
    if let Some(pinned) = &pinned {
        for again in [false, true] {
            if again {
                listed = request.listed(suites, &pattern, true)?.0;
            }
            if let Some(exact) = request.all_listed(std::slice::from_ref(pinned), &listed)?
                && let Some(folder) = install(&request, &exact[0])?
            {
                return Ok(folder);
            }
        }
        let version = request.when_gone(pinned)?;
        step(format!("pinned {version} of {name} is gone from the mirror; using the newest"));
    }
    listed.sort_by(|a, b| version::compare(&b.version, &a.version));
    for package in &listed {
        if let Some(folder) = install(&request, package)? {
            lock.set_package(locked(package, ""), suites)?;
            return Ok(folder);
        }
    }
    let reason = format!("no suite of {} has a file for it", suites.join(", "));
    Err(request.unavailable(reason, "name a suite that has it"))
}

/// Downloads and unpacks the package unless it is there; `None` if it is gone from the mirror.
fn install(request: &Request<'_>, package: &Package) -> Result<Option<PathBuf>, StoreError> {
    let target = target(request.store, &locked(package, ""));
    if target.is_dir() {
        return Ok(Some(target));
    }
    let staging = Staging::new(&request.store.locks)?;
    let Some(deb) = request.fetch(package, &staging.work())? else {
        return Ok(None);
    };
    (request.step)(format!("unpacking {}", package.name));
    request.unpack(package, &deb, &staging.entry(), &|_| true)?;
    staging.publish(&target)?;
    Ok(Some(target))
}

fn target(store: &Store, package: &LockedPackage) -> PathBuf {
    let name = file_name(&format!("{}_{}", package.name, package.version));
    store.root().join("packages").join(format!("{name}-{}", file_name(&package.sha256)))
}

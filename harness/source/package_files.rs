//! [`kernel`]: a kernel from packages of a distribution that are named by their files, here or on a web server.

use std::io::ErrorKind;
use std::path::Path;

use crate::checksum;
use crate::manifest::{FileLocation, PackageFile};
use crate::source::archive::deb;
use crate::source::archive::rpm;
use crate::source::download::{Download, shown};
use crate::source::kernel_files::{KernelFiles, is_kernel_file};
use crate::source::lock_file::LockedKernel;
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};

/// Packages with all debug information may have a gigabyte.
const PACKAGE_LIMIT: u64 = 2 << 30;

/// The kernel of a `Source::Package`. Packages on a server are pinned; those on this machine are the user's own.
pub(super) fn kernel(request: &Request<'_>, files: &[PackageFile]) -> Result<StoredKernel, StoreError> {
    let Request { store, name, what, lock, step, .. } = request;
    let mut sums = Vec::new();
    for file in files {
        sums.push(match (&file.place, &file.sha256) {
            (FileLocation::Path(path), expected) => sum_of(request, path, expected.as_deref())?,
            (FileLocation::Url(_), Some(sha256)) => sha256.clone(),
            (FileLocation::Url(url), None) => {
                return Err(request.unavailable(format!("`{}` has no SHA-256", shown(url)), "add it to the manifest"));
            }
        });
    }
    let key = checksum::of_bytes(sums.join(" ").as_bytes());
    let is_pinned = files.iter().any(|file| matches!(file.place, FileLocation::Url(_)));
    let pinned = request.pinned("package").filter(|pinned| pinned.version.as_ref() == Some(&key));
    if let Some(stored) = store.stored(name, &key, Vec::new()) {
        if let Some(pinned) = &pinned {
            request.expect_identity(pinned, &stored.identity)?;
        } else if is_pinned {
            lock.set_kernel(name, locked(&key, &stored.identity))?;
        }
        return Ok(stored);
    }
    let staging = Staging::new(&store.locks)?;
    let tree = staging.work().join("tree");
    std::fs::create_dir(&tree).during("create", &tree)?;
    for (file, sha256) in files.iter().zip(&sums) {
        let package = match &file.place {
            FileLocation::Path(path) => path.clone(),
            FileLocation::Url(url) => {
                request.may_fetch()?;
                step(format!("downloading {}", shown(url)));
                let path = store.downloads().join(sha256);
                let (limit, server) = (PACKAGE_LIMIT, request.server(url));
                Download { what, url, headers: &[], sha256: Some(sha256), limit, server, step }.to(&path)?;
                path
            }
        };
        step(format!("unpacking {}", file.name()));
        unpack(request, file, &package, &tree)?;
    }
    let found = KernelFiles::find(&tree).map_err(|reason| StoreError::Corrupt {
        what: format!("{what}: `{}`", files.iter().map(PackageFile::name).collect::<Vec<_>>().join("`, `")),
        reason: format!("{reason} (name all packages of the kernel)"),
    })?;
    let delivery = Delivery {
        what: what.clone(),
        source: format!("package: {}", files.iter().map(PackageFile::name).collect::<Vec<_>>().join(", ")),
        image: found.image,
        config: found.config,
        modules: found.modules,
        notes: Vec::new(),
    };
    let fetched = Fetched { key: key.clone(), delivery, staging, notes: Vec::new() };
    let kernel = match is_pinned {
        true => request.publish(fetched, pinned.as_ref(), &|identity| locked(&key, identity))?,
        false => request.publish_unpinned(fetched)?,
    };
    for sha256 in &sums {
        // What cannot be removed is taken by the next one that wants it.
        let _ = std::fs::remove_file(store.downloads().join(sha256));
    }
    Ok(kernel)
}

fn locked(key: &str, identity: &crate::record::KernelIdentity) -> LockedKernel {
    LockedKernel {
        source: "package".to_owned(),
        version: Some(key.to_owned()),
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages: Vec::new(),
    }
}

fn sum_of(request: &Request<'_>, path: &Path, expected: Option<&str>) -> Result<String, StoreError> {
    if !path.is_file() {
        let reason = format!("`{}` is not a file", path.display());
        return Err(request.unavailable(reason, "correct its path in the manifest"));
    }
    let found = checksum::of_file(path).during("read", path)?;
    match expected {
        Some(expected) if expected != found => Err(StoreError::Corrupt {
            what: format!("{}: `{}`", request.what, path.display()),
            reason: format!("its sha256 is `{found}`, expected `{expected}`"),
        }),
        _ => Ok(found),
    }
}

fn unpack(request: &Request<'_>, file: &PackageFile, package: &Path, tree: &Path) -> Result<(), StoreError> {
    let unpacked = match file.name().ends_with(".rpm") {
        true => rpm::unpack(package, tree, &is_kernel_file),
        false => deb::unpack(package, tree, &is_kernel_file),
    };
    match unpacked {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Err(error).during("unpack to", tree)
        }
        Err(error) => {
            Err(StoreError::Corrupt { what: format!("{}: `{}`", request.what, file.name()), reason: error.to_string() })
        }
    }
}

//! [`kernel`]: an upstream version as Ubuntu builds it, fetched by virtme-ng's own downloader.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::checksum;
use crate::process;
use crate::source::kernel_files::KernelFiles;
use crate::source::lock_file::LockedKernel;
use crate::source::request::{Fetched, Request};
use crate::source::unreachable::Unreachable;
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};

/// For a download of about 200 MB; virtme-ng itself gives up on a silent server after half a minute.
const DEADLINE: Duration = Duration::from_secs(1200);
/// The archive, for [`Unreachable`].
const ARCHIVE: &str = "mainline";

/// The kernel of a `Source::Mainline`.
pub(super) fn kernel(request: &Request<'_>, version: &str) -> Result<StoredKernel, StoreError> {
    let Request { store, step, .. } = request;
    let what = request.what.clone();
    let pinned = request.pinned("mainline").filter(|pinned| pinned.version.as_deref() == Some(version));
    if let Some(pinned) = &pinned
        && let Some(stored) = store.stored(request.name, &pinned.image_sha256, Vec::new())
    {
        return Ok(stored);
    }
    request.may_fetch()?;
    let Some(virtme_ng) = store.virtme_ng() else {
        return Err(StoreError::Unavailable {
            what,
            reason: "virtme-ng, which downloads mainline kernels, is not installed".to_owned(),
            hint: Some("install virtme-ng".to_owned()),
        });
    };
    let archive = Unreachable::at(store.root(), ARCHIVE, request.fresh);
    if let Some(reason) = archive.since() {
        return Err(StoreError::Unavailable { what, reason, hint: Some(Unreachable::hint()) });
    }
    step(format!("downloading {version} through virtme-ng"));
    let staging = Staging::new(&store.locks)?;
    let tree = download(&what, virtme_ng, version, &staging.work(), &archive)?;
    archive.forget();
    let image_sha256 = checksum::of_file(&tree.image).during("read", &tree.image)?;
    if let Some(pinned) = &pinned {
        crate::source::expect(&what, "sha256 of the image", &pinned.image_sha256, &image_sha256)?;
    }
    step(format!("unpacking {version}"));
    let delivery = Delivery {
        what: what.clone(),
        source: format!("mainline: {version}, built by Ubuntu"),
        image: tree.image,
        config: tree.config,
        modules: tree.modules,
        notes: Vec::new(),
    };
    let fetched = Fetched { key: image_sha256, delivery, staging, notes: Vec::new() };
    request.publish(fetched, pinned.as_ref(), &|identity| LockedKernel {
        source: "mainline".to_owned(),
        version: Some(version.to_owned()),
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        packages: Vec::new(),
    })
}

/// Has virtme-ng download the version into a home folder of its own: it takes whatever lies in its usual cache for
/// whole, even what a killed download left there.
fn download(
    what: &str,
    virtme_ng: &Path,
    version: &str,
    home: &Path,
    archive: &Unreachable,
) -> Result<KernelFiles, StoreError> {
    let unavailable = |reason: String, hint: Option<&str>| StoreError::Unavailable {
        what: what.to_owned(),
        reason,
        hint: hint.map(str::to_owned),
    };
    // A dry run downloads all the same and starts nothing, but it goes on to compose a machine: with `virtme-run`,
    // which lies beside `vng`, and with the modules, which we do without.
    let mut vng = Command::new(virtme_ng);
    vng.args(["--run", version, "--dry-run", "--skip-modules"]);
    vng.env("HOME", home).current_dir(home);
    let beside = virtme_ng.parent().into_iter().map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = std::env::join_paths(beside.chain(std::env::split_paths(&path))) {
        vng.env("PATH", path);
    }
    let done = process::finish(&mut vng, DEADLINE).map_err(|error| unavailable(error.to_string(), None))?;
    if !done.status.success() {
        let last = done.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        let unreachable = ["ConnectionError", "NameResolutionError", "Timeout", "ProxyError", "SSLError"];
        let (reason, hint) = if unreachable.iter().any(|text| last.contains(text)) {
            let reason = "virtme-ng cannot reach the archive of mainline kernels";
            archive.remember(reason);
            (reason.to_owned(), "check the network and the proxy settings")
        } else if last.contains("error: 404") || last.contains("could not find kernel packages") {
            (format!("the archive of mainline kernels has no `{version}`"), "choose another version in the manifest")
        } else {
            (format!("virtme-ng cannot download `{version}`: {}", last.trim()), "try the same with `vng --run` by hand")
        };
        return Err(unavailable(reason, Some(hint)));
    }
    let cache = home.join(".cache/virtme-ng").join(version);
    let mut found =
        std::fs::read_dir(&cache).into_iter().flatten().flatten().map(|arch| KernelFiles::find(&arch.path()));
    match found.next() {
        Some(Ok(tree)) => Ok(tree),
        Some(Err(reason)) => Err(StoreError::Corrupt { what: format!("{what}: download of `{version}`"), reason }),
        None => {
            Err(unavailable("virtme-ng downloaded nothing".to_owned(), Some("try the same with `vng --run` by hand")))
        }
    }
}

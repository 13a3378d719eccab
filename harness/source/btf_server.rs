//! [`give_missing`]: BTF for a kernel that has none, from an archive laid out as BTFHub's on a web server, by who built the kernel and its
//! release. What was found is remembered beside the kernel, and pinned with it.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::source::download::{Download, shown};
use crate::source::given_btf::{self, ENDINGS};
use crate::source::lock_file::LockedKernel;
use crate::source::request::Request;
use crate::store::StoredKernel;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};
use crate::store::given_btf::file_name;
use crate::whole_file;

/// Beside the kernel.
const FOUND: &str = "btf-of-server.json";
/// BTFHub's files have 1 to 2 MB.
const LARGEST: u64 = 64 << 20;

/// What an archive had.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    /// The archive.
    base: String,
    /// The file; empty if it has none, as is its checksum.
    url: String,
    sha256: String,
}

/// Gives the kernel what the archive at `base` has for it. An archive without it is no failure: the kernel says that it has no BTF. One that does
/// not answer is: no one would know whether the object or the network is to blame.
pub(super) fn give_missing(
    request: &Request<'_>,
    kernel: &mut StoredKernel,
    base: &str,
    pinned: Option<&LockedKernel>,
) -> Result<(), StoreError> {
    let memory = kernel.boot_image.with_file_name(FOUND);
    let known = fs::read(&memory).ok().and_then(|text| serde_json::from_slice::<Found>(&text).ok());
    let known = known.filter(|found| found.base == base && !request.fresh);
    let has_none = |kernel: &mut StoredKernel| {
        let reason = format!("`{}` has no BTF for `{}`", shown(base), kernel.identity.release);
        kernel.notes.push(reason);
        Ok(())
    };
    // Whether it has some by now can only be asked with a network.
    if request.offline && known.as_ref().is_some_and(|found| found.sha256.is_empty()) {
        return has_none(kernel);
    }
    let remember = |url: String, sha256: String| {
        let text = serde_json::to_vec(&Found { base: base.to_owned(), url, sha256 });
        let text = text.map_err(std::io::Error::from).during("write", &memory)?;
        Ok::<(), StoreError>(whole_file::replace(&memory, |out| out.write_all(&text))?)
    };
    if let Some(Found { url, sha256, .. }) = known
        && let Ok(raw) = fs::read(kernel.boot_image.with_file_name(file_name(&sha256)))
    {
        given_btf::install_raw(kernel, &request.what, &raw, PathBuf::from(url))?;
        return pin(request, kernel, pinned);
    }
    let release = kernel.identity.release.clone();
    let note = |kernel: &mut StoredKernel, why: &str| {
        kernel.notes.push(format!("`{}` was not searched for BTF: {why}", shown(base)))
    };
    let Some(builder) = given_btf::builder(kernel) else {
        note(kernel, "the distribution of the kernel is unknown");
        return Ok(());
    };
    let Some(version) = &builder.version else {
        note(kernel, &format!("the version of {} of the kernel is unknown", builder.name));
        return Ok(());
    };
    request.may_fetch()?;
    let staging = Staging::new(&request.store.locks)?;
    let folder = format!("{base}/{}/{version}/x86_64", builder.name);
    for ending in ENDINGS {
        let url = format!("{folder}/{release}{ending}");
        // The ending says how it is packed.
        let file = staging.work().join(format!("types{ending}"));
        let Request { what, step, .. } = request;
        step(format!("looking up the BTF of {release}"));
        let server = request.server(&url);
        let download = Download { what, url: &url, headers: &[], sha256: None, limit: LARGEST, server, step };
        match download.answer(&file)? {
            response if (200..300).contains(&response.status) => {}
            response if matches!(response.status, 404 | 410) => continue,
            response => return Err(download.refused(&response)),
        }
        let raw = given_btf::read(&file).map_err(|reason| StoreError::GivenBtf {
            what: what.clone(),
            path: PathBuf::from(shown(&url)),
            reason,
            hint: "correct `btf` under [defaults]".to_owned(),
        })?;
        given_btf::install_raw(kernel, what, &raw, PathBuf::from(shown(&url)))?;
        let sha256 = kernel.identity.given_btf_sha256.clone().unwrap_or_default();
        pin(request, kernel, pinned)?;
        return remember(shown(&url), sha256);
    }
    remember(String::new(), String::new())?;
    has_none(kernel)
}

/// Pins the BTF with its kernel, and holds it against what was pinned before.
fn pin(request: &Request<'_>, kernel: &StoredKernel, before: Option<&LockedKernel>) -> Result<(), StoreError> {
    let found = kernel.identity.given_btf_sha256.clone().unwrap_or_default();
    let is_same = |before: &&LockedKernel| before.image_sha256 == kernel.identity.image_sha256 && !request.fresh;
    if let Some(expected) = before.filter(is_same).and_then(|before| before.given_btf_sha256.as_ref()) {
        crate::source::expect(&request.what, "sha256 of the given BTF", expected, &found)?;
    }
    match request.lock.kernel(request.name) {
        Some(locked) if locked.given_btf_sha256.as_ref() != Some(&found) => {
            request.lock.set_kernel(request.name, LockedKernel { given_btf_sha256: Some(found), ..locked })
        }
        _ => Ok(()),
    }
}

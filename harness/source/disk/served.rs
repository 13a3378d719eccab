//! [`kernel`]: a kernel from a disk image on a web server, verified by what its publisher says of it, and pinned.

use std::fs;
use std::path::{Path, PathBuf};

use super::delivered;
use crate::checksum;
use crate::manifest::{
    DiskImage, ImageProof, ImageSignature, NewestVersion, ServedImage, TufRepository, VERSION, file_name_of_url,
};
use crate::source::checksum_list::sha256_of;
use crate::source::download::{Download, shown};
use crate::source::lock_file::{LockedKernel, LockedPackage, WhenGone, archive_mark};
use crate::source::repository::keys::{KeyKind, Keys};
use crate::source::request::{Fetched, Request};
use crate::source::tuf::{Lookup, Target};
use crate::store::StoredKernel;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};

/// Packed images of immutable systems have up to 2 GB.
const IMAGE_LIMIT: u64 = 16 << 30;
/// Texts about images.
const TEXT_LIMIT: u64 = 16 << 20;

/// A disk image that was fetched.
struct ServedFile {
    file: PathBuf,
    /// In hex.
    sha256: String,
    /// Its version, if its address has one.
    version: Option<String>,
    /// What the user should know.
    notes: Vec<String>,
}

/// The kernel of an image on a server. Which version it is gets pinned when it is first fetched.
pub(super) fn kernel(
    request: &Request<'_>,
    image: &ServedImage,
    wanted: Option<&str>,
) -> Result<StoredKernel, StoreError> {
    let Request { store, lock, what, .. } = request;
    let asked = archive_mark(&format!("{} {}", image.url, wanted.unwrap_or("*")));
    let mut pinned = request.pinned("disk").filter(|pinned| is_of(pinned, image, &asked));
    if let Some(pinned) = &pinned
        && let Some(stored) = store.stored(request.name, &pinned.image_sha256, Vec::new())
    {
        return Ok(stored);
    }
    request.may_fetch()?;
    let staging = Staging::new(&store.locks)?;
    let mut notes = Vec::new();
    let fetched = match pinned.as_ref().and_then(|pinned| pinned.packages.first()) {
        Some(package) => match fetch_pinned(request, image, package, &staging.work())? {
            None if lock.when_gone() == WhenGone::Stop => {
                let version = format!("disk image {}", package.version);
                return Err(StoreError::Gone { what: what.clone(), version });
            }
            None => {
                notes.push(format!(
                    "the pinned disk image {} is no longer on the server; the newest is pinned now",
                    package.version
                ));
                pinned = None;
                fetch_newest(request, image, &staging.work())?
            }
            Some(found) => found,
        },
        None => fetch_newest(request, image, &staging.work())?,
    };
    let ServedFile { file, sha256, version, notes: of_image } = fetched;
    notes.extend(of_image);
    let url = of_version(&image.url, version.as_deref());
    let delivery = delivered(request, (&file, &shown(&url)), wanted, staging.work())?;
    let image_sha256 = checksum::of_file(&delivery.image).during("read", &delivery.image)?;
    let fetched = Fetched { key: image_sha256, delivery, staging, notes };
    let kernel = request.publish(fetched, pinned.as_ref(), &|identity| LockedKernel {
        source: "disk".to_owned(),
        version: None,
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages: vec![LockedPackage {
            name: file_name_of_url(&url).unwrap_or_default().to_owned(),
            version: version.clone().unwrap_or_else(|| identity.release.clone()),
            architecture: String::new(),
            archive: asked.clone(),
            suite: String::new(),
            sha256: sha256.clone(),
        }],
    })?;
    // What cannot be removed is taken by the next one that wants it.
    let _ = fs::remove_file(&file);
    Ok(kernel)
}

/// The newest version that the server of an image has; `None` of one that has no versions.
pub(in crate::source) fn newest(request: &Request<'_>, disk: &DiskImage) -> Result<Option<String>, StoreError> {
    let DiskImage::Server(image) = disk else { return Ok(None) };
    if !image.has_version() {
        return Ok(None);
    }
    let staging = Staging::new(&request.store.locks)?;
    match (&image.proof, &image.newest) {
        (ImageProof::Tuf(repository), _) => {
            let lookup = Lookup { request, repository, url: &image.url };
            let target = lookup.target(None, &staging.work())?.ok_or_else(|| lookup.not_listed())?;
            Ok(target.version)
        }
        (_, Some(newest)) => newest_version(request, newest, &staging.work()).map(Some),
        (_, None) => Ok(None),
    }
}

/// Whether a pin is of this image as the manifest has it now.
fn is_of(pinned: &LockedKernel, image: &ServedImage, asked: &str) -> bool {
    pinned.packages.first().is_some_and(|package| {
        let is_same = match &image.proof {
            ImageProof::Sha256(sha256) => *sha256 == package.sha256,
            _ => true,
        };
        is_same && package.archive == asked
    })
}

/// `url` with a version in it.
fn of_version(url: &str, version: Option<&str>) -> String {
    url.replace(VERSION, version.unwrap_or_default())
}

/// The image that is pinned; `None` if the server no longer has it.
fn fetch_pinned(
    request: &Request<'_>,
    image: &ServedImage,
    package: &LockedPackage,
    work: &Path,
) -> Result<Option<ServedFile>, StoreError> {
    if let ImageProof::Tuf(repository) = &image.proof {
        return fetch_target(request, image, repository, Some(package), work);
    }
    let version = image.has_version().then(|| package.version.clone());
    let url = of_version(&image.url, version.as_deref());
    let file = request.store.downloads().join(&package.sha256);
    let download = download(request, &url, Some(&package.sha256), IMAGE_LIMIT);
    match download.answer(&file) {
        Ok(response) if (200..300).contains(&response.status) => {
            Ok(Some(ServedFile { file, sha256: package.sha256.clone(), version, notes: Vec::new() }))
        }
        Ok(response) if matches!(response.status, 404 | 410) => Ok(None),
        Ok(response) => Err(download.refused(&response)),
        // At an address without a version another image takes its place.
        Err(StoreError::Corrupt { .. }) if !image.has_version() => {
            let _ = fs::remove_file(&file);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The image that the server has now. `work` is a directory for texts about it.
fn fetch_newest(request: &Request<'_>, image: &ServedImage, work: &Path) -> Result<ServedFile, StoreError> {
    if let ImageProof::Tuf(repository) = &image.proof {
        let found = fetch_target(request, image, repository, None, work)?;
        return found.ok_or_else(|| Lookup { request, repository, url: &image.url }.not_listed());
    }
    let version = image.newest.as_ref().map(|newest| newest_version(request, newest, work)).transpose()?;
    let of_version = |url: &str| of_version(url, version.as_deref());
    let url = of_version(&image.url);
    let mut notes = Vec::new();
    let known = match &image.proof {
        ImageProof::Sha256(sha256) => Some(sha256.clone()),
        ImageProof::Checksums(list, signature) => {
            let list = of_version(list);
            let file = text(request, &list, &work.join("checksums"))?;
            match signature {
                Some(signature) => verify(request, signature, &of_version(&signature.url), (&file, &list), work)?,
                None => {
                    notes.push("the checksum of its disk image is not signed: only https protects it".to_owned());
                }
            }
            Some(sum_of(request, &file, &list, &url)?)
        }
        ImageProof::Signature(_) | ImageProof::Tuf(_) => None,
    };
    // A separate name, so that a download that broke off goes on.
    let name = known.clone().unwrap_or_else(|| checksum::of_bytes(url.as_bytes()));
    let file = request.store.downloads().join(name);
    (request.step)(format!("downloading {}", shown(&url)));
    download(request, &url, known.as_deref(), IMAGE_LIMIT).to(&file)?;
    if let ImageProof::Signature(signature) = &image.proof {
        verify(request, signature, &of_version(&signature.url), (&file, &url), work).inspect_err(|_| {
            // What is not trusted is no beginning of the next download.
            let _ = fs::remove_file(&file);
        })?;
    }
    let sha256 = known.map_or_else(|| checksum::of_file(&file).during("read", &file), Ok)?;
    Ok(ServedFile { file, sha256, version, notes })
}

/// What is pinned, or the newest, of an image that a TUF repository vouches for; `None` if that does not list it.
fn fetch_target(
    request: &Request<'_>,
    image: &ServedImage,
    repository: &TufRepository,
    pinned: Option<&LockedPackage>,
    work: &Path,
) -> Result<Option<ServedFile>, StoreError> {
    let wanted = pinned.filter(|_| image.has_version()).map(|package| package.version.as_str());
    let lookup = Lookup { request, repository, url: &image.url };
    let Some(Target { url, version, length, sha256 }) = lookup.target(wanted, work)? else { return Ok(None) };
    match pinned {
        // At a name without a version another image takes its place.
        Some(package) if package.sha256 != sha256 && wanted.is_none() => return Ok(None),
        Some(package) => {
            crate::source::expect(&request.what, "sha256 of the disk image", &package.sha256, &sha256)?;
        }
        None => {}
    }
    let file = request.store.downloads().join(&sha256);
    (request.step)(format!("downloading {}", shown(&url)));
    download(request, &url, Some(&sha256), length.min(IMAGE_LIMIT)).to(&file)?;
    Ok(Some(ServedFile { file, sha256, version, notes: Vec::new() }))
}

fn download<'a>(request: &'a Request<'_>, url: &'a str, sha256: Option<&'a str>, limit: u64) -> Download<'a> {
    let (server, step) = (request.server(url), request.step);
    Download { what: &request.what, url, headers: &[], sha256, limit, server, step }
}

/// The newest version that the server names.
fn newest_version(request: &Request<'_>, newest: &NewestVersion, work: &Path) -> Result<String, StoreError> {
    let NewestVersion { url, after } = newest;
    (request.step)(format!("looking up the newest version at {}", shown(url)));
    let file = text(request, url, &work.join("version"))?;
    let bytes = fs::read(&file).during("read", &file)?;
    version_in(&String::from_utf8_lossy(&bytes), after).ok_or_else(|| {
        let reason = format!("`{}` has no version after `{after}`", shown(url));
        request.unavailable(reason, "correct `version-url` or `version-after` in the manifest")
    })
}

/// The version after a word: `VERSION=4230.2.1`, `"tag_name": "v1.11.5"`.
fn version_in(text: &str, after: &str) -> Option<String> {
    let is_version = |c: char| c.is_ascii_alphanumeric() || "._+-~".contains(c);
    text.match_indices(after).find_map(|(at, _)| {
        let rest = text[at + after.len()..].trim_start_matches(['"', '\'', ' ', '\t', '=', ':']);
        let version: String = rest.chars().take_while(|c| is_version(*c)).collect();
        // It becomes part of an address.
        (version.contains(|c: char| c.is_ascii_digit()) && !version.contains("..")).then_some(version)
    })
}

fn text(request: &Request<'_>, url: &str, file: &Path) -> Result<PathBuf, StoreError> {
    download(request, url, None, TEXT_LIMIT).to(file)?;
    Ok(file.to_owned())
}

/// The SHA-256 of the image in a list of `sha256sum`, plain or with tags.
fn sum_of(request: &Request<'_>, file: &Path, list: &str, url: &str) -> Result<String, StoreError> {
    let text = fs::read(file).during("read", file)?;
    let name = file_name_of_url(url).unwrap_or_default();
    sha256_of(&String::from_utf8_lossy(&text), name).ok_or_else(|| {
        let reason = format!("`{}` has no SHA-256 of `{name}`", shown(list));
        request.unavailable(reason, "correct `checksums` in the manifest")
    })
}

fn verify(
    request: &Request<'_>,
    signature: &ImageSignature,
    signature_url: &str,
    (file, url): (&Path, &str),
    work: &Path,
) -> Result<(), StoreError> {
    let signed = text(request, signature_url, &work.join("signature"))?;
    let keys = Keys::fetch(request, (&signature.keys, KeyKind::OpenPgp), &work.join("keys"), work)?;
    keys.verify(request, &signed, file)?.map_err(|reason| StoreError::Corrupt {
        what: format!("{}: `{}`", request.what, shown(url)),
        reason: format!("it is not trusted: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_texts() {
        assert_eq!(version_in("A_ID=x\nA_VERSION=4230.2.1\n", "A_VERSION").as_deref(), Some("4230.2.1"));
        assert_eq!(version_in(r#"{"tag_name": "v1.11.5","x":1}"#, "tag_name").as_deref(), Some("v1.11.5"));
        assert_eq!(version_in("VERSION=../../etc1", "VERSION"), None);
        assert_eq!(version_in("VERSION=x/1", "VERSION"), None);
        assert_eq!(version_in("<html>", "VERSION"), None);
    }
}

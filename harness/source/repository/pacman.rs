//! Repositories of Arch: a database that `repo-add` writes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::source::archive::bounded::HeaderRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::damaged;
use crate::source::download::Download;
use crate::source::repository::digest::Digest;
use crate::source::repository::index::{INDEX, IndexFetch};
use crate::source::repository::keys::Keys;
use crate::source::repository::listed::Listed;
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// Bytes that describe one package.
const LARGEST_DESCRIPTION: u64 = 1 << 20;
const LARGEST_SIGNATURE: u64 = 1 << 20;
/// Packages that one query may find.
const MOST: usize = 100_000;

/// Fetches the database, and says whether it is signed.
pub(super) fn fetch(of: &IndexFetch<'_>) -> Result<bool, StoreError> {
    let target = of.folder.join(INDEX);
    let _ = fs::remove_file(&target);
    of.download(of.base, &target, None)?.ok_or_else(|| of.missing(of.base))?;
    let is_signed = of.is_signed(&format!("{}.sig", of.base), &target)?;
    packages(&target, &|_| false).map_err(|error| of.wrong(&error.to_string()))?;
    Ok(is_signed)
}

/// The packages of a database that are wanted.
pub(super) fn packages(index: &Path, is_wanted: &dyn Fn(&Listed) -> bool) -> io::Result<Vec<Listed>> {
    let (headers, stream) = HeaderRoom::of(unpacked(BufReader::new(File::open(index)?))?);
    let mut tar = tar::Archive::new(stream);
    let mut entries = tar.entries().map_err(damaged)?;
    let mut all = Vec::new();
    loop {
        headers.headers();
        let Some(entry) = entries.next() else { return Ok(all) };
        headers.content();
        let mut entry = entry.map_err(damaged)?;
        let is_description = entry.path().map_err(damaged)?.ends_with("desc");
        if is_description {
            let mut text = String::new();
            let length = entry.by_ref().take(LARGEST_DESCRIPTION).read_to_string(&mut text).map_err(damaged)?;
            if length as u64 == LARGEST_DESCRIPTION {
                return Err(damaged("a package in it has too long a description"));
            }
            all.extend(package(&text).filter(is_wanted));
            if all.len() > MOST {
                return Err(damaged(format!("it lists more than {MOST} matching packages")));
            }
        }
        // Or else the reader passes over it with the next header.
        io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
    }
}

fn package(text: &str) -> Option<Listed> {
    let field = |name: &str| {
        let mut lines = text.lines().skip_while(|line| line.strip_prefix('%') != Some(&format!("{name}%")));
        lines.nth(1).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let signature = field("PGPSIG").and_then(|text| BASE64_STANDARD.decode(text).ok());
    Some(Listed {
        name: field("NAME")?,
        version: field("VERSION")?,
        arch: field("ARCH")?,
        location: field("FILENAME")?,
        digest: Some(Digest::parse("sha256", &field("SHA256SUM")?)?),
        signature,
        control: None,
        repository: 0,
    })
}

/// What the package says that it is, `NAME VERSION`.
fn identity(package: &Path) -> io::Result<(String, String)> {
    let (headers, stream) = HeaderRoom::of(unpacked(BufReader::new(File::open(package)?))?);
    let mut tar = tar::Archive::new(stream);
    headers.headers();
    for entry in tar.entries().map_err(damaged)?.take(8) {
        headers.content();
        let mut entry = entry.map_err(damaged)?;
        if entry.path().map_err(damaged)?.ends_with(".PKGINFO") {
            return super::apk::package_info(&mut entry).map(|info| (info.name, info.version));
        }
        io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
        headers.headers();
    }
    Err(damaged("it has no `.PKGINFO`"))
}

/// What is wrong with a package, whose checksum is right; nothing if it is what the index names, and signed.
pub(super) fn verify(
    request: &Request<'_>,
    (package, url): (&Path, &str),
    listed: &Listed,
    keys: Option<&Keys>,
    index_is_signed: bool,
    work: &Path,
) -> Result<Result<(), String>, StoreError> {
    match identity(package) {
        Ok(found) if found == (listed.name.clone(), listed.version.clone()) => {}
        Ok((name, version)) => return Ok(Err(format!("it is `{name}` {version}"))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Err(error.to_string())),
        Err(error) => return Err(error).during("read", package),
    }
    let Some(keys) = keys else { return Ok(Ok(())) };
    let file = work.join("signature");
    let _ = fs::remove_file(&file);
    if let Some(signature) = &listed.signature {
        fs::write(&file, signature).during("write", &file)?;
    } else {
        let url = format!("{url}.sig");
        let server = request.server(&url);
        let (what, step) = (&request.what, request.step);
        let download = Download { what, url: &url, headers: &[], sha256: None, limit: LARGEST_SIGNATURE, server, step };
        match download.answer(&file)? {
            response if (200..300).contains(&response.status) => {}
            response if matches!(response.status, 404 | 410) && index_is_signed => return Ok(Ok(())),
            response if matches!(response.status, 404 | 410) => {
                return Ok(Err("neither the package nor the index of its repository is signed".to_owned()));
            }
            response => return Err(download.refused(&response)),
        }
    }
    keys.verify(request, &file, package)
}

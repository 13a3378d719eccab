//! Repositories of Alpine: `APKINDEX.tar.gz`, and packages that are three packed archives in one file: signature, control, data.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::bytes::hex;
use crate::source::archive::bounded::{Bounded, HeaderRoom};
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::damaged;
use crate::source::repository::index::{INDEX, IndexFetch};
use crate::source::repository::keys::RsaDigest;
use crate::source::repository::listed::Listed;
use crate::store::error::{IoContext, StoreError};

/// A signature or control segment, unpacked.
const LARGEST_SEGMENT: u64 = 16 << 20;
/// Bytes of one line of an index.
const LARGEST_LINE: u64 = 1 << 20;
/// Packages that one query may find.
const MOST: usize = 100_000;
/// What a file in the first segment begins with.
const SIGNATURES: [(&str, RsaDigest); 3] =
    [(".SIGN.RSA256.", RsaDigest::Sha256), (".SIGN.RSA512.", RsaDigest::Sha512), (".SIGN.RSA.", RsaDigest::Sha1)];

/// What is of use of `.PKGINFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageInfo {
    pub name: String,
    pub version: String,
    /// SHA-256 of the data segment.
    datahash: Option<String>,
}

/// Fetches the index of a mirror, and says whether it is signed.
pub(super) fn fetch(of: &IndexFetch<'_>) -> Result<bool, StoreError> {
    let url = format!("{}/{}/APKINDEX.tar.gz", of.base, std::env::consts::ARCH);
    let target = of.folder.join(INDEX);
    let _ = fs::remove_file(&target);
    of.download(&url, &target, None)?.ok_or_else(|| of.missing(&url))?;
    let bytes = fs::read(&target).during("read", &target)?;
    let Some(keys) = of.keys else { return Ok(false) };
    let (found, rest) = signature(&bytes).map_err(|error| of.wrong(&error.to_string()))?;
    let Some((digest, signed)) = found else { return Err(of.untrusted("it is not signed")) };
    let (file, data) = (of.work.join("signature"), of.work.join("signed"));
    fs::write(&file, signed).during("write", &file)?;
    fs::write(&data, rest).during("write", &data)?;
    match keys.verify_rsa(of.request, digest, &file, &data)? {
        Ok(()) => Ok(true),
        Err(reason) => Err(of.untrusted(&reason)),
    }
}

/// A signature, and how what it signs was digested.
type Signature = (RsaDigest, Vec<u8>);

/// The signature of the first segment, if it is one, and what follows it.
fn signature(bytes: &[u8]) -> io::Result<(Option<Signature>, &[u8])> {
    let (first, rest) = segment(bytes)?;
    let mut tar = tar::Archive::new(&first[..]);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        if let Some((_, digest)) = SIGNATURES.iter().find(|(begin, _)| path.starts_with(begin)) {
            let mut signature = Vec::new();
            entry.read_to_end(&mut signature).map_err(damaged)?;
            return Ok((Some((*digest, signature)), rest));
        }
    }
    Ok((None, bytes))
}

/// One packed segment, unpacked, and what follows it.
fn segment(bytes: &[u8]) -> io::Result<(Vec<u8>, &[u8])> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(damaged("it is not an Alpine package"));
    }
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let mut unpacked = Vec::new();
    Bounded::new(&mut decoder, LARGEST_SEGMENT).read_to_end(&mut unpacked).map_err(damaged)?;
    Ok((unpacked, decoder.into_inner()))
}

/// The packages of an index that are wanted.
pub(super) fn packages(index: &Path, is_wanted: &dyn Fn(&Listed) -> bool) -> io::Result<Vec<Listed>> {
    let bytes = fs::read(index)?;
    let (_, rest) = signature(&bytes)?;
    let (headers, stream) = HeaderRoom::of(unpacked(rest)?);
    let mut tar = tar::Archive::new(stream);
    let mut entries = tar.entries().map_err(damaged)?;
    loop {
        headers.headers();
        let Some(entry) = entries.next() else { return Err(damaged("it has no `APKINDEX`")) };
        headers.content();
        let mut entry = entry.map_err(damaged)?;
        if entry.path().map_err(damaged)?.ends_with("APKINDEX") {
            return list(BufReader::new(entry), is_wanted);
        }
        io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
    }
}

fn list(mut text: impl BufRead, is_wanted: &dyn Fn(&Listed) -> bool) -> io::Result<Vec<Listed>> {
    let mut all = Vec::new();
    let (mut name, mut version, mut arch, mut control) = <(String, String, String, Option<String>)>::default();
    loop {
        let mut line = Vec::new();
        let length = text.by_ref().take(LARGEST_LINE).read_until(b'\n', &mut line).map_err(damaged)?;
        if length as u64 == LARGEST_LINE {
            return Err(damaged("a line is too long"));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match line.split_once(':') {
            Some(("P", value)) => value.clone_into(&mut name),
            Some(("V", value)) => value.clone_into(&mut version),
            Some(("A", value)) => value.clone_into(&mut arch),
            // `Q1`: SHA-1 as base64.
            Some(("C", value)) => {
                let bytes = value.strip_prefix("Q1").and_then(|value| BASE64_STANDARD.decode(value).ok());
                control = bytes.map(|bytes| hex(&bytes));
            }
            _ if line.is_empty() && !name.is_empty() => {
                let listed = Listed {
                    location: format!("{}/{name}-{version}.apk", std::env::consts::ARCH),
                    name: std::mem::take(&mut name),
                    version: std::mem::take(&mut version),
                    arch: std::mem::take(&mut arch),
                    digest: None,
                    signature: None,
                    control: control.take(),
                    repository: 0,
                };
                all.extend(Some(listed).filter(|listed| listed.control.is_some() && is_wanted(listed)));
            }
            _ => {}
        }
        if all.len() > MOST {
            return Err(damaged(format!("it lists more than {MOST} matching packages")));
        }
        if length == 0 {
            return Ok(all);
        }
    }
}

/// Reads `.PKGINFO`.
pub(super) fn package_info(text: &mut impl Read) -> io::Result<PackageInfo> {
    let mut all = String::new();
    text.take(LARGEST_SEGMENT).read_to_string(&mut all).map_err(damaged)?;
    let field = |wanted: &str| {
        let found = all.lines().find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == wanted));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let needed = |wanted: &str| field(wanted).ok_or_else(|| damaged(format!("its `.PKGINFO` has no `{wanted}`")));
    Ok(PackageInfo { name: needed("pkgname")?, version: needed("pkgver")?, datahash: field("datahash") })
}

/// Checks a package against what the index says of it: the index names the control segment, that names the data. Returns the data, as it is
/// packed.
pub(super) fn data<'a>(package: &'a [u8], listed: &Listed) -> io::Result<&'a [u8]> {
    let (_, rest) = signature(package)?;
    let (control, data) = segment(rest)?;
    let packed = &rest[..rest.len() - data.len()];
    if Some(hex(&Sha1::digest(packed))) != listed.control {
        return Err(damaged("it does not match the index"));
    }
    let mut tar = tar::Archive::new(&control[..]);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if entry.path().map_err(damaged)?.ends_with(".PKGINFO") {
            let info = package_info(&mut entry)?;
            if (&info.name, &info.version) != (&listed.name, &listed.version) {
                return Err(damaged(format!("it is `{}` {}", info.name, info.version)));
            }
            return match info.datahash {
                Some(expected) if expected == hex(&Sha256::digest(data)) => Ok(data),
                Some(_) => Err(damaged("its files do not match the checksum in its `.PKGINFO`")),
                None => Err(damaged("its `.PKGINFO` has no checksum of the files")),
            };
        }
    }
    Err(damaged("it has no `.PKGINFO`"))
}

//! Repositories of `.rpm`: `repomd.xml`, its signature, and the list of packages that it names.
//!
//! Lists of modules (`modules.yaml`) are not looked at: they choose among builds of applications, and no distribution has kernels in one.

use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::Sha256;

use crate::source::archive::compression::unpacked;
use crate::source::archive::rpm_header::RpmHeaders;
use crate::source::archive::tarball::damaged;
use crate::source::repository::digest::{Digest, of_stream};
use crate::source::repository::index::{INDEX, IndexFetch};
use crate::source::repository::keys::Keys;
use crate::source::repository::listed::{Listed, joined};
use crate::source::repository::xml::{Node, XmlEvents};
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// Packages that one query may find.
const MOST: usize = 100_000;

/// Fetches the index of a mirror, and says whether it is signed.
pub(super) fn fetch(of: &IndexFetch<'_>) -> Result<bool, StoreError> {
    let url = format!("{}/repodata/repomd.xml", of.base);
    let file = of.work.join("repomd.xml");
    let _ = fs::remove_file(&file);
    of.download(&url, &file, None)?.ok_or_else(|| of.missing(&url))?;
    let mut digests = of.mirrors.digests.iter();
    if !of.mirrors.digests.is_empty() && !digests.any(|digest| digest.is_of(&file).unwrap_or(false)) {
        return Err(of.wrong("it does not match the metalink"));
    }
    let is_signed = of.is_signed(&format!("{url}.asc"), &file)?;
    let opened = File::open(&file).during("read", &file)?;
    let (location, digest) = primary(opened).map_err(|error| of.wrong(&error.to_string()))?;
    let url = joined(of.base, &location).ok_or_else(|| of.wrong("it names a file outside the repository"))?;
    let target = of.folder.join(INDEX);
    let _ = fs::remove_file(&target);
    let changed = || of.wrong("its package list does not match `repomd.xml`");
    match of.download(&url, &target, digest.sha256()) {
        Ok(Some(())) if digest.is_of(&target).during("read", &target)? => Ok(is_signed),
        Ok(Some(())) | Err(StoreError::Corrupt { .. }) => Err(changed()),
        Ok(None) => Err(of.missing(&url)),
        Err(error) => Err(error),
    }
}

/// Where `repomd.xml` says that the list of packages is, and its checksum.
fn primary(repomd: impl io::Read) -> io::Result<(String, Digest)> {
    let mut events = XmlEvents::of(repomd);
    let mut is_primary = false;
    let (mut location, mut digest) = (None, None);
    while let Some(node) = events.next()? {
        match &node {
            Node::Begin { name, .. } if name == "data" => is_primary = node.attribute("type") == Some("primary"),
            Node::Begin { name, .. } if name == "checksum" && is_primary => {
                let kind = node.attribute("type").unwrap_or_default().to_owned();
                digest = Digest::parse(&kind, &events.text()?);
            }
            Node::Begin { name, .. } if name == "location" && is_primary => {
                location = node.attribute("href").map(str::to_owned);
            }
            _ => {}
        }
    }
    let location = location.ok_or_else(|| damaged("it does not name a package list"))?;
    Ok((location, digest.ok_or_else(|| damaged("it has no checksum of a secure algorithm"))?))
}

/// The packages of a list that are wanted.
pub(super) fn packages(index: &Path, is_wanted: &dyn Fn(&Listed) -> bool) -> io::Result<Vec<Listed>> {
    let mut events = XmlEvents::of(unpacked(BufReader::new(File::open(index)?))?);
    let mut all = Vec::new();
    while let Some(node) = events.next()? {
        if matches!(&node, Node::Begin { name, .. } if name == "package") {
            all.extend(package(&mut events)?.filter(|package| is_wanted(package)));
            if all.len() > MOST {
                return Err(damaged(format!("it lists more than {MOST} matching packages")));
            }
        }
    }
    Ok(all)
}

/// The package that has just begun; `None` if it is unavailable.
fn package(events: &mut XmlEvents<impl io::Read>) -> io::Result<Option<Listed>> {
    let (mut name, mut arch, mut version, mut location, mut digest) = Default::default();
    let mut depth = 0;
    while let Some(node) = events.next()? {
        match &node {
            Node::End(_) if depth == 0 => break,
            Node::End(_) => depth -= 1,
            Node::Text(_) => {}
            Node::Begin { name: element, .. } if depth == 0 => match element.as_str() {
                "name" => name = events.text()?,
                "arch" => arch = events.text()?,
                "checksum" => {
                    let kind = node.attribute("type").unwrap_or_default().to_owned();
                    digest = Digest::parse(&kind, &events.text()?);
                }
                element => {
                    let value = |name: &str| node.attribute(name).unwrap_or_default();
                    if element == "location" {
                        location = value("href").to_owned();
                    } else if element == "version" {
                        let plain = format!("{}-{}", value("ver"), value("rel"));
                        version = match value("epoch") {
                            "" | "0" => plain,
                            epoch => format!("{epoch}:{plain}"),
                        };
                    }
                    depth = 1;
                }
            },
            Node::Begin { .. } => depth += 1,
        }
    }
    let listed = Listed { name, version, arch, location, digest, signature: None, control: None, repository: 0 };
    // Without a checksum nothing says what the file has to be.
    Ok(Some(listed).filter(|listed| listed.digest.is_some()))
}

/// What is wrong with a package, whose checksum is right; nothing if it is what the index names, and signed.
pub(super) fn verify(
    request: &Request<'_>,
    package: &Path,
    listed: &Listed,
    keys: Option<&Keys>,
    index_is_signed: bool,
    work: &Path,
) -> Result<Result<(), String>, StoreError> {
    let headers = match RpmHeaders::read(package) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Err(error.to_string())),
        headers => headers.during("read", package)?,
    };
    if (headers.name.as_str(), headers.version.as_str()) != (&listed.name, listed.plain_version()) {
        return Ok(Err(format!("it is `{}` {}", headers.name, headers.version)));
    }
    let Some(keys) = keys else { return Ok(Ok(())) };
    if headers.of_header.is_empty() && headers.of_all.is_empty() {
        return Ok(match index_is_signed {
            true => Ok(()),
            false => Err("neither the package nor the index of its repository is signed".to_owned()),
        });
    }
    // The header vouches for the payload by a checksum; packages from before that are signed as a whole.
    let (signatures, end) = match &headers.payload_sha256 {
        Some(expected) if !headers.of_header.is_empty() => {
            let mut file = File::open(package).during("read", package)?;
            file.seek(SeekFrom::Start(headers.header.end)).during("read", package)?;
            if of_stream::<Sha256>(&mut file).during("read", package)? != *expected {
                return Ok(Err("its payload does not match its header".to_owned()));
            }
            (&headers.of_header, Some(headers.header.end))
        }
        _ => (&headers.of_all, None),
    };
    if signatures.is_empty() {
        return Ok(Err("its signature does not cover its payload".to_owned()));
    }
    let (signed, signature) = (work.join("signed"), work.join("signature"));
    copy(package, headers.header.start, end, &signed).during("write", &signed)?;
    let mut reason = String::new();
    for bytes in signatures {
        fs::write(&signature, bytes).during("write", &signature)?;
        match keys.verify(request, &signature, &signed)? {
            Ok(()) => {
                let _ = fs::remove_file(&signed);
                return Ok(Ok(()));
            }
            Err(why) => reason = why,
        }
    }
    Ok(Err(reason))
}

fn copy(from: &Path, begin: u64, end: Option<u64>, to: &Path) -> io::Result<()> {
    let mut file = File::open(from)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut out = File::create(to)?;
    let length = end.map_or(u64::MAX, |end| end - begin);
    io::copy(&mut io::Read::take(file, length), &mut out)?;
    out.flush()
}

//! [`mirrors`]: the addresses of one repository, from lists of mirrors and metalinks.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::manifest::{RepositoryAddress, is_this_machine};
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::damaged;
use crate::source::download::{Download, host, shown};
use crate::source::repository::digest::Digest;
use crate::source::repository::xml::{Node, XmlEvents};
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// Mirrors of one list that are tried.
const MOST: usize = 6;
/// Bytes of a list.
const LARGEST: u64 = 4 << 20;
/// The file that metalinks are of.
const INDEX: &str = "repodata/repomd.xml";

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirrors {
    /// Directories, without a slash at the end; of `pacman` databases.
    pub bases: Vec<String>,
    /// What `repomd.xml` may be; empty if anything.
    pub digests: Vec<Digest>,
}

/// Finds the mirrors of an address.
pub(super) fn mirrors(request: &Request<'_>, address: &RepositoryAddress, work: &Path) -> Result<Mirrors, StoreError> {
    let url = filled(address.text());
    if matches!(address, RepositoryAddress::Base(_)) {
        return Ok(Mirrors { bases: vec![without_slash(&url).to_owned()], digests: Vec::new() });
    }
    let file = work.join("mirrors");
    let server = request.server(&url);
    Download { what: &request.what, url: &url, headers: &[], sha256: None, limit: LARGEST, server, step: request.step }
        .to(&file)?;
    let opened = File::open(&file).during("read", &file)?;
    let found = unpacked(BufReader::new(opened)).and_then(|reader| match address {
        RepositoryAddress::Metalink(_) => metalink(reader),
        _ => list(reader),
    });
    let mut found = found.map_err(|error| {
        let reason = format!("`{}` is not a list of mirrors: {error}", shown(&url));
        request.unavailable(reason, "correct the URL in the manifest")
    })?;
    // A list from elsewhere does not lead back to this machine.
    let is_here = is_this_machine(host(&url));
    found.bases.retain(|base| is_here || !is_this_machine(host(base)));
    found.bases.truncate(MOST);
    if found.bases.is_empty() {
        let reason = format!("`{}` contains no mirrors", shown(&url));
        return Err(request.unavailable(reason, "correct the URL in the manifest"));
    }
    Ok(found)
}

/// The variables that lists and manifests have in addresses.
fn filled(address: &str) -> String {
    ["$basearch", "$arch"].iter().fold(address.to_owned(), |text, name| text.replace(name, std::env::consts::ARCH))
}

fn without_slash(address: &str) -> &str {
    address.trim_end_matches('/')
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && !text.contains(char::is_whitespace)
}

fn list(reader: impl Read) -> io::Result<Mirrors> {
    let mut text = String::new();
    reader.take(LARGEST).read_to_string(&mut text).map_err(damaged)?;
    let lines = text.lines().map(str::trim).filter(|line| is_web_address(line));
    Ok(Mirrors { bases: lines.map(|line| without_slash(&filled(line)).to_owned()).collect(), digests: Vec::new() })
}

/// Both versions of the format: the addresses, most preferred first, and the checksums of this and earlier indexes.
fn metalink(reader: impl Read) -> io::Result<Mirrors> {
    let mut events = XmlEvents::of(reader);
    let mut ranked: Vec<(i64, String)> = Vec::new();
    let mut digests = Vec::new();
    while let Some(node) = events.next()? {
        let Node::Begin { name, .. } = &node else { continue };
        match name.as_str() {
            "url" => {
                // Larger is better in one version, and smaller in the other.
                let number = |name: &str| node.attribute(name).and_then(|text| text.parse::<i64>().ok());
                let rank = number("priority").or_else(|| Some(-number("preference")?)).unwrap_or(i64::MAX);
                let url = events.text()?;
                if let Some(base) = url.trim().strip_suffix(INDEX).filter(|base| is_web_address(base)) {
                    ranked.push((rank, without_slash(base).to_owned()));
                }
            }
            "hash" => {
                let kind = node.attribute("type").unwrap_or_default().to_owned();
                digests.extend(Digest::parse(&kind, &events.text()?));
            }
            _ => {}
        }
    }
    if digests.is_empty() {
        return Err(damaged("it has no checksum of a secure algorithm"));
    }
    ranked.sort();
    Ok(Mirrors { bases: ranked.into_iter().map(|(_, base)| base).collect(), digests })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_mirror_a_line() {
        let arch = std::env::consts::ARCH;
        let found =
            list(&b"# of x\nhttps://a.example/os/\n\nftp://b.example/\nhttp://c.example/$basearch\n"[..]).unwrap();
        assert_eq!(found.bases, ["https://a.example/os".to_owned(), format!("http://c.example/{arch}")]);
        assert_eq!(list(&b"<html>no</html>"[..]).unwrap().bases, Vec::<String>::new());
    }

    #[test]
    fn metalinks_have_mirrors_by_preference_and_checksums() {
        let (now, before) = ("a".repeat(64), "b".repeat(64));
        let text = format!(
            "<?xml version=\"1.0\"?><metalink version=\"3.0\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\"><files>\
             <file name=\"repomd.xml\"><mm0:alternates><mm0:alternate><verification><hash type=\"sha256\">{before}</hash>\
             </verification></mm0:alternate></mm0:alternates><verification><hash type=\"md5\">00</hash>\
             <hash type=\"sha256\">{now}</hash></verification><resources>\
             <url protocol=\"rsync\" preference=\"100\">rsync://a.example/repodata/repomd.xml</url>\
             <url preference=\"90\">http://b.example/x?a&amp;b/repodata/repomd.xml</url>\
             <url preference=\"99\">https://c.example/os/repodata/repomd.xml</url>\
             <url preference=\"98\">https://d.example/other</url></resources></file></files></metalink>"
        );
        let found = metalink(text.as_bytes()).unwrap();
        assert_eq!(found.bases, ["https://c.example/os", "http://b.example/x?a&b"]);
        assert_eq!(found.digests, [before, now].map(Digest::Sha256));
        assert!(metalink(&b"<metalink><files/></metalink>"[..]).is_err());
        assert!(metalink(&b"not found"[..]).is_err());
    }
}

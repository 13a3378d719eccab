//! [`Mirror`]: the Debian archive that this machine's apt already uses, or one that the manifest names.
//!
//! The machine's own is found in `/etc/apt` at run time, in both of its formats, and written nowhere but in the store's private apt state:
//! which mirror a machine uses is no one else's business, so [`Mirror::mask`] takes it out of messages too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::Archive;

/// Debian's suites with a `main` component; an archive that offers one of them is Debian's.
const SUITES: [&str; 17] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
    "rc-buggy",
    "bookworm-backports",
    "trixie-backports",
    "stable-backports",
];

/// Where Debian's keys lie; newer releases call the same file `.pgp`.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// The archive and the keys that sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Mirror {
    /// The address, as apt's `URIs:` takes it.
    pub uri: String,
    /// Keyring files.
    pub keyrings: Vec<PathBuf>,
    /// Such as `main`.
    pub components: Vec<String>,
    /// Signatures do not matter.
    pub trusted: bool,
}

/// One entry of the machine's sources.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct SourceEntry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// A path; a key block or fingerprint is of no use here.
    signed_by: Option<PathBuf>,
    off: bool,
}

impl Mirror {
    /// The one that the manifest names, signed with Debian's keys if it names none.
    pub fn of(archive: &Archive) -> Mirror {
        let Archive { mirror, keyring, trusted, components } = archive;
        let debian = KEYRINGS.iter().map(PathBuf::from).filter(|path| path.is_file());
        let keyrings = match keyring {
            Some(keyring) => vec![keyring.clone()],
            None => debian.collect(),
        };
        Mirror { uri: mirror.clone(), keyrings, components: components.clone(), trusted: *trusted }
    }

    /// Reads the sources below `etc` (`/etc/apt`) and picks Debian's main archive; `None` if there is none.
    pub fn find(etc: &Path) -> Option<Mirror> {
        let mut files = vec![etc.join("sources.list")];
        let mut parts: Vec<PathBuf> =
            fs::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten().map(|part| part.path()).collect();
        parts.sort();
        files.extend(parts);
        let mut found = Vec::new();
        for file in files {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            match file.extension().and_then(|ending| ending.to_str()) {
                Some("list") => found.extend(text.lines().filter_map(one_line)),
                Some("sources") => found.extend(deb822(&text)),
                _ => {}
            }
        }
        // Other archives use Debian's suite names too; the one with Debian's own key goes first, the order of the
        // files next.
        let debian = |entry: &&SourceEntry| {
            !entry.off
                && entry.components.iter().any(|component| component == "main")
                && entry.suites.iter().any(|suite| SUITES.contains(&suite.as_str()))
        };
        let rank = |entry: &&SourceEntry| match &entry.signed_by {
            Some(key) if key.to_string_lossy().contains("debian-archive") => 0,
            None => 1,
            Some(_) => 2,
        };
        let entry = found.iter().filter(debian).min_by_key(rank)?;
        let usable = |uri: &&String| !uri.starts_with("cdrom:") && !uri.contains(['\n', '"', ' ']);
        let uri = entry.uris.iter().find(usable)?.clone();
        let own = entry.signed_by.iter().cloned();
        let mut keyrings: Vec<PathBuf> =
            own.chain(KEYRINGS.iter().map(PathBuf::from)).filter(|path| path.is_file()).collect();
        keyrings.dedup();
        if keyrings.is_empty() {
            let trusted = fs::read_dir(etc.join("trusted.gpg.d")).into_iter().flatten().flatten();
            keyrings.extend(trusted.map(|key| key.path()));
            keyrings.sort();
        }
        Some(Mirror { uri, keyrings, components: vec!["main".to_owned()], trusted: false })
    }

    /// `text` without anything that shows which mirror (or proxy) this machine uses.
    pub fn mask(&self, text: &str) -> String {
        let host = self.uri.split("://").nth(1).unwrap_or(&self.uri).split('/').next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or(host);
        let mut clean = Vec::new();
        let mut address = false;
        for word in text.split_whitespace() {
            address |= word == "[IP:";
            if word.contains("://") || (!host.is_empty() && word.contains(host)) {
                clean.push("<mirror>");
            } else if !address {
                clean.push(word);
            }
            address &= !word.ends_with(']');
        }
        clean.join(" ")
    }
}

/// `deb [signed-by=KEYRING] URI SUITE COMPONENT...`
fn one_line(line: &str) -> Option<SourceEntry> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut entry = SourceEntry::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, behind) = options.split_once(']')?;
        let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        entry.signed_by = key.filter(|key| key.starts_with('/')).map(PathBuf::from);
        rest = behind;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    entry.uris.push(words.next()?);
    entry.suites.push(words.next()?);
    entry.components.extend(words);
    Some(entry)
}

/// Stanzas of `Field: value`, with continuation lines.
fn deb822(text: &str) -> Vec<SourceEntry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: &[(String, String)]) -> Option<SourceEntry> {
    let words = |wanted: &str| -> Vec<String> {
        let value = fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        value.split_whitespace().map(str::to_owned).collect()
    };
    if !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(SourceEntry {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: words("signed-by").first().filter(|key| key.starts_with('/')).map(PathBuf::from),
        off: words("enabled").first().is_some_and(|on| on == "no"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(etc.path().join(name), text).unwrap();
        }
        etc
    }

    fn uri(files: &[(&str, &str)]) -> Option<String> {
        Mirror::find(etc(files).path()).map(|mirror| mirror.uri)
    }

    #[test]
    fn takes_debians_main_archive_from_both_formats() {
        let list = "# deb http://old.example/debian sid main\n\
                    deb-src http://src.example/debian sid main\n\
                    deb http://security.example/debian-security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://list.example/debian bookworm main contrib # mine\n";
        assert_eq!(uri(&[("sources.list", list)]).unwrap(), "http://list.example/debian");
        let sources = "Types: deb\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\nEnabled: no\n\n\
                       Types: deb deb-src\n# why\nURIs: http://first.example/debian\n http://second.example/debian\n\
                       Suites: trixie\n trixie-updates\nComponents: main\n";
        assert_eq!(uri(&[("sources.list.d/debian.sources", sources)]).unwrap(), "http://first.example/debian");
    }

    #[test]
    fn other_archives_with_debians_names_come_last() {
        let other = "deb [signed-by=/other.gpg] http://other.example/apt bookworm main\n";
        let debian = "Types: deb\nURIs: http://debian.example/debian\nSuites: bookworm\nComponents: main\n\
                      Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let files = [("sources.list.d/a.list", other), ("sources.list.d/debian.sources", debian)];
        assert_eq!(uri(&files).unwrap(), "http://debian.example/debian");
        assert_eq!(uri(&[("sources.list", "deb http://x.example/apt nodistro main\n")]), None);
        assert_eq!(uri(&[("sources.list", "deb cdrom:[x]/ bookworm main\n")]), None);
        assert_eq!(uri(&[]), None);
    }

    #[test]
    fn the_mirror_is_masked() {
        let uri = "http://user:pw@apt.example:80/debian".to_owned();
        let mirror = Mirror { uri, keyrings: Vec::new(), components: Vec::new(), trusted: false };
        let text = "E: Failed to fetch http://apt.example:80/debian/pool/x.deb 404 Not Found [IP: 10.0.0.1 80]\n\
                    Could not resolve 'apt.example:80'";
        assert_eq!(mirror.mask(text), "E: Failed to fetch <mirror> 404 Not Found Could not resolve <mirror>");
    }
}

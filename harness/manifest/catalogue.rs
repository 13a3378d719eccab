//! [`Catalogue`]: kernels by the names that people have for them, such as `ubuntu:22.04/hwe`, ready to be declared.

use std::path::Path;

use toml::{Table, Value};

use super::builds::split_name;
use super::parse::parse;
use super::release::KernelRelease;
use super::{KernelSpec, ManifestError};
use crate::nearest::nearest;

/// The catalogue that is part of this executable.
const BUILT_IN: &str = include_str!("catalogue.toml");
/// The user's, beside the manifest.
pub const FILE_NAME: &str = "catalogue.toml";
/// What stands for the rest of a name, in the values of an entry whose name has a `*`.
const VERSION: &str = "$version";
/// The same, as a glob of releases where it is a series.
const RELEASE: &str = "$release";

/// All entries, in the order of the file; those of the user go first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
    /// What the manifest says of all its kernels.
    defaults: String,
}

/// A kernel of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueEntry {
    /// Such as `ubuntu:22.04/hwe`; with a `*` it stands for many.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// The upstream series that it had last, if that is known.
    pub series: String,
    /// How far it is known to be right.
    pub known: Known,
    /// What a user has to know or do, in words; empty if nothing.
    pub note: String,
    /// Whether its kernels come without BTF.
    pub has_no_btf: bool,
    /// The keys of its table in a manifest.
    keys: Table,
    /// Whether it is from the user's file.
    pub is_users: bool,
}

/// How far an entry is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Kernels of it are fetched and booted by the project's own tests.
    Booted,
    /// Address, layout and keys are from public documents; its format is fetched and booted from a server of the tests.
    Documents,
    /// The same, but the system has to be fetched by hand, and its image was made for the tests after public documents.
    Unverified,
    /// No one says.
    Unsaid,
}

impl Known {
    /// In a word or two.
    pub fn label(self) -> &'static str {
        match self {
            Known::Booted => "booted",
            Known::Documents => "documents",
            Known::Unverified => "unverified",
            Known::Unsaid => "-",
        }
    }
}

impl Catalogue {
    /// The built-in one, and what the file has that is beside the manifest with this text.
    ///
    /// # Errors
    /// [`ManifestError`] if the user's file cannot be read.
    pub fn load(folder: &Path, manifest: &str) -> Result<Catalogue, ManifestError> {
        let mut entries = Vec::new();
        let path = folder.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => entries.extend(read(&text, true).map_err(|reason| ManifestError::Catalogue { path, reason })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ManifestError::Read { path, source }),
        }
        let built_in =
            read(BUILT_IN, false).map_err(|reason| ManifestError::Catalogue { path: FILE_NAME.into(), reason })?;
        entries.extend(built_in);
        let mut manifest: Table = manifest.parse().unwrap_or_default();
        manifest.retain(|section, _| !matches!(section, "kernel" | "matrix"));
        Ok(Catalogue { entries, defaults: manifest.to_string() })
    }

    /// The entries, each name once.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogueEntry> {
        let is_first = |at: usize, name: &str| self.entries.iter().position(|entry| entry.name == name) == Some(at);
        self.entries.iter().enumerate().filter(move |(at, entry)| is_first(*at, &entry.name)).map(|(_, entry)| entry)
    }

    /// The entry of this name, made for it.
    pub fn entry(&self, name: &str) -> Option<CatalogueEntry> {
        self.entries.iter().find_map(|entry| entry.named(name))
    }

    /// The kernel of this name, or of what a manifest calls it, as the manifest at `path` would declare it.
    pub fn kernel(&self, name: &str, path: &Path) -> Option<Result<KernelSpec, String>> {
        let is_declared = |entry: &CatalogueEntry| declared_name(&entry.name) == name;
        let by_version = || {
            let prefix = |entry: &CatalogueEntry| Some(declared_name(entry.name.strip_suffix('*')?));
            let of = |entry: &CatalogueEntry| entry.of_version(name.strip_prefix(&prefix(entry)?)?);
            self.entries.iter().find_map(of)
        };
        let entry = self.entry(name).or_else(|| self.entries.iter().find(|entry| is_declared(entry)).cloned());
        entry.or_else(by_version).map(|entry| entry.kernel(path, &self.defaults))
    }

    /// The entry that a manifest's kernel of this name, or a build of it, is from.
    pub fn entry_of(&self, kernel: &str) -> Option<&CatalogueEntry> {
        let (kernel, _) = split_name(kernel);
        self.entries.iter().find(|entry| declared_name(&entry.name) == kernel)
    }

    /// Names that are near to a mistyped one.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        nearest(name, self.entries().map(|entry| entry.name.as_str()), 3)
    }
}

impl CatalogueEntry {
    /// The entry, if it is meant by a name.
    fn named(&self, name: &str) -> Option<CatalogueEntry> {
        if self.name == name && !name.contains('*') {
            return Some(self.clone());
        }
        self.of_version(name.strip_prefix(self.name.strip_suffix('*')?)?)
    }

    /// The entry of one version, if it stands for many.
    fn of_version(&self, version: &str) -> Option<CatalogueEntry> {
        let is_version = version.starts_with(|c: char| c.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        let name = self.name.strip_suffix('*').filter(|_| is_version)?;
        let is_series = version.parse::<KernelRelease>().is_ok_and(|release| release.is_series());
        let release = if is_series { format!("{version}.*") } else { version.to_owned() };
        let keys = self.keys.iter().map(|(key, value)| {
            let value = match value {
                Value::String(text) => Value::String(text.replace(VERSION, version).replace(RELEASE, &release)),
                other => other.clone(),
            };
            (key.clone(), value)
        });
        Some(CatalogueEntry { name: format!("{name}{version}"), keys: keys.collect(), ..self.clone() })
    }

    /// Where it comes from, as `source` says it.
    pub fn source(&self) -> &str {
        self.keys.get("source").and_then(Value::as_str).unwrap_or_default()
    }

    /// The table that declares it in a manifest, as `name`.
    pub fn declaration(&self, name: &str) -> String {
        let mut text = format!("[kernel.{}]\n", Value::from(name));
        // The source first, as people write it.
        let (source, others): (Vec<_>, Vec<_>) =
            self.keys.iter().filter(|(key, _)| *key != "fallback").partition(|(key, _)| *key == "source");
        for (key, value) in source.into_iter().chain(others) {
            text += &format!("{key} = {value}\n");
        }
        for fallback in self.keys.get("fallback").and_then(Value::as_array).into_iter().flatten() {
            text += &format!("[[kernel.{}.fallback]]\n", Value::from(name));
            for (key, value) in fallback.as_table().into_iter().flatten() {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    }

    /// The kernel; the error says what is wrong with the entry.
    fn kernel(&self, path: &Path, defaults: &str) -> Result<KernelSpec, String> {
        let text = format!("{defaults}\n{}", self.declaration(&declared_name(&self.name)));
        let manifest = parse(&text, path).map_err(|problems| {
            let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            format!("invalid entry in the catalogue: {}", problems.join("; "))
        })?;
        manifest.kernels.into_iter().next().ok_or_else(|| "its entry in the catalogue is empty".to_owned())
    }
}

/// What a manifest calls a kernel of the catalogue: `ubuntu:22.04/hwe` is `ubuntu-22.04-hwe`.
pub fn declared_name(name: &str) -> String {
    name.replace([':', '/'], "-")
}

fn read(text: &str, is_users: bool) -> Result<Vec<CatalogueEntry>, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let entry = |(name, value): (String, Value)| {
        let Value::Table(mut keys) = value else { return Err(format!("`{name}` must be a table")) };
        let has_no_btf = match keys.remove("no-btf") {
            None => false,
            Some(Value::Boolean(has_none)) => has_none,
            Some(_) => return Err(format!("`no-btf` of `{name}` must be `true` or `false`")),
        };
        let mut take = |key: &str| match keys.remove(key) {
            Some(Value::String(text)) => Ok(text),
            None => Ok(String::new()),
            Some(_) => Err(format!("`{key}` of `{name}` must be a string")),
        };
        let (about, series, note, known) = (take("about")?, take("series")?, take("note")?, take("known")?);
        let known = match known.as_str() {
            "booted" => Known::Booted,
            "documents" => Known::Documents,
            "unverified" => Known::Unverified,
            "" => Known::Unsaid,
            other => {
                return Err(format!(
                    "`known` of `{name}` is `{other}`; it must be `booted`, `documents` or `unverified`"
                ));
            }
        };
        Ok(CatalogueEntry { name, about, series, known, note, has_no_btf, keys, is_users })
    };
    table.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{BtfPlace, Source};
    use super::*;

    const PATH: &str = "/matrix/kernels.toml";

    fn catalogue() -> Catalogue {
        Catalogue::load(
            &PathBuf::from("/no/such/folder"),
            "[defaults]\nmemory = \"1GiB\"\n[matrix]\ndefault = [\"x\"]\n",
        )
        .unwrap()
    }

    #[test]
    fn every_entry_can_be_declared_and_says_what_it_is() {
        let catalogue = catalogue();
        assert!(catalogue.entries().count() > 40);
        for entry in catalogue.entries() {
            let name = entry.name.replace('*', "6.6");
            let kernel =
                catalogue.kernel(&name, Path::new(PATH)).unwrap().unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(kernel.name, declared_name(&name));
            assert!(!entry.about.is_empty() && !entry.about.ends_with('.'), "{name}");
            let has_series = entry.series.parse::<KernelRelease>().is_ok();
            assert!(has_series || entry.name.ends_with('*'), "{name}");
            assert!(entry.known != Known::Unsaid, "{name} does not say how far it is known");
            assert!(entry.known != Known::Unverified || !entry.note.is_empty(), "{name}");
            for source in kernel.sources() {
                let Source::Repository(repository) = source else { continue };
                assert!(repository.keys.is_some(), "{name} is not verified");
                assert!(repository.addresses.iter().all(|address| address.text().starts_with("https://")), "{name}");
            }
            assert_eq!(catalogue.kernel(&kernel.name, Path::new(PATH)).unwrap().unwrap(), kernel, "{name}");
        }
    }

    #[test]
    fn names_that_users_have_are_there() {
        let names = "ubuntu:22.04 ubuntu:24.04/hwe ubuntu:22.04/azure debian:12 el:8 el:9 el:10 uek:7 amazon:2 amazon:2023 fedora:43 \
                     leap:15.6 alpine:3.22 arch mainline:6.6 mainline:6.12.40 longterm cos cos:17800.147.54 bottlerocket \
                     bottlerocket:1.33 talos flatcar";
        for name in names.split_whitespace() {
            assert!(catalogue().entry(name).is_some(), "{name}");
        }
        let mainline = catalogue().kernel("mainline:6.6", Path::new(PATH)).unwrap().unwrap();
        assert_eq!(mainline.source, Source::Mainline { version: "v6.6.*".to_owned(), mirror: None, keys: None });
        let exact = catalogue().kernel("mainline:6.12.40", Path::new(PATH)).unwrap().unwrap();
        assert_eq!(exact.source, Source::Mainline { version: "v6.12.40".to_owned(), mirror: None, keys: None });
        let cos = catalogue().kernel("cos:1.2.3", Path::new(PATH)).unwrap().unwrap();
        let url = "https://storage.googleapis.com/cos-tools/1.2.3/vmlinux".to_owned();
        assert_eq!(cos.source, Source::Btf { place: BtfPlace::Server { url, sha256: None }, release: None });
        assert_eq!(mainline.memory_mib, 1024, "what the manifest says of all kernels holds");
        for wrong in ["mainline:", "mainline:*", "mainline:../x", "ubuntu:22.05", ""] {
            assert!(catalogue().entry(wrong).is_none(), "{wrong}");
        }
        assert_eq!(catalogue().nearest("ubunto:22.04")[0], "ubuntu:22.04");
    }

    #[test]
    fn a_users_file_adds_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, "[\"fleet:7\"]\nabout = \"ours\"\nsource = \"host\"\n[arch]\nsource = \"host\"\n")
            .unwrap();
        let catalogue = Catalogue::load(folder.path(), "").unwrap();
        let kernel = |name: &str| catalogue.kernel(name, Path::new(PATH)).unwrap().unwrap();
        assert_eq!((kernel("fleet:7").source, kernel("arch").source), (Source::Host, Source::Host));
        assert_eq!(catalogue.entries().filter(|entry| entry.name == "arch").count(), 1);
        std::fs::write(&file, "[x]\nsource = \"nowhere\"\n").unwrap();
        let wrong = Catalogue::load(folder.path(), "").unwrap().kernel("x", Path::new(PATH)).unwrap().unwrap_err();
        assert!(wrong.contains("unknown source `nowhere`"), "{wrong}");
        for broken in ["x = 1\n", "[x\n", "[x]\nabout = 1\n", "[x]\nknown = \"sure\"\n", "[x]\nno-btf = 1\n"] {
            std::fs::write(&file, broken).unwrap();
            assert!(matches!(Catalogue::load(folder.path(), ""), Err(ManifestError::Catalogue { .. })), "{broken}");
        }
    }
}

//! The keys of sources `rpm`, `apk` and `pacman`.

use super::reader::{TableReader, TextSpan as Span};
use super::repository::{Keyring, KeyringPlace, Repository, RepositoryAddress, RepositoryFormat};
use super::source_table::{SourceTable, example, is_web_address, is_word, texts};

/// Keys that each of the sources needs.
pub(super) const NEEDED: &[&str] = &["packages"];
/// Keys of source `rpm`, one of the first three is needed.
pub(super) const OF_RPM: &[&str] =
    &["repositories", "mirrorlist", "metalink", "keyring", "fingerprints", "unsigned-index", "trusted"];
/// Keys of source `apk`.
pub(super) const OF_APK: &[&str] = &["repositories", "keyring", "fingerprints", "trusted"];
/// Keys of source `pacman`.
pub(super) const OF_PACMAN: &[&str] = &["repositories", "keyring", "fingerprints", "unsigned-index", "trusted"];

impl<'t> SourceTable<'_, 't> {
    /// The repository, or `None` after its problems were noted.
    pub(super) fn repository(&self, reader: &mut TableReader<'t>, format: RepositoryFormat) -> Option<Repository> {
        let addresses = self.addresses(reader, format);
        let packages = reader.strings(self.section, "packages");
        for (package, place) in packages.iter().flatten() {
            if !is_word(package, "-.+_~^*?[]!") || glob::Pattern::new(package).is_err() {
                let message = format!("`{package}` is not a package name or glob");
                self.problem(reader, place.start, &message, Some("write `packages = [\"kernel-core\"]`".to_owned()));
            }
        }
        let trusted = reader.boolean(self.section, "trusted").unwrap_or(false);
        let unsigned_index = reader.boolean(self.section, "unsigned-index").unwrap_or(false);
        let keys = self.keys(reader, format);
        match (&keys, trusted) {
            (Some(_), true) => {
                let message = "`trusted` (accept unsigned packages) and `keyring` (require signatures) exclude each \
    other";
                self.problem(reader, self.section.start, message, Some("remove one of them".to_owned()));
            }
            (None, false) if !self.section.table.contains_key("keyring") => {
                let message = format!("`keyring` is missing, source `{}` needs it", format.label());
                let hint = "name the file with the keys of the distribution; `trusted = true` accepts unsigned \
    packages";
                self.problem(reader, self.section.start, &message, Some(hint.to_owned()));
            }
            _ => {}
        }
        Some(Repository { format, addresses, packages: texts(packages?), keys, unsigned_index, build: None })
    }

    fn addresses(&self, reader: &mut TableReader<'t>, format: RepositoryFormat) -> Vec<RepositoryAddress> {
        type Kind = fn(String) -> RepositoryAddress;
        let kinds: [(&str, Kind); 3] = [
            ("repositories", RepositoryAddress::Base),
            ("mirrorlist", RepositoryAddress::MirrorList),
            ("metalink", RepositoryAddress::Metalink),
        ];
        let mut found = Vec::new();
        let mut named = false;
        for (key, kind) in kinds {
            named |= self.section.table.contains_key(key);
            for (address, place) in reader.strings(self.section, key).unwrap_or_default() {
                if !is_web_address(address) || address.contains(['"', ' ', '<', '>', '[', ']']) {
                    let message = format!("`{key}` has `{address}`, which is not an `http` or `https` URL");
                    self.problem(reader, place.start, &message, Some(example(key).to_owned()));
                } else if format == RepositoryFormat::Pacman && !address.ends_with(".db") {
                    let message = format!("`{address}` is not the database of a repository");
                    let hint =
                        "write the URL of its `.db` file, such as `https://mirror.example.org/core/os/x86_64/core.db`";
                    self.problem(reader, place.start, &message, Some(hint.to_owned()));
                }
                found.push(kind(address.to_owned()));
            }
        }
        if !named {
            let message = format!("`repositories` is missing, source `{}` needs it", format.label());
            self.problem(reader, self.section.start, &message, Some(example("repositories").to_owned()));
        }
        found
    }

    pub(super) fn keys(&self, reader: &mut TableReader<'t>, format: RepositoryFormat) -> Option<Keyring> {
        let given: Vec<(&str, Span)> = reader.strings(self.section, "fingerprints").unwrap_or_default();
        let lengths: &[usize] = if format == RepositoryFormat::Apk { &[64] } else { &[40, 64] };
        for (text, place) in &given {
            let digits = text.chars().filter(|c| *c != ' ');
            if !digits.clone().all(|c| c.is_ascii_hexdigit()) || !lengths.contains(&digits.count()) {
                let hint = match format {
                    RepositoryFormat::Apk => "`sha256sum FILE` prints the fingerprint of an Alpine key: 64 hex digits",
                    _ => "`gpg --show-keys FILE` prints the fingerprint: 40 hex digits",
                };
                self.problem(reader, place.start, &format!("`{text}` is not a fingerprint"), Some(hint.to_owned()));
            }
        }
        let fingerprints: Vec<String> =
            given.iter().map(|(text, _)| text.replace(' ', "").to_ascii_lowercase()).collect();
        let texts = reader.one_or_more(self.section, "keyring");
        if texts.is_empty() {
            if let Some((_, place)) = given.first() {
                let hint = "name the file with the keys as `keyring`".to_owned();
                self.problem(reader, place.start, "`fingerprints` needs a `keyring`", Some(hint));
            }
            return None;
        };
        let mut places = Vec::new();
        for (text, place) in texts {
            let is_address = text.contains("://");
            if is_address && !is_web_address(text) {
                let hint = "name a file, or an `http` or `https` URL".to_owned();
                self.problem(
                    reader,
                    place.start,
                    &format!("`{text}` is neither a path nor an `http` or `https` URL"),
                    Some(hint),
                );
            } else if is_address && fingerprints.is_empty() {
                let message = "`keyring` is a URL, so `fingerprints` must list the accepted keys";
                self.problem(reader, place.start, message, Some("write `fingerprints = [\"...\"]`".to_owned()));
            }
            places.push(match is_address {
                true => KeyringPlace::Url(text.to_owned()),
                false => KeyringPlace::Path(self.folder.join(text)),
            });
        }
        Some(Keyring { places, fingerprints })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::{Keyring, KeyringPlace, Manifest, Repository, RepositoryAddress, RepositoryFormat, Source};

    fn read(source: &str, lines: &str) -> Result<Repository, String> {
        let text = format!("[kernel.x]\nsource = \"{source}\"\npackages = [\"linux\"]\n{lines}\n");
        let manifest = Manifest::parse(&text, Path::new("/matrix/kernels.toml")).map_err(|error| error.to_string())?;
        match &manifest.kernels[0].source {
            Source::Repository(repository) => Ok(repository.clone()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_repository_is_read_with_its_keys() {
        let lines = "mirrorlist = [\"https://a.example/list\"]\nmetalink = [\"https://b.example/m?x\"]\nunsigned-index = true\n\
                     keyring = [\"keys.asc\", \"https://c.example/key\"]\nfingerprints = [\"ABCD 0123 ABCD 0123 ABCD  0123 ABCD 0123 ABCD 0123\"]";
        let expected = Repository {
            format: RepositoryFormat::Rpm,
            addresses: vec![
                RepositoryAddress::MirrorList("https://a.example/list".into()),
                RepositoryAddress::Metalink("https://b.example/m?x".into()),
            ],
            packages: vec!["linux".into()],
            keys: Some(Keyring {
                places: vec![
                    KeyringPlace::Path(PathBuf::from("/matrix/keys.asc")),
                    KeyringPlace::Url("https://c.example/key".into()),
                ],
                fingerprints: vec!["abcd0123".repeat(5)],
            }),
            unsigned_index: true,
            build: None,
        };
        assert_eq!(read("rpm", lines).unwrap(), expected);
        let trusted = read("apk", "repositories = [\"http://a.example/main\"]\ntrusted = true").unwrap();
        assert_eq!((trusted.format, trusted.keys), (RepositoryFormat::Apk, None));
    }

    #[test]
    fn what_would_not_be_verified_or_found_is_refused() {
        let base = "repositories = [\"https://a.example/os\"]";
        let wrong = [
            ("rpm", "keyring = \"k\"".to_owned(), "`repositories` is missing, source `rpm` needs it"),
            ("rpm", base.to_owned(), "`keyring` is missing, source `rpm` needs it"),
            ("rpm", format!("{base}\nkeyring = \"k\"\ntrusted = true"), "`trusted` (accept unsigned packages)"),
            (
                "rpm",
                format!("{base}\nkeyring = \"https://a.example/k\""),
                "so `fingerprints` must list the accepted keys",
            ),
            ("rpm", format!("{base}\nkeyring = \"k\"\nfingerprints = [\"00\"]"), "`00` is not a fingerprint"),
            ("rpm", format!("{base}\nkeyring = \"ftp://a.example/k\""), "is neither a path nor an `http`"),
            (
                "rpm",
                "repositories = [\"a.example\"]\ntrusted = true".to_owned(),
                "which is not an `http` or `https` URL",
            ),
            ("pacman", format!("{base}\ntrusted = true"), "is not the database of a repository"),
            (
                "apk",
                format!("{base}\ntrusted = true\nunsigned-index = true"),
                "`unsigned-index` is a key of source `rpm`",
            ),
        ];
        for (source, lines, part) in wrong {
            let message = read(source, &lines).unwrap_err();
            assert!(message.contains(part), "{lines}: {message}");
        }
    }
}

//! [`DiskImage`]: where a disk image with a kernel is: a file, or a web server, with what proves that it is the right one.

use std::path::PathBuf;

use super::image_reference::{is_sha256, is_sha512};
use super::reader::TableReader;
use super::repository::{Keyring, RepositoryFormat};
use super::source::{FileLocation, Source};
use super::source_table::{SourceTable, is_web_address};

/// Stands for the newest version in the addresses of an image.
pub(crate) const VERSION: &str = "{version}";
/// The keys that source `disk` may have. The first is of images on this machine as well; seven follow that a TUF repository makes needless, and
/// those that say which repository has the image.
pub(super) const OPTIONAL: [&str; 11] = [
    "release",
    "sha256",
    "checksums",
    "signature",
    "keyring",
    "fingerprints",
    "version-url",
    "version-after",
    "tuf",
    "tuf-root",
    "tuf-root-checksums",
];
/// Keys that only images on servers have.
const OF_SERVERS: &[&str] = OPTIONAL.split_at(1).1;
const NOT_BESIDE_TUF: &[&str] = OF_SERVERS.split_at(7).0;
const OF_TUF: &[&str] = OF_SERVERS.split_at(7).1;

/// Where a disk image is, in any format that `qemu-img` knows; packed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskImage {
    /// On this machine; absolute.
    Path(PathBuf),
    /// On a web server.
    Server(Box<ServedImage>),
}

/// A disk image on a web server. `{version}` in an address stands for the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedImage {
    /// Its address.
    pub url: String,
    /// Where its newest version is found, if its address has one and no TUF repository lists it.
    pub newest: Option<NewestVersion>,
    /// What proves that it is the right one.
    pub proof: ImageProof,
}

/// A text on a web server that names the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestVersion {
    /// Its address.
    pub url: String,
    /// The word that the version follows; `=`, `:`, quotes and spaces may stand between.
    pub after: String,
}

/// What proves that a disk image is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageProof {
    /// Its SHA-256, in lower-case hex.
    Sha256(String),
    /// A file with its SHA-256, as `sha256sum` writes it, at this address; signed if there is a signature.
    Checksums(String, Option<ImageSignature>),
    /// A signature of the image itself.
    Signature(ImageSignature),
    /// A repository of The Update Framework, which lists the image by the last part of its address.
    Tuf(TufRepository),
}

/// A repository of The Update Framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TufRepository {
    /// The address of the directory with its metadata.
    pub metadata: String,
    /// Where its root of trust is; any version of it.
    pub root: FileLocation,
    /// SHA-256 or SHA-512 of versions of the root that are right, in lower-case hex; always there for one on a server.
    pub root_checksums: Vec<String>,
}

impl ServedImage {
    /// Whether its address has a version.
    pub fn has_version(&self) -> bool {
        self.url.contains(VERSION)
    }
}

/// A detached OpenPGP signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSignature {
    /// Its address.
    pub url: String,
    /// Who may sign.
    pub keys: Keyring,
}

impl<'t> SourceTable<'_, 't> {
    /// Source `disk`.
    pub(super) fn disk(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let release = reader.string(self.section, "release");
        if let Some((release, place)) = &release
            && glob::Pattern::new(release).is_err()
        {
            let hint = "write `release = \"6.8.*-generic\"`".to_owned();
            self.problem(reader, place.start, &format!("`{release}` is not a glob"), Some(hint));
        }
        let release = release.map(|(release, _)| release.to_owned());
        let (text, place) = reader.string(self.section, "disk")?;
        if is_web_address(text) {
            let image = self.served_image(reader, (text, place.start))?;
            return Some(Source::Disk { disk: DiskImage::Server(Box::new(image)), release });
        }
        if text.contains("://") {
            let message = format!("`{text}` is neither a path nor an `http` or `https` URL");
            self.problem(reader, place.start, &message, Some("use an `http` or `https` URL".to_owned()));
        }
        for key in OF_SERVERS {
            if let Some((name, _)) = self.section.table.get_key_value(*key) {
                let message = format!("`{key}` needs a `disk` that is a URL");
                self.problem(reader, name.span().start, &message, Some("remove it".to_owned()));
            }
        }
        Some(Source::Disk { disk: DiskImage::Path(self.folder.join(text)), release })
    }

    fn served_image(&self, reader: &mut TableReader<'t>, (url, at): (&str, usize)) -> Option<ServedImage> {
        if OF_TUF.iter().any(|key| self.section.table.contains_key(*key)) {
            let proof = ImageProof::Tuf(self.tuf_repository(reader, (url, at))?);
            return Some(ServedImage { url: url.to_owned(), newest: None, proof });
        }
        let sums = reader.strings(self.section, "sha256").unwrap_or_default();
        for (sum, place) in sums.iter().filter(|(sum, _)| !is_sha256(sum)) {
            let message = format!("`{sum}` is not a SHA-256");
            self.problem(reader, place.start, &message, Some("`sha256sum FILE` prints it: 64 hex digits".to_owned()));
        }
        let checksums = self.address(reader, "checksums");
        let signed = self.address(reader, "signature");
        let keyring = self.section.table.contains_key("keyring");
        let keys = keyring.then(|| self.keys(reader, RepositoryFormat::Rpm)).flatten();
        if let (Some(_), false) = (&signed, keyring) {
            let message = "`signature` needs a `keyring`";
            self.problem(reader, at, message, Some("name the file with the keys of those who sign".to_owned()));
        }
        let of = checksums.as_deref().unwrap_or(url);
        let signature = keys.map(|keys| ImageSignature { url: signed.unwrap_or_else(|| format!("{of}.sig")), keys });
        let newest = self.newest_version(reader, url, at);
        let proof = match (sums.first(), checksums, signature) {
            (Some((sum, _)), None, None) => ImageProof::Sha256(sum.to_ascii_lowercase()),
            (None, Some(checksums), signature) => ImageProof::Checksums(checksums, signature),
            (None, None, Some(signature)) => ImageProof::Signature(signature),
            (None, None, None) if keyring => return None,
            (None, None, None) => {
                let message = "`disk` is a URL, so something must prove that the image is the right one";
                let hint = "add `sha256 = [\"...\"]`, the URL of a file with `checksums`, the `keyring` of those who \
    sign it, or its repository as `tuf`";
                self.problem(reader, at, message, Some(hint.to_owned()));
                return None;
            }
            _ => {
                let message = "`sha256` already proves that the image is the right one";
                self.problem(reader, at, message, Some("remove `checksums` and `keyring`, or `sha256`".to_owned()));
                return None;
            }
        };
        Some(ServedImage { url: url.to_owned(), newest, proof })
    }

    fn tuf_repository(&self, reader: &mut TableReader<'t>, (url, at): (&str, usize)) -> Option<TufRepository> {
        for key in NOT_BESIDE_TUF {
            if let Some((name, _)) = self.section.table.get_key_value(*key) {
                let message = format!("`{key}` does not apply to a disk image in a TUF repository");
                self.problem(reader, name.span().start, &message, Some("remove it".to_owned()));
            }
        }
        let name = url.rsplit('/').next().unwrap_or_default();
        if name.is_empty() || name.contains(['?', '#']) || url.matches(VERSION).count() > name.matches(VERSION).count()
        {
            let message = "the last part of `disk` is not the name of a target";
            let hint = format!("write the URL of the targets and the name, in which `{VERSION}` is the newest version");
            self.problem(reader, at, message, Some(hint));
        }
        if name.matches(VERSION).count() > 1 {
            let message = format!("`{VERSION}` may be in the name of a target only once");
            self.problem(reader, at, &message, Some("name the target so that one version is in it".to_owned()));
        }
        let metadata = self.address(reader, "tuf");
        let root = reader.string(self.section, "tuf-root");
        let sums = reader.strings(self.section, "tuf-root-checksums").unwrap_or_default();
        for (sum, place) in sums.iter().filter(|(sum, _)| !is_sha256(sum) && !is_sha512(sum)) {
            let message = format!("`{sum}` is neither a SHA-256 nor a SHA-512");
            let hint = "`sha256sum root.json` prints it: 64 hex digits";
            self.problem(reader, place.start, &message, Some(hint.to_owned()));
        }
        if metadata.is_none() || root.is_none() {
            let message = "`tuf` and `tuf-root` need each other";
            let hint = "write `tuf = \"https://example.org/metadata\"` and `tuf-root = \"root.json\"`";
            self.problem(reader, at, message, Some(hint.to_owned()));
        }
        let (text, place) = root?;
        if is_web_address(text) && sums.is_empty() {
            let message = "`tuf-root` is a URL, so `tuf-root-checksums` must prove that it is the right one";
            let hint = "write `tuf-root-checksums = [\"...\"]`, as the publisher of the images states it";
            self.problem(reader, place.start, message, Some(hint.to_owned()));
        }
        let root = match is_web_address(text) {
            true => FileLocation::Url(text.to_owned()),
            false => FileLocation::Path(self.folder.join(text)),
        };
        let root_checksums = sums.iter().map(|(sum, _)| sum.to_ascii_lowercase()).collect();
        Some(TufRepository { metadata: metadata?, root, root_checksums })
    }

    fn newest_version(&self, reader: &mut TableReader<'t>, url: &str, at: usize) -> Option<NewestVersion> {
        let page = self.address(reader, "version-url");
        let after = reader.string(self.section, "version-after").map(|(after, _)| after.to_owned());
        if url.contains(VERSION) != page.is_some() {
            let message = format!("`version-url` and `{VERSION}` in `disk` need each other");
            let hint = "name the URL of a text with the newest version, or write the version into `disk`";
            self.problem(reader, at, &message, Some(hint.to_owned()));
        }
        if page.is_some() != after.is_some() {
            let message = "`version-url` and `version-after` need each other";
            let hint = "write `version-after = \"VERSION\"`, the word before the version";
            self.problem(reader, at, message, Some(hint.to_owned()));
        }
        Some(NewestVersion { url: page?, after: after.filter(|after| !after.is_empty())? })
    }

    fn address(&self, reader: &mut TableReader<'t>, key: &str) -> Option<String> {
        let (text, place) = reader.string(self.section, key)?;
        if !is_web_address(text) {
            let message = format!("`{key}` is not an `http` or `https` URL");
            let hint = format!("write `{key} = \"https://example.org/...\"`");
            self.problem(reader, place.start, &message, Some(hint));
        }
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Manifest;
    use super::*;

    fn read(lines: &str) -> Result<DiskImage, String> {
        let text = format!("[kernel.x]\nsource = \"disk\"\n{lines}\n");
        let manifest = Manifest::parse(&text, Path::new("/matrix/kernels.toml")).map_err(|error| error.to_string())?;
        match &manifest.kernels[0].source {
            Source::Disk { disk, .. } => Ok(disk.clone()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_image_is_a_file_or_on_a_server() {
        assert_eq!(read("disk = \"x.raw.zst\"").unwrap(), DiskImage::Path("/matrix/x.raw.zst".into()));
        let lines = "disk = \"https://a.example/{version}/x.bin\"\nversion-url = \"https://a.example/version.txt\"\n\
                     version-after = \"VERSION\"\nkeyring = \"keys.asc\"";
        let DiskImage::Server(image) = read(lines).unwrap() else { panic!() };
        let newest = NewestVersion { url: "https://a.example/version.txt".into(), after: "VERSION".into() };
        assert_eq!(image.newest, Some(newest));
        let ImageProof::Signature(signature) = &image.proof else { panic!("{image:?}") };
        assert_eq!(signature.url, "https://a.example/{version}/x.bin.sig");
        let lines = "disk = \"https://a.example/x.bin\"\nchecksums = \"https://a.example/SHA256SUMS\"\n\
                     signature = \"https://a.example/SHA256SUMS.gpg\"\nkeyring = \"keys.asc\"";
        let DiskImage::Server(image) = read(lines).unwrap() else { panic!() };
        let ImageProof::Checksums(url, Some(signature)) = &image.proof else { panic!("{image:?}") };
        assert_eq!((url.as_str(), signature.url.ends_with(".gpg")), ("https://a.example/SHA256SUMS", true));
    }

    #[test]
    fn a_tuf_repository_proves_an_image() {
        let url = "disk = \"https://a.example/targets/x-v{version}.img.lz4\"\ntuf = \"https://a.example/metadata/\"";
        let sum = "AB".repeat(64);
        let lines = format!("{url}\ntuf-root = \"https://a.example/root.json\"\ntuf-root-checksums = [\"{sum}\"]");
        let DiskImage::Server(image) = read(&lines).unwrap() else { panic!() };
        let root_checksums = vec![sum.to_lowercase()];
        let root = FileLocation::Url("https://a.example/root.json".into());
        let metadata = "https://a.example/metadata/".to_owned();
        assert_eq!(image.proof, ImageProof::Tuf(TufRepository { metadata, root, root_checksums }));
        assert!(image.has_version() && image.newest.is_none());
        let DiskImage::Server(image) = read(&format!("{url}\ntuf-root = \"root.json\"")).unwrap() else { panic!() };
        let ImageProof::Tuf(repository) = &image.proof else { panic!("{image:?}") };
        assert_eq!(repository.root, FileLocation::Path("/matrix/root.json".into()));
        for (lines, part) in [
            (url.to_owned(), "`tuf` and `tuf-root` need each other"),
            ("disk = \"https://a.example/x\"\ntuf-root = \"r\"".to_owned(), "`tuf` and `tuf-root` need each other"),
            (format!("{url}\ntuf-root = \"https://a.example/r\""), "so `tuf-root-checksums` must prove"),
            (format!("{url}\ntuf-root = \"r\"\ntuf-root-checksums = [\"ab\"]"), "neither a SHA-256 nor a SHA-512"),
            (format!("{url}\ntuf-root = \"r\"\nkeyring = \"k\""), "`keyring` does not apply to a disk image in a TUF"),
            (url.replace("x-v{version}", "{version}-{version}") + "\ntuf-root = \"r\"", "only once"),
            (url.replace("targets/x-v", "{version}/x") + "\ntuf-root = \"r\"", "is not the name of a target"),
            ("disk = \"x\"\ntuf = \"https://a.example/m\"".to_owned(), "`tuf` needs a `disk` that is a URL"),
        ] {
            let message = read(&lines).unwrap_err();
            assert!(message.contains(part), "{lines}: {message}");
        }
    }

    #[test]
    fn an_image_that_would_not_be_verified_is_refused() {
        let url = "disk = \"https://a.example/x.bin\"";
        for (lines, part) in [
            (url.to_owned(), "so something must prove"),
            ("disk = \"ftp://a.example/x.bin\"".to_owned(), "neither a path nor an `http`"),
            ("disk = \"x.bin\"\nkeyring = \"k\"".to_owned(), "`keyring` needs a `disk` that is a URL"),
            (format!("{url}\nsha256 = [\"00\"]"), "`00` is not a SHA-256"),
            (format!("{url}\nsha256 = [\"{}\"]\nkeyring = \"k\"", "0".repeat(64)), "already proves"),
            (format!("{url}\nchecksums = \"SHA256SUMS\""), "`checksums` is not an `http`"),
            (format!("{url}\nsignature = \"https://a.example/s\""), "`signature` needs a `keyring`"),
            (format!("{url}\nkeyring = \"k\"\nversion-url = \"https://a.example/v\""), "need each other"),
            ("disk = \"https://a.example/{version}/x\"\nkeyring = \"k\"".to_owned(), "need each other"),
        ] {
            let message = read(&lines).unwrap_err();
            assert!(message.contains(part), "{lines}: {message}");
        }
    }
}

//! [`Input`]: what one input of the user is, by the way it is written.

use std::path::Path;

use super::error::MatrixError;
use crate::manifest::ImageReference;
use crate::source::{LAYOUT_MARK, SCHEME};

/// Endings of archives that are read like directories.
const ARCHIVES: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"];
/// Endings of those that are not read.
const OTHER_ARCHIVES: [&str; 4] = [".zip", ".tar.bz2", ".tbz2", ".7z"];
/// What precedes the checksum of what lies behind an address.
const CHECKSUM: &str = "sha256=";

/// What an input is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Suite,
    Image(ImageReference),
    /// A file on a web server, with its SHA-256 in hex.
    Address {
        url: String,
        sha256: String,
    },
    /// Or a directory that holds an image.
    Archive,
    /// A file or directory.
    Local,
}

impl Input {
    /// # Errors
    /// [`MatrixError::Input`].
    pub fn of(path: &Path) -> Result<Input, MatrixError> {
        let text = path.to_string_lossy();
        let wrong = |reason: &str, hint: &str| MatrixError::Input {
            input: text.clone().into_owned(),
            reason: reason.to_owned(),
            hint: hint.to_owned(),
        };
        if let Some(image) = text.strip_prefix(SCHEME) {
            let hint = "name an image as `oci://REGISTRY/NAME@sha256:DIGEST` or `oci://REGISTRY/NAME:TAG`";
            return image.parse().map(Input::Image).map_err(|reason: String| wrong(&reason, hint));
        }
        let address =
            text.split_once("://").filter(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        match address {
            Some(("http" | "https", _)) => {
                let hint = "append the checksum of the file: `#sha256=` and 64 hex digits";
                let (url, fragment) = text.split_once('#').ok_or_else(|| wrong("it has no checksum", hint))?;
                let hex = fragment.strip_prefix(CHECKSUM).filter(|hex| hex.len() == 64);
                let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let sha256 = hex.ok_or_else(|| wrong("its checksum is not `sha256=` with 64 hex digits", hint))?;
                return Ok(Input::Address { url: url.to_owned(), sha256: sha256.to_ascii_lowercase() });
            }
            Some(_) if !path.exists() => {
                let hint = "name images as `oci://REGISTRY/NAME@sha256:DIGEST`, and files on servers as \
    `https://...#sha256=DIGEST`";
                return Err(wrong("unsupported kind of URL", hint));
            }
            _ => {}
        }
        if path.extension().is_some_and(|extension| extension == "toml") {
            return Ok(Input::Suite);
        }
        let ends = |endings: &[&str]| endings.iter().any(|ending| text.to_ascii_lowercase().ends_with(ending));
        match () {
            () if path.join(LAYOUT_MARK).is_file() => Ok(Input::Archive),
            () if !path.is_file() => Ok(Input::Local),
            () if ends(&ARCHIVES) => Ok(Input::Archive),
            () if ends(&OTHER_ARCHIVES) => {
                Err(wrong("unsupported archive format", "unpack it and name the directory, or repack it as `.tar.gz`"))
            }
            () => Ok(Input::Local),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["x.tar.gz", "y.tgz", "Z.TAR", "a.o"] {
            std::fs::write(at(name), "").unwrap();
        }
        std::fs::create_dir(at("folder.tar")).unwrap();
        let of = |path: &Path| Input::of(path).unwrap();
        for (name, expected) in [
            ("x.tar.gz", Input::Archive),
            ("y.tgz", Input::Archive),
            ("Z.TAR", Input::Archive),
            ("a.o", Input::Local),
            ("folder.tar", Input::Local),
            ("missing.tar", Input::Local),
            ("suite.toml", Input::Suite),
        ] {
            assert_eq!(of(&at(name)), expected, "{name}");
        }
        let digest = "AB".repeat(32);
        let image = of(Path::new(&format!("oci://example.org/a/b.toml@sha256:{digest}")));
        assert!(matches!(image, Input::Image(image) if image.digest == Some(digest.to_lowercase())));
        let (url, sha256) = ("https://example.org/x.tar.gz?a=1".to_owned(), digest.to_lowercase());
        assert_eq!(of(Path::new(&format!("{url}#sha256={digest}"))), Input::Address { url, sha256 });
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let zip = folder.path().join("x.zip");
        std::fs::write(&zip, "").unwrap();
        for (input, reason) in [
            ("oci://tools", "it does not name a registry"),
            ("oci://example.org/x@sha256:12", "its digest is not"),
            ("oci://", "it does not name a registry"),
            ("https://example.org/x.tar.gz", "it has no checksum"),
            ("https://example.org/x.tar.gz#sha256=12", "its checksum is not"),
            ("docker://example.org/x", "unsupported kind of"),
            (zip.to_str().unwrap(), "unsupported archive format"),
        ] {
            let error = Input::of(Path::new(input)).unwrap_err();
            assert!(
                error.to_string().contains(reason) && error.hint().is_some() && error.is_input(),
                "{input}: {error}"
            );
        }
    }
}

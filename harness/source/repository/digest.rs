//! [`Digest`]: the checksum that an index names for a file.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Sha256, Sha512};

use crate::bytes::hex;

/// A checksum that no one can forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Digest {
    Sha256(String),
    Sha512(String),
}

impl Digest {
    /// By the name that an index has for its kind; `None` for one that is not known, not safe, or not of its length.
    pub fn parse(kind: &str, text: &str) -> Option<Digest> {
        let text = text.trim().to_ascii_lowercase();
        let is = |length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match kind.to_ascii_lowercase().replace('-', "").as_str() {
            "sha256" if is(64) => Some(Digest::Sha256(text)),
            "sha512" if is(128) => Some(Digest::Sha512(text)),
            _ => None,
        }
    }

    /// In hex.
    pub fn hex(&self) -> &str {
        match self {
            Digest::Sha256(text) | Digest::Sha512(text) => text,
        }
    }

    /// The SHA-256, if it is one.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Digest::Sha256(text) => Some(text),
            Digest::Sha512(_) => None,
        }
    }

    /// Whether it is that of a file.
    pub fn is_of(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let found = match self {
            Digest::Sha256(_) => of_stream::<Sha256>(&mut file)?,
            Digest::Sha512(_) => of_stream::<Sha512>(&mut file)?,
        };
        Ok(found == self.hex())
    }
}

/// The checksum of all that a stream has.
pub(super) fn of_stream<D: sha2::Digest>(stream: &mut impl io::Read) -> io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn only_safe_checksums_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let sha256 = crate::checksum::of_bytes(b"abc");
        let sha512 = hex(&Sha512::digest(b"abc"));
        assert!(Digest::parse("sha256", &sha256.to_uppercase()).unwrap().is_of(file.path()).unwrap());
        assert!(Digest::parse("sha-256", &sha256).is_some());
        assert!(Digest::parse("sha512", &sha512).unwrap().is_of(file.path()).unwrap());
        assert!(!Digest::parse("sha256", &"0".repeat(64)).unwrap().is_of(file.path()).unwrap());
        for (kind, text) in [("sha", "00"), ("md5", "00"), ("sha256", "zz"), ("sha256", &*sha512), ("sha256", "")] {
            assert_eq!(Digest::parse(kind, text), None, "{kind}");
        }
    }
}

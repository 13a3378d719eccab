//! [`Keys`]: the public keys that a repository's signatures are verified with, by `gpgv`, and of Alpine by `openssl`.
//!
//! They are copied to the state of the repository when its index is fetched: index and packages are verified with the same ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::checksum;
use crate::manifest::{Keyring, KeyringPlace};
use crate::process::{self, ProcessError};
use crate::source::download::Download;
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// No keyring of a distribution is as large.
const LARGEST: u64 = 16 << 20;
const DEADLINE: Duration = Duration::from_secs(120);
/// Files in a directory of keys.
const MOST_KEYS: usize = 64;
const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Public keys, ready for use.
#[derive(Debug)]
pub(in crate::source) struct Keys {
    /// Files of one key each for Alpine's, else one keyring.
    files: Vec<PathBuf>,
    /// Those that count, if not all do.
    fingerprints: Vec<String>,
}

/// What kind of keys they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum KeyKind {
    OpenPgp,
    /// Of Alpine.
    Rsa,
}

/// What a signature is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum RsaDigest {
    Sha1,
    Sha256,
    Sha512,
}

impl Keys {
    /// Copies keys to `folder`, which is made.
    pub fn fetch(
        request: &Request<'_>,
        (keyring, kind): (&Keyring, KeyKind),
        folder: &Path,
        work: &Path,
    ) -> Result<Keys, StoreError> {
        fs::create_dir_all(folder).during("create", folder)?;
        let (mut sources, mut missing) = (Vec::new(), None);
        for (at, place) in keyring.places.iter().enumerate() {
            match place {
                KeyringPlace::Path(path) if path.is_dir() => {
                    let files = fs::read_dir(path).during("read", path)?.flatten().map(|entry| entry.path());
                    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
                    files.sort();
                    sources.extend(files.into_iter().take(MOST_KEYS));
                }
                KeyringPlace::Path(path) if path.is_file() => sources.push(path.clone()),
                // Distributions have the same keys at different places.
                KeyringPlace::Path(path) => missing = missing.or(Some(path)),
                KeyringPlace::Url(url) => {
                    let file = work.join(format!("keys-{at}"));
                    let (server, step) = (request.server(url), request.step);
                    Download { what: &request.what, url, headers: &[], sha256: None, limit: LARGEST, server, step }
                        .to(&file)?;
                    sources.push(file);
                }
            }
        }
        if let (true, Some(path)) = (sources.is_empty(), missing) {
            let reason = format!("the keyring `{}` does not exist", path.display());
            return Err(
                request.unavailable(reason, "install the distribution's keys, or correct `keyring` in the manifest")
            );
        }
        let mut all = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            if fs::metadata(source).during("read", source)?.len() > LARGEST {
                let reason = format!("`{}` is too large for a keyring", source.display());
                return Err(request.unavailable(reason, "correct `keyring` in the manifest"));
            }
            let bytes = fs::read(source).during("read", source)?;
            if kind == KeyKind::Rsa {
                let path = folder.join(format!("{at}.pub"));
                fs::write(&path, bytes).during("write", &path)?;
            } else {
                let keys = dearmored(&bytes).map_err(|reason| {
                    request.unavailable(
                        format!("the keyring cannot be read: {reason}"),
                        "correct `keyring` in the manifest",
                    )
                })?;
                all.extend(keys);
            }
        }
        if kind == KeyKind::OpenPgp {
            let path = folder.join("keyring.gpg");
            fs::write(&path, all).during("write", &path)?;
        }
        Keys::read(request, (keyring, kind), folder)
    }

    /// What [`fetch`](Self::fetch) left in `folder`.
    pub fn read(
        request: &Request<'_>,
        (keyring, kind): (&Keyring, KeyKind),
        folder: &Path,
    ) -> Result<Keys, StoreError> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).during("read", folder)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let fingerprints = keyring.fingerprints.clone();
        if kind == KeyKind::Rsa && !fingerprints.is_empty() {
            let mut right = Vec::new();
            for file in files {
                if fingerprints.contains(&checksum::of_file(&file).during("read", &file)?) {
                    right.push(file);
                }
            }
            files = right;
        }
        if files.is_empty() {
            let reason = "the keyring contains none of the keys in `fingerprints`".to_owned();
            return Err(request.unavailable(reason, "correct `keyring` or `fingerprints` in the manifest"));
        }
        Ok(Keys { files, fingerprints })
    }

    /// Verifies an OpenPGP signature of a file; the inner error says what is wrong with it.
    pub fn verify(
        &self,
        request: &Request<'_>,
        signature: &Path,
        data: &Path,
    ) -> Result<Result<(), String>, StoreError> {
        let Some(keyring) = self.files.first() else { return Ok(Err("the keyring is empty".to_owned())) };
        let mut gpgv = Command::new("gpgv");
        // Its home directory would be the user's, with options and keys of his own.
        gpgv.arg("--homedir").arg(keyring.with_file_name("home"));
        gpgv.args(["--status-fd", "1", "--keyring"]).arg(keyring).arg(signature).arg(data);
        let done = finish(request, &mut gpgv, "gpgv")?;
        Ok(judge(&done.stdout, &self.fingerprints))
    }

    /// Verifies an RSA signature of a file by any of the keys.
    pub fn verify_rsa(
        &self,
        request: &Request<'_>,
        digest: RsaDigest,
        signature: &Path,
        data: &Path,
    ) -> Result<Result<(), String>, StoreError> {
        let digest = match digest {
            RsaDigest::Sha1 => "-sha1",
            RsaDigest::Sha256 => "-sha256",
            RsaDigest::Sha512 => "-sha512",
        };
        for key in &self.files {
            let mut openssl = Command::new("openssl");
            openssl.args(["dgst", digest, "-verify"]).arg(key).arg("-signature").arg(signature).arg(data);
            if finish(request, &mut openssl, "openssl")?.status.success() {
                return Ok(Ok(()));
            }
        }
        Ok(Err("its signature was made by no key of the keyring".to_owned()))
    }
}

fn finish(request: &Request<'_>, command: &mut Command, name: &str) -> Result<process::Finished, StoreError> {
    process::finish(command, DEADLINE).map_err(|error| match error {
        ProcessError::Missing { .. } => {
            let reason = format!("`{name}`, which verifies signatures, is not installed");
            request.unavailable(reason, &format!("install {name}"))
        }
        error => request.unavailable(error.to_string(), &format!("check that {name} works on this machine")),
    })
}

/// What gpgv's status lines say. A signature counts if its key is neither expired nor revoked.
fn judge(status: &str, fingerprints: &[String]) -> Result<(), String> {
    let mut reason = None;
    let mut is_good = false;
    for line in status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("NEWSIG") => is_good = false,
            Some("GOODSIG") => is_good = true,
            Some("VALIDSIG") if is_good => {
                // Of the key that signed, and last of the primary key that it belongs to.
                let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
                let mut ends = words.first().into_iter().chain(words.last());
                if fingerprints.is_empty() || ends.any(|word| fingerprints.contains(word)) {
                    return Ok(());
                }
                reason = Some("it is signed by a key that `fingerprints` does not list");
            }
            Some("BADSIG") => reason = Some("its signature does not match the data"),
            Some("EXPKEYSIG") => reason = Some("it is signed by a key that has expired"),
            Some("EXPSIG") => reason = Some("its signature has expired"),
            Some("REVKEYSIG") => reason = Some("it is signed by a key that was revoked"),
            Some("ERRSIG" | "NO_PUBKEY") => {
                reason = reason.or(Some("it is signed by a key that is not in the keyring"));
            }
            _ => {}
        }
    }
    Err(reason.unwrap_or("its signature is malformed").to_owned())
}

/// Binary keys, in any form; several blocks of text may follow each other.
fn dearmored(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
        return match bytes.first() {
            // A packet, or a keybox.
            Some(first) if first & 0x80 != 0 || bytes.get(8..12) == Some(b"KBXf") => Ok(bytes.to_owned()),
            _ => Err("it has no OpenPGP keys".to_owned()),
        };
    };
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let Some((block, _)) = block.split_once(END) else {
            return Err("an armored block is not terminated".to_owned());
        };
        let lines = block.lines().skip(1).map(str::trim);
        let body: String =
            lines.filter(|line| !line.contains(':') && !line.starts_with('=')).collect::<Vec<_>>().concat();
        keys.extend(BASE64_STANDARD.decode(body).map_err(|error| format!("an armored block is damaged ({error})"))?);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_signatures_of_the_right_keys_count() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AB x\n[GNUPG:] VALIDSIG ABCD 2026 1 0 4 0 1 8 00 EF01\n";
        assert_eq!(judge(good, &[]), Ok(()));
        assert_eq!(judge(good, &["abcd".to_owned()]), Ok(()));
        assert_eq!(judge(good, &["ef01".to_owned()]), Ok(()));
        assert!(judge(good, &["00".to_owned()]).unwrap_err().contains("`fingerprints`"));
        for (word, part) in [
            ("EXPKEYSIG", "expired"),
            ("REVKEYSIG", "revoked"),
            ("BADSIG", "does not match the data"),
            ("EXPSIG", "expired"),
        ] {
            assert!(judge(&good.replace("GOODSIG", word), &[]).unwrap_err().contains(part), "{word}");
        }
        // The second signature does not make the first one good.
        let two = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AB x\n[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG ABCD 1 0\n";
        assert!(judge(two, &[]).is_err());
        assert!(judge("[GNUPG:] ERRSIG 00\n[GNUPG:] NO_PUBKEY 00", &[]).unwrap_err().contains("not in the keyring"));
        assert!(judge("", &[]).is_err());
    }

    #[test]
    fn keys_are_read_in_every_form() {
        let block = |body: &str| format!("about it\n{BEGIN}\nVersion: 1\n\n{body}\n=abcd\n{END}\n");
        assert_eq!(dearmored((block("mQAB\nAgM=") + &block("mQ==")).as_bytes()).unwrap(), [0x99, 0, 1, 2, 3, 0x99]);
        assert_eq!(dearmored(&[0x99, 1]).unwrap(), [0x99, 1]);
        assert!(dearmored(b"<html>").is_err());
        assert!(dearmored(block("!!!").as_bytes()).is_err());
        assert!(dearmored(BEGIN.as_bytes()).unwrap_err().contains("not terminated"));
        assert!(dearmored(b"").is_err());
    }
}

//! [`ImageReference`]: the name of an OCI image: `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`.

use std::fmt;
use std::str::FromStr;

/// An OCI image in a registry. The registry is always named: corematrix prefers none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// Host, with a port if it is not 443.
    pub registry: String,
    /// Such as `cilium/ci-kernels`.
    pub repository: String,
    /// Such as `6.6`; `latest` if neither tag nor digest is given.
    pub tag: Option<String>,
    /// 64 hex digits: the SHA-256 of the manifest.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Whether the registry is on this machine: then it is spoken to without TLS, as container tools do.
    pub fn is_local(&self) -> bool {
        is_this_machine(&self.registry)
    }
}

/// Whether a host, which may have a port, is this machine.
pub fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.starts_with("127.") || name == "[::1]"
}

impl FromStr for ImageReference {
    type Err = String;

    /// # Errors
    /// What is wrong, as a lowercase fragment.
    fn from_str(text: &str) -> Result<ImageReference, String> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let hex = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
                (name, Some(hex.ok_or("its digest is not `sha256:` with 64 hex digits")?.to_ascii_lowercase()))
            }
            None => (text, None),
        };
        let (registry, path) = name.split_once('/').ok_or("it does not name a registry")?;
        if !registry.contains(['.', ':']) && registry != "localhost" {
            return Err("it does not name a registry".to_owned());
        }
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let plain = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || more.contains(c))
        };
        let sound_path = repository.split('/').all(|part| plain(part, "_-") && !part.starts_with('.'));
        if !plain(registry, "-:[]") || !sound_path || tag.as_deref().is_some_and(|tag| !plain(tag, "_-")) {
            return Err("it is not of the form `REGISTRY/REPOSITORY:TAG`".to_owned());
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(ImageReference { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether `text` is a SHA-256 in hex.
pub(super) fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

pub(super) fn is_sha512(text: &str) -> bool {
    is_hex(text, 128)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        let digest = "ab".repeat(32);
        for (text, tag, shown) in [
            ("example.org/a/b:6.6".to_owned(), Some("6.6"), "example.org/a/b:6.6".to_owned()),
            ("example.org:5000/b".to_owned(), Some("latest"), "example.org:5000/b:latest".to_owned()),
            (format!("localhost/b@sha256:{digest}"), None, format!("localhost/b@sha256:{digest}")),
            (format!("127.0.0.1:5000/b:x@sha256:{digest}"), Some("x"), format!("127.0.0.1:5000/b:x@sha256:{digest}")),
        ] {
            let image: ImageReference = text.parse().unwrap();
            assert_eq!(image.tag.as_deref(), tag);
            assert_eq!(image.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, reason) in [
            ("ci-kernels:6.6", "it does not name a registry"),
            ("cilium/ci-kernels:6.6", "it does not name a registry"),
            ("example.org/a b", "it is not of the form `REGISTRY/REPOSITORY:TAG`"),
            ("example.org/../b", "it is not of the form `REGISTRY/REPOSITORY:TAG`"),
            ("example.org/", "it is not of the form `REGISTRY/REPOSITORY:TAG`"),
            ("example.org/a@sha256:12", "its digest is not `sha256:` with 64 hex digits"),
        ] {
            assert_eq!(text.parse::<ImageReference>(), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |text: &str| text.parse::<ImageReference>().unwrap().is_local();
        assert!(local("localhost:5000/a") && local("127.0.0.1:5000/a") && !local("example.org:5000/a"));
        assert!(!local("localhost.example.org/a"));
    }
}

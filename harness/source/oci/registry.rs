//! [`Registry`]: manifests and blobs by the OCI distribution protocol, as anybody may read them.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::checksum;
use crate::manifest::ImageReference;
use crate::source::download::{Download, Response};
use crate::source::oci::document::{Document, Layer, Unusable, check_config};
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// No manifest is larger; the protocol has registries accept at least 4 MiB.
const MANIFEST_LIMIT: u64 = 8 << 20;
/// The largest layer that is fetched.
const BLOB_LIMIT: u64 = 4 << 30;
/// What may describe an image, or its images for several machines.
const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";

/// A registry, and one repository of it.
pub(in crate::source) struct Registry<'a> {
    request: &'a Request<'a>,
    image: &'a ImageReference,
    /// For short answers.
    work: PathBuf,
    token: Option<String>,
}

/// An image for this machine.
#[derive(Debug)]
pub(in crate::source) struct ImageManifest {
    /// Of what the reference names, which may be an index: 64 hex digits.
    pub digest: String,
    /// The lowest first; at least one.
    pub layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

impl<'a> Registry<'a> {
    /// The registry of `image`; short answers go to files in `work`.
    pub fn new(request: &'a Request<'a>, image: &'a ImageReference, work: PathBuf) -> Registry<'a> {
        Registry { request, image, work, token: None }
    }

    /// The image for this machine, behind a digest or the reference's tag.
    pub fn manifest(&mut self, digest: Option<&str>) -> Result<ImageManifest, StoreError> {
        let wanted = match digest {
            Some(digest) => format!("sha256:{digest}"),
            None => self.image.tag.clone().unwrap_or_else(|| "latest".to_owned()),
        };
        let text = self.text(&format!("manifests/{wanted}"), digest)?;
        let digest = checksum::of_bytes(&text);
        let mut document = Document::parse(&text).map_err(|why| self.unusable(why))?;
        if let Some(hex) = document.of_machine().map_err(|why| self.unusable(why))? {
            let text = self.text(&format!("manifests/sha256:{hex}"), Some(&hex))?;
            document = Document::parse(&text).map_err(|why| self.unusable(why))?;
        }
        if let Some(hex) = document.config().map_err(|why| self.unusable(why))? {
            let text = self.text(&format!("blobs/sha256:{hex}"), Some(&hex))?;
            check_config(&text).map_err(|why| self.unusable(why))?;
        }
        let layers = document.layers().map_err(|why| self.unusable(why))?;
        Ok(ImageManifest { digest, layers })
    }

    /// The digest of what a tag names now.
    pub fn digest(&mut self) -> Result<String, StoreError> {
        let tag = self.image.tag.clone().unwrap_or_else(|| "latest".to_owned());
        self.text(&format!("manifests/{tag}"), None).map(|text| checksum::of_bytes(&text))
    }

    /// Fetches a blob to the directory for downloads, unless it is there.
    pub fn blob(&mut self, digest: &str) -> Result<PathBuf, StoreError> {
        let file = self.request.store.downloads().join(digest);
        let step = self.request.step;
        step(format!("downloading layer {} of {}", &digest[..12], self.image));
        self.get(&format!("blobs/sha256:{digest}"), Some(digest), BLOB_LIMIT, &file)?;
        Ok(file)
    }

    /// A short answer.
    fn text(&mut self, path: &str, sha256: Option<&str>) -> Result<Vec<u8>, StoreError> {
        let file = self.work.join("answer");
        let _ = fs::remove_file(&file);
        self.get(path, sha256, MANIFEST_LIMIT, &file)?;
        fs::read(&file).during("read", &file)
    }

    /// Fetches what lies behind `path`, after asking for a token if the registry wants one.
    fn get(&mut self, path: &str, sha256: Option<&str>, limit: u64, file: &std::path::Path) -> Result<(), StoreError> {
        let scheme = if self.image.is_local() { "http" } else { "https" };
        let (host, repository) = address(&self.image.registry, &self.image.repository);
        let url = format!("{scheme}://{host}/v2/{repository}/{path}");
        let Request { what, step, .. } = self.request;
        loop {
            let mut headers = vec![ACCEPT.to_owned()];
            headers.extend(self.token.as_ref().map(|token| format!("Authorization: Bearer {token}")));
            let server = self.request.server(&url);
            let download = Download { what, url: &url, headers: &headers, sha256, limit, server, step };
            let response = download.answer(file)?;
            match response.status {
                200..300 => return Ok(()),
                401 if self.token.is_none() => match self.ask_for_token(&response)? {
                    Some(token) => self.token = Some(token),
                    None => return Err(download.refused(&response)),
                },
                404 => {
                    let hint = "check the registry for existing tags and digests";
                    return Err(self.request.unavailable(format!("the registry has no `{}`", self.image), hint));
                }
                _ => return Err(download.refused(&response)),
            }
        }
    }

    /// The token that anybody gets from where the registry sends them; `None` if it sends them nowhere.
    fn ask_for_token(&self, response: &Response) -> Result<Option<String>, StoreError> {
        let Some(challenge) = response.header("www-authenticate").and_then(Challenge::parse) else { return Ok(None) };
        let (_, repository) = address(&self.image.registry, &self.image.repository);
        let scope = challenge.scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
        let mut url = format!("{}?scope={}", challenge.realm, escaped(&scope));
        if let Some(service) = challenge.service {
            url += &format!("&service={}", escaped(&service));
        }
        let file = self.work.join("token");
        let _ = fs::remove_file(&file);
        let Request { what, step, .. } = self.request;
        let server = self.request.server(&url);
        Download { what, url: &url, headers: &[], sha256: None, limit: MANIFEST_LIMIT, server, step }.to(&file)?;
        let text = fs::read(&file).during("read", &file)?;
        let _ = fs::remove_file(&file);
        let token: Token = serde_json::from_slice(&text)
            .map_err(|error| self.corrupt(format!("the registry's token cannot be read: {error}")))?;
        match token.token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(token.token)),
            false => Err(self.corrupt("the registry's token contains invalid characters".to_owned())),
        }
    }

    fn unusable(&self, why: Unusable) -> StoreError {
        match why {
            Unusable::Damaged(reason) => self.corrupt(reason),
            Unusable::OtherMachine(has) => {
                let ours = Unusable::machine();
                let reason = format!("`{}` is for {has}, not for {ours}", self.image);
                self.request.unavailable(reason, &format!("name an image for {ours}"))
            }
        }
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { what: format!("{}: {}", self.request.what, self.image), reason }
    }
}

/// Where to ask for a repository: Docker's registry is reached by another name, and has its own images in a directory.
fn address<'r>(registry: &'r str, repository: &'r str) -> (&'r str, Cow<'r, str>) {
    match registry {
        "docker.io" | "index.docker.io" if repository.contains('/') => ("registry-1.docker.io", repository.into()),
        "docker.io" | "index.docker.io" => ("registry-1.docker.io", format!("library/{repository}").into()),
        _ => (registry, repository.into()),
    }
}

/// Where a registry sends those who have no token.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// Reads `Bearer realm="https://...",service="...",scope="..."`.
    fn parse(header: &str) -> Option<Challenge> {
        let rest = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?;
        let value = |name: &str| {
            let start = rest.find(&format!("{name}=\""))? + name.len() + 2;
            Some(rest[start..start + rest[start..].find('"')?].to_owned())
        };
        let realm = value("realm").filter(|realm| realm.starts_with("https://") || realm.starts_with("http://"))?;
        Some(Challenge { realm, service: value("service"), scope: value("scope") })
    }
}

/// As a value in the query of an address.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' | b',' => out.push(byte.into()),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_apart() {
        let header = r#"Bearer realm="https://example.org/token",service="example",scope="repository:a/b:pull,push""#;
        let found = Challenge::parse(header).unwrap();
        assert_eq!(found.realm, "https://example.org/token");
        assert_eq!(found.scope.as_deref(), Some("repository:a/b:pull,push"));
        for other in ["Basic realm=\"x\"", "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"https://x", ""] {
            assert_eq!(Challenge::parse(other), None, "{other}");
        }
    }

    #[test]
    fn dockers_registry_has_another_address() {
        assert_eq!(address("docker.io", "debian"), ("registry-1.docker.io", "library/debian".into()));
        assert_eq!(address("docker.io", "a/b"), ("registry-1.docker.io", "a/b".into()));
        assert_eq!(address("ghcr.io", "b"), ("ghcr.io", "b".into()));
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escaped("repository:a/b:pull &x=\"1\""), "repository:a/b:pull%20%26x%3D%221%22");
    }
}

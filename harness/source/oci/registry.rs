//! [`Registry`]: manifests and blobs by the OCI distribution protocol, as anybody may read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::checksum;
use crate::manifest::ImageReference;
use crate::source::download::{Download, Response};
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
/// No image has more layers; container tools stop at 127.
const MOST_LAYERS: usize = 1000;
/// How layers are annotated with the name of the file that they are.
const TITLE: &str = "org.opencontainers.image.title";
/// The machine whose kernels, and objects, are of use.
const MACHINE: (&str, &str) = ("linux", "amd64");

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

/// A layer of an image, or a file of an artifact.
#[derive(Debug)]
pub(in crate::source) struct Layer {
    /// 64 hex digits.
    pub digest: String,
    /// What it says it is; empty if it says nothing.
    pub media_type: String,
    /// The name of the file that it is, if it is one.
    pub title: Option<String>,
}

/// A manifest or an index, as JSON.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
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
        let mut document = self.document(&text)?;
        if !document.manifests.is_empty() {
            let of_machine = document.manifests.iter().find(|one| {
                one.platform.as_ref().is_some_and(|on| (on.os.as_str(), on.architecture.as_str()) == MACHINE)
            });
            // One image that is for no machine in particular is for this one, too.
            let only = document.manifests.first().filter(|one| document.manifests.len() == 1 && one.platform.is_none());
            let Some(chosen) = of_machine.or(only) else {
                let all = document.manifests.iter().filter_map(|one| one.platform.as_ref());
                return Err(self.wrong_machine(all));
            };
            let hex = self.hex(&chosen.digest)?;
            let text = self.text(&format!("manifests/sha256:{hex}"), Some(&hex))?;
            document = self.document(&text)?;
        }
        if let Some(config) = &document.config {
            let hex = self.hex(&config.digest)?;
            let text = self.text(&format!("blobs/sha256:{hex}"), Some(&hex))?;
            // Images that are not for containers have a config of another kind, which names no machine.
            if let Ok(platform) = serde_json::from_slice::<Platform>(&text)
                && (platform.os.as_str(), platform.architecture.as_str()) != MACHINE
            {
                return Err(self.wrong_machine(std::iter::once(&platform)));
            }
        }
        match document.layers.len() {
            0 => return Err(self.corrupt("it has no layers".to_owned())),
            1..=MOST_LAYERS => {}
            more => return Err(self.corrupt(format!("it has {more} layers, more than {MOST_LAYERS}"))),
        }
        let layer = |layer: Descriptor| {
            let title = layer.annotations.get(TITLE).cloned();
            self.hex(&layer.digest).map(|digest| Layer { digest, media_type: layer.media_type, title })
        };
        let layers = document.layers.into_iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        Ok(ImageManifest { digest, layers })
    }

    /// The digest of what a tag names now.
    pub fn digest(&mut self) -> Result<String, StoreError> {
        let tag = self.image.tag.clone().unwrap_or_else(|| "latest".to_owned());
        self.text(&format!("manifests/{tag}"), None).map(|text| checksum::of_bytes(&text))
    }

    /// Fetches a blob to the folder for downloads, unless it is there.
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
        let url = format!("{scheme}://{}/v2/{}/{path}", self.image.registry, self.image.repository);
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
                    let hint = "look at the registry for the tags and digests that it has";
                    return Err(self.request.unavailable(format!("the registry has no `{}`", self.image), hint));
                }
                _ => return Err(download.refused(&response)),
            }
        }
    }

    /// The token that anybody gets from where the registry sends them; `None` if it sends them nowhere.
    fn ask_for_token(&self, response: &Response) -> Result<Option<String>, StoreError> {
        let Some(challenge) = response.header("www-authenticate").and_then(Challenge::parse) else { return Ok(None) };
        let scope = challenge.scope.unwrap_or_else(|| format!("repository:{}:pull", self.image.repository));
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
            false => Err(self.corrupt("the registry's token has characters that no token has".to_owned())),
        }
    }

    fn document(&self, text: &[u8]) -> Result<Document, StoreError> {
        serde_json::from_slice(text).map_err(|error| self.corrupt(format!("its manifest cannot be read: {error}")))
    }

    fn hex(&self, digest: &str) -> Result<String, StoreError> {
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
        match hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            Some(hex) => Ok(hex.to_ascii_lowercase()),
            None => Err(self.corrupt(format!("digest `{}` is of no kind that is known", digest.escape_debug()))),
        }
    }

    fn wrong_machine<'p>(&self, has: impl Iterator<Item = &'p Platform>) -> StoreError {
        let mut has: Vec<String> = has.map(|one| format!("{}/{}", one.os, one.architecture)).collect();
        if has.is_empty() {
            has.push("no machine that it names".to_owned());
        }
        let reason = format!("`{}` is for {}, not for {}/{}", self.image, has.join(", "), MACHINE.0, MACHINE.1);
        self.request.unavailable(reason, &format!("name an image for {}/{}", MACHINE.0, MACHINE.1))
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { what: format!("{}: {}", self.request.what, self.image), reason }
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
    fn queries_are_escaped() {
        assert_eq!(escaped("repository:a/b:pull &x=\"1\""), "repository:a/b:pull%20%26x%3D%221%22");
    }
}

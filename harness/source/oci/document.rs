//! [`Document`]: what describes an image, or its images for several machines, wherever it lies.

use std::collections::BTreeMap;

use serde::Deserialize;

/// No image has more layers; container tools stop at 127.
const MOST_LAYERS: usize = 1000;
/// How layers are annotated with the name of the file that they are.
const TITLE: &str = "org.opencontainers.image.title";
/// The machine whose kernels, and objects, are of use.
const MACHINE: (&str, &str) = ("linux", "amd64");

/// A manifest or an index, as JSON.
#[derive(Deserialize)]
pub(super) struct Document {
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
    // Some writers have a `null` where there is none.
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// A layer of an image, or a file of an artifact.
#[derive(Debug)]
pub(in crate::source) struct Layer {
    /// 64 hex digits.
    pub digest: String,
    /// What it says it is; empty if it has no type.
    pub media_type: String,
    /// The name of the file that it is, if it is one.
    pub title: Option<String>,
}

/// Why a document is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is for these machines alone.
    OtherMachine(String),
    /// It is damaged, as a lowercase fragment.
    Damaged(String),
}

impl Document {
    pub fn parse(text: &[u8]) -> Result<Document, Unusable> {
        serde_json::from_slice(text).map_err(|error| Unusable::Damaged(format!("its manifest cannot be read: {error}")))
    }

    /// The digest of the document for this machine, in hex; `None` if this one is no index.
    pub fn of_machine(&self) -> Result<Option<String>, Unusable> {
        if self.manifests.is_empty() {
            return Ok(None);
        }
        let is_ours = |one: &&Descriptor| one.platform.as_ref().is_some_and(Platform::is_ours);
        // One image that is for no machine in particular is for this one, too.
        let only = self.manifests.first().filter(|one| self.manifests.len() == 1 && one.platform.is_none());
        match self.manifests.iter().find(is_ours).or(only) {
            Some(one) => hex(&one.digest).map(Some),
            None => {
                let has: Vec<String> =
                    self.manifests.iter().filter_map(|one| Some(one.platform.as_ref()?.name())).collect();
                let has = if has.is_empty() { "no named platform".to_owned() } else { has.join(", ") };
                Err(Unusable::OtherMachine(has))
            }
        }
    }

    /// The digest of the image's config, in hex, if it has one.
    pub fn config(&self) -> Result<Option<String>, Unusable> {
        self.config.as_ref().map(|config| hex(&config.digest)).transpose()
    }

    /// The layers, the lowest first; at least one.
    pub fn layers(self) -> Result<Vec<Layer>, Unusable> {
        match self.layers.len() {
            0 => return Err(Unusable::Damaged("it has no layers".to_owned())),
            1..=MOST_LAYERS => {}
            more => {
                return Err(Unusable::Damaged(format!("it has {more} layers, more than the limit of {MOST_LAYERS}")));
            }
        }
        let layer = |layer: Descriptor| {
            let title = layer.annotations.and_then(|mut all| all.remove(TITLE));
            hex(&layer.digest).map(|digest| Layer { digest, media_type: layer.media_type, title })
        };
        self.layers.into_iter().map(layer).collect()
    }
}

impl Platform {
    fn is_ours(&self) -> bool {
        (self.os.as_str(), self.architecture.as_str()) == MACHINE
    }

    fn name(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}

impl Unusable {
    /// The machine that is of use.
    pub fn machine() -> String {
        format!("{}/{}", MACHINE.0, MACHINE.1)
    }
}

/// Checks the config of an image. Images that are not for containers have a config of another kind, which names no machine.
pub(super) fn check_config(text: &[u8]) -> Result<(), Unusable> {
    match serde_json::from_slice::<Platform>(text) {
        Ok(platform) if !platform.is_ours() => Err(Unusable::OtherMachine(platform.name())),
        _ => Ok(()),
    }
}

/// The hex digits of a digest.
fn hex(digest: &str) -> Result<String, Unusable> {
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
    match hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(hex) => Ok(hex.to_ascii_lowercase()),
        None => Err(Unusable::Damaged(format!("unknown kind of digest `{}`", digest.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    #[test]
    fn fuzz_documents() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{digest}"}},"layers":[{{"digest":"{digest}","mediaType":"x","annotations":null}}]}}"#
        );
        let index =
            format!(r#"{{"manifests":[{{"digest":"{digest}","platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#);
        let config = r#"{"architecture":"amd64","os":"linux"}"#.to_owned();
        let seeds = [manifest, index, config].map(String::into_bytes);
        fuzz("documents", &seeds, |bytes| {
            let _ = check_config(bytes);
            let Ok(document) = Document::parse(bytes) else { return };
            let _ = (document.of_machine(), document.config());
            for layer in document.layers().into_iter().flatten() {
                assert!(layer.digest.len() == 64 && layer.digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        });
    }
}

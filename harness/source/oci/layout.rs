//! [`layers`]: an image that lies in files: a directory in OCI's layout, or what `docker save` wrote.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::checksum;
use crate::source::archive::tarball::{damaged, inside};
use crate::source::oci::document::{Document, Layer, Unusable, check_config};

/// What says that a directory is in OCI's layout.
pub(crate) const MARK: &str = "oci-layout";
/// What describes its images.
pub(in crate::source) const INDEX: &str = "index.json";
/// What describes those of `docker save`, where OCI's layout is not.
const SAVED: &str = "manifest.json";
/// No one puts indexes into one another more often.
const MOST_INDEXES: usize = 4;
/// No description is larger.
const DESCRIPTION_LIMIT: u64 = 8 << 20;

/// An image of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Whether a file of an archive is part of an image in it.
pub(in crate::source) fn is_of_image(path: &str) -> bool {
    let is_description = !path.contains('/') && path.ends_with(".json");
    path == MARK || is_description || path.starts_with("blobs/sha256/") || path.ends_with("/layer.tar")
}

/// The layers of the image for this machine with their files, the lowest first; `None` if the directory is no image.
///
/// # Errors
/// `InvalidData` for an image that is damaged or of no use, anything else for failures of the files.
pub(in crate::source) fn layers(folder: &Path) -> io::Result<Option<Vec<(PathBuf, Layer)>>> {
    if folder.join(MARK).is_file() {
        return in_layout(folder).map(Some);
    }
    match folder.join(SAVED).is_file() {
        true => saved(folder),
        false => Ok(None),
    }
}

fn in_layout(folder: &Path) -> io::Result<Vec<(PathBuf, Layer)>> {
    let blob = |hex: &str| {
        let path = folder.join("blobs/sha256").join(hex);
        match checksum::of_file(&path) {
            Ok(found) if found == hex => Ok(path),
            Ok(found) => Err(damaged(format!("the sha256 of blob `{hex}` is `{found}`"))),
            Err(error) => Err(damaged(format!("blob `{hex}`: {error}"))),
        }
    };
    let mut document = Document::parse(&description(&folder.join(INDEX))?).map_err(unusable)?;
    for _ in 0..MOST_INDEXES {
        let Some(hex) = document.of_machine().map_err(unusable)? else { break };
        document = Document::parse(&description(&blob(&hex)?)?).map_err(unusable)?;
    }
    if let Some(hex) = document.config().map_err(unusable)? {
        check_config(&description(&blob(&hex)?)?).map_err(unusable)?;
    }
    let layers = document.layers().map_err(unusable)?;
    layers.into_iter().map(|layer| Ok((blob(&layer.digest)?, layer))).collect()
}

fn saved(folder: &Path) -> io::Result<Option<Vec<(PathBuf, Layer)>>> {
    // Others have a file of this name, too.
    let Ok(images) = serde_json::from_slice::<Vec<Saved>>(&description(&folder.join(SAVED))?) else { return Ok(None) };
    let [image] = &images[..] else {
        return Err(damaged(format!("it holds {} images, but one is needed", images.len())));
    };
    let file = |path: &str| {
        let inside = inside(Path::new(path)).map(|path| folder.join(path)).filter(|path| path.is_file());
        inside.ok_or_else(|| damaged(format!("it has no file `{}`", path.escape_debug())))
    };
    check_config(&description(&file(&image.config)?)?).map_err(unusable)?;
    let layer =
        |path: &String| Ok((file(path)?, Layer { digest: path.clone(), media_type: String::new(), title: None }));
    image.layers.iter().map(layer).collect::<io::Result<_>>().map(Some)
}

fn description(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match File::open(path)?.take(DESCRIPTION_LIMIT + 1).read_to_end(&mut text)? as u64 {
        0..=DESCRIPTION_LIMIT => Ok(text),
        _ => Err(damaged(format!("its metadata exceeds {} MiB", DESCRIPTION_LIMIT >> 20))),
    }
}

fn unusable(why: Unusable) -> io::Error {
    match why {
        Unusable::Damaged(reason) => damaged(reason),
        Unusable::OtherMachine(has) => damaged(format!("it is for {has}, not for {}", Unusable::machine())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory in OCI's layout, with one layer; `docker save` has an index without a platform.
    fn layout(platform: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        let blob = |text: &str| {
            let digest = checksum::of_bytes(text.as_bytes());
            fs::write(folder.path().join("blobs/sha256").join(&digest), text).unwrap();
            format!(r#"{{"digest":"sha256:{digest}","annotations":null"#)
        };
        let config = blob(r#"{"architecture":"amd64","os":"linux"}"#);
        let layer = blob("layer");
        let image = blob(&format!(r#"{{"config":{config}}},"layers":[{layer}}}]}}"#));
        fs::write(folder.path().join(INDEX), format!(r#"{{"manifests":[{image}{platform}}}]}}"#)).unwrap();
        fs::write(folder.path().join(MARK), "{}").unwrap();
        folder
    }

    #[test]
    fn layers_of_a_layout_are_verified() {
        for platform in ["", r#","platform":{"os":"linux","architecture":"amd64"}"#] {
            let folder = layout(platform);
            let found = layers(folder.path()).unwrap().unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(fs::read(&found[0].0).unwrap(), b"layer");
            fs::write(&found[0].0, b"lawyer").unwrap();
            let error = layers(folder.path()).unwrap_err().to_string();
            assert!(error.starts_with("the sha256 of blob `"), "{error}");
            fs::remove_file(&found[0].0).unwrap();
            assert!(layers(folder.path()).unwrap_err().to_string().starts_with("blob `"));
        }
        let error = layers(layout(r#","platform":{"os":"linux","architecture":"arm64"}"#).path()).unwrap_err();
        assert_eq!(error.to_string(), "it is for linux/arm64, not for linux/amd64");
    }

    #[test]
    fn what_docker_saved_is_read_and_cannot_lead_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(layers(folder.path()).unwrap().is_none());
        fs::create_dir(at("1")).unwrap();
        fs::write(at("1/layer.tar"), "layer").unwrap();
        fs::write(at("c.json"), "{}").unwrap();
        let of = |text: &str| {
            fs::write(at(SAVED), text).unwrap();
            layers(folder.path()).map(|found| found.map(|layers| layers.len())).map_err(|error| error.to_string())
        };
        assert_eq!(of(r#"[{"Config":"c.json","Layers":["1/layer.tar"]}]"#), Ok(Some(1)));
        assert_eq!(of(r#"{"name":"of something else"}"#), Ok(None));
        assert_eq!(of("[]"), Err("it holds 0 images, but one is needed".to_owned()));
        for path in ["../x", "/etc/passwd", "2/layer.tar"] {
            let text = format!(r#"[{{"Config":"c.json","Layers":["{path}"]}}]"#);
            assert_eq!(of(&text), Err(format!("it has no file `{path}`")));
        }
        assert!(is_of_image("1/layer.tar") && is_of_image("blobs/sha256/12") && !is_of_image("usr/share/x.json"));
    }
}

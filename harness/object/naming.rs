//! [`unique`]: names for objects that a reader recognises and that no two objects share.

use std::collections::HashMap;
use std::path::Path;

use super::{BpfObject, Origin};

/// The name of an object in a file: `foo` for `foo.bpf.o` and `foo.o`.
pub(super) fn of_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = name.strip_suffix(".o").unwrap_or(&name);
    let stem = stem.strip_suffix(".bpf").unwrap_or(stem);
    // What Inspektor Gadget calls the object of every gadget: the image's name is more useful.
    if let Some(image) = image_of(path).filter(|_| stem == "program") {
        return image;
    }
    if stem.is_empty() { name.into_owned() } else { stem.to_owned() }
}

/// The name of the image at whose root a file lies.
fn image_of(path: &Path) -> Option<String> {
    let folder = path.parent()?.file_name()?.to_string_lossy().into_owned();
    folder.split_once("@sha256:").map(|(name, _)| name.to_owned())
}

/// The name of an embedded object: that of its source, `foo` for `foo.bpf.c`. Without one it is that of the executable,
/// with `number` where it holds several.
pub(super) fn of_embedded(path: &Path, source: Option<&str>, number: Option<usize>) -> String {
    if let Some(stem) = source.and_then(|source| source.strip_suffix(".c")) {
        let stem = stem.strip_suffix(".bpf").unwrap_or(stem);
        if !stem.is_empty() {
            return stem.to_owned();
        }
    }
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    match number {
        None => file.into_owned(),
        Some(number) => format!("{file}#{number}"),
    }
}

/// Makes all names differ: objects that share one get their executable or directory in front (`bookworm/opensnoop`), and
/// those that still share one a number behind (`opensnoop#2`).
pub(super) fn unique(objects: &mut [BpfObject]) {
    let shared = |objects: &[BpfObject]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for object in objects {
            *counts.entry(object.name.clone()).or_default() += 1;
        }
        counts
    };
    let counts = shared(objects);
    for object in objects.iter_mut().filter(|object| counts[&object.name] > 1) {
        if let Some(prefix) = prefix(&object.origin, &object.name) {
            object.name = format!("{prefix}/{}", object.name);
        }
    }
    let counts = shared(objects);
    let mut taken: HashMap<String, usize> = counts.clone();
    for object in objects.iter_mut().filter(|object| counts[&object.name] > 1) {
        let numbered = (1..).map(|number| format!("{}#{number}", object.name)).find(|name| !taken.contains_key(name));
        if let Some(name) = numbered {
            taken.insert(name.clone(), 1);
            object.name = name;
        }
    }
}

/// What distinguishes an object from others of its name: its executable if that is called otherwise, or else its directory.
fn prefix(origin: &Origin, name: &str) -> Option<String> {
    let file = origin.path.file_name()?.to_string_lossy();
    if origin.embedded.is_some() && file != name {
        return Some(file.into_owned());
    }
    image_of(&origin.path).or_else(|| Some(origin.path.parent()?.file_name()?.to_string_lossy().into_owned()))
}

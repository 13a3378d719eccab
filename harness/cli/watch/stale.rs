//! [`stale`]: objects that are older than their source, as after a build that failed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::object::BpfObject;

/// How long a build may take before a message says that there is none.
const BUILD: Duration = Duration::from_secs(5);

/// One line for each source that was changed since `begin` and whose object is older.
pub(super) fn stale(objects: &[BpfObject], begin: SystemTime) -> Vec<String> {
    let modified = |path: &Path| std::fs::metadata(path).ok()?.modified().ok();
    let is_stale = |source: &Path, object: &Path| {
        let (Some(written), Some(built)) = (modified(source), modified(object)) else { return false };
        written > begin && written > built && written.elapsed().is_ok_and(|age| age > BUILD)
    };
    let mut lines = BTreeSet::new();
    for object in objects {
        let path = &object.origin.path;
        for source in sources(object).iter().filter(|source| is_stale(source, path)) {
            let (source, path) = (source.display(), path.display());
            lines.insert(format!(
                "`{source}` is newer than `{path}`: the results are those of the old object; check its build"
            ));
        }
    }
    lines.into_iter().collect()
}

/// Where the object's sources may be: as its line info says, and beside it.
pub(super) fn sources(object: &BpfObject) -> BTreeSet<PathBuf> {
    let Ok(inventory) = &object.inventory else { return BTreeSet::new() };
    let sources = inventory
        .core_relocations
        .iter()
        .filter_map(|relocation| Some(PathBuf::from(&relocation.source.as_ref()?.file)));
    let folder = object.origin.path.parent().unwrap_or(Path::new(""));
    let beside = inventory.source_file.iter().map(|name| folder.join(name));
    sources.chain(beside).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::object::find_objects;

    #[test]
    fn a_source_that_was_saved_and_not_built_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::copy("tests/fixtures/objects/guards.bpf.o", at("guards.bpf.o")).unwrap();
        fs::write(at("guards.bpf.c"), "int broken").unwrap();
        let objects = find_objects(&[at("guards.bpf.o")]).unwrap().objects;
        let age = |name: &str, seconds: u64| {
            let then = SystemTime::now() - Duration::from_secs(seconds);
            File::options().write(true).open(at(name)).unwrap().set_modified(then).unwrap();
        };
        let warnings = |begun: u64| stale(&objects, SystemTime::now() - Duration::from_secs(begun));
        age("guards.bpf.o", 100);
        age("guards.bpf.c", 50);
        assert_eq!(warnings(70).len(), 1, "{:?}", warnings(70));
        assert!(warnings(70)[0].contains("guards.bpf.c` is newer than `"), "{:?}", warnings(70));
        // It was so before anybody looked.
        assert!(warnings(20).is_empty());
        // The build may still be running.
        age("guards.bpf.c", 0);
        assert!(warnings(70).is_empty());
        age("guards.bpf.c", 50);
        age("guards.bpf.o", 30);
        assert!(warnings(70).is_empty());
    }
}

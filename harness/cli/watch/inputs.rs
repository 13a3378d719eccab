//! [`WatchedInputs`]: the files that a run was given, looked at again and again.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::suite::Suite;

/// What distinguishes one content of a file from another without reading it; a touch counts as another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

/// The files at one moment.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// The files that a run was given: by name, by their directory or by a suite.
#[derive(Debug)]
pub(super) struct WatchedInputs {
    given: Vec<PathBuf>,
    /// Files of directories, and whether they begin like objects or executables: only those matter.
    known: BTreeMap<PathBuf, (Stamp, bool)>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Stamp { inode: metadata.ino(), bytes: metadata.len(), modified }
    }
}

impl WatchedInputs {
    pub(super) fn new(given: &[PathBuf]) -> WatchedInputs {
        WatchedInputs { given: given.to_vec(), known: BTreeMap::new() }
    }

    /// What is there now. What cannot be read counts as absent: whoever finds the objects says why.
    pub(super) fn look(&mut self) -> Stamps {
        let mut stamps = Stamps::new();
        for given in self.given.clone() {
            self.add(&given, &mut stamps);
            for object in objects_of_suite(&given) {
                self.add(&object, &mut stamps);
            }
        }
        stamps
    }

    fn add(&mut self, path: &Path, stamps: &mut Stamps) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.walk(path, stamps),
            Ok(metadata) => drop(stamps.insert(path.to_owned(), Stamp::of(&metadata))),
            Err(_) => {}
        }
    }

    /// As objects are found: at all depths, without following links to directories.
    fn walk(&mut self, folder: &Path, stamps: &mut Stamps) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            if kind.is_ok_and(|kind| kind.is_dir()) {
                self.walk(&path, stamps);
                continue;
            }
            let Some(metadata) = fs::metadata(&path).ok().filter(Metadata::is_file) else { continue };
            let stamp = Stamp::of(&metadata);
            let known = self.known.get(&path).filter(|(known, _)| *known == stamp);
            let is_elf = known.map_or_else(|| begins_like_elf(&path), |(_, is_elf)| *is_elf);
            self.known.insert(path.clone(), (stamp, is_elf));
            if is_elf {
                stamps.insert(path, stamp);
            }
        }
    }

    /// Calls `changed` for everything that happens in the directories of the inputs from now on, as long as the watcher lives.
    ///
    /// # Errors
    /// Why not all directories can be watched.
    pub(super) fn watch(&self, changed: impl Fn() + Send + 'static) -> notify::Result<RecommendedWatcher> {
        let suites = self.given.iter().flat_map(|given| objects_of_suite(given));
        let paths = self.given.iter().cloned().chain(suites).map(std::path::absolute);
        let paths = paths.collect::<Result<Vec<PathBuf>, _>>().map_err(notify::Error::io)?;
        let ours = paths.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let is_ours = |path: &PathBuf| ours.iter().any(|our| path.starts_with(our));
            // Looking opens files and directories, which is no change; an event without a path says that some were lost.
            let tells =
                |event: Event| !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_ours));
            if event.map_or(true, tells) {
                changed();
            }
        })?;
        for path in &paths {
            if path.is_dir() {
                watcher.watch(path, RecursiveMode::Recursive)?;
            }
            // The directory of a file sees renames, and the directory of a directory sees it appear again.
            if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(watcher)
    }
}

/// The objects that a suite names; none for other files, and for a suite that cannot be read.
fn objects_of_suite(path: &Path) -> Vec<PathBuf> {
    let is_suite = path.extension().is_some_and(|extension| extension == "toml");
    is_suite.then(|| Suite::load(path).ok()).flatten().map_or_else(Vec::new, |suite| suite.objects)
}

fn begins_like_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn names(stamps: &Stamps) -> Vec<&str> {
        stamps.keys().filter_map(|path| path.file_name()?.to_str()).collect()
    }

    #[test]
    fn folders_suites_and_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("deep/er")).unwrap();
        fs::write(at("deep/er/a.o"), b"\x7fELF").unwrap();
        fs::write(at("deep/a.d"), "a.o: a.c").unwrap();
        fs::write(at("b.o"), "").unwrap();
        fs::write(at("c.o"), b"\x7fELF").unwrap();
        fs::write(at("suite.toml"), "name = \"s\"\nobjects = [\"c.*\"]").unwrap();
        let mut inputs = WatchedInputs::new(&[at("deep"), at("b.o"), at("suite.toml"), at("missing.o")]);
        let before = inputs.look();
        // Named files count no matter what is in them: they may be half-written.
        assert_eq!(names(&before), ["b.o", "c.o", "a.o", "suite.toml"]);
        assert_eq!(inputs.look(), before);

        fs::write(at("deep/log"), "noise").unwrap();
        assert_eq!(inputs.look(), before);
        fs::write(at("deep/new.o"), b"\x7fELF").unwrap();
        fs::remove_file(at("b.o")).unwrap();
        assert_eq!(names(&inputs.look()), ["c.o", "a.o", "new.o", "suite.toml"]);
        // The same bytes by rename, and a touch.
        fs::write(at("fresh"), b"\x7fELF").unwrap();
        fs::rename(at("fresh"), at("c.o")).unwrap();
        File::options().write(true).open(at("deep/er/a.o")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let after = inputs.look();
        assert_ne!(after[&at("c.o")], before[&at("c.o")]);
        assert_ne!(after[&at("deep/er/a.o")], before[&at("deep/er/a.o")]);
    }

    #[test]
    fn a_rename_is_told_and_a_look_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        fs::write(&path, b"\x7fELF").unwrap();
        let mut inputs = WatchedInputs::new(&[path.clone(), folder.path().to_owned()]);
        let (sender, changes) = mpsc::channel();
        let watcher = inputs.watch(move || sender.send(()).unwrap_or_default()).unwrap();
        inputs.look();
        assert!(changes.recv_timeout(Duration::from_millis(300)).is_err());
        fs::rename(&path, path.with_extension("other")).unwrap();
        changes.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(watcher);
    }
}

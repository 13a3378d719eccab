//! [`History`]: the nights of a matrix as a directory of plain files.
//!
//! ```text
//! DIR/.lock            held by the nightly that is at work
//! DIR/index.html       trends of every program on every kernel
//! DIR/post.txt         the last night in a few lines
//! DIR/nights/STAMP/    the report of a night, and `night.json`, which is all that the trends are made of
//! ```
//!
//! A night appears by one rename when it is whole; what a nightly that was killed left behind is removed by the next one.

mod night;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

pub use night::{Night, NightResult};

/// The directory of the nights.
pub const NIGHTS: &str = "nights";
/// What a night says of itself.
const NIGHT: &str = "night.json";
/// How the directory of a night begins that is still at work.
const UNFINISHED: &str = ".unfinished-";

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Another nightly is at work on it.
    #[error("another nightly uses the history `{}`", .0.display())]
    Busy(PathBuf),
    /// A file of it cannot be read or written.
    #[error("cannot {what} `{}`: {error}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl HistoryError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            HistoryError::Busy(_) => Some("wait until it ends, or use another `--history` directory".to_owned()),
            HistoryError::Io { .. } => None,
        }
    }
}

/// The nights of a matrix, held by this process alone.
#[derive(Debug)]
pub struct History {
    root: PathBuf,
    /// Locked.
    _hold: File,
}

impl History {
    /// Opens the history in `root`, which is made if it is not there, and takes it for this process.
    ///
    /// # Errors
    /// Another process has it, or it cannot be written to.
    pub fn open(root: &Path) -> Result<History, HistoryError> {
        let nights = root.join(NIGHTS);
        fs::create_dir_all(&nights).map_err(failed("make", &nights))?;
        let path = root.join(".lock");
        let hold = File::create(&path).map_err(failed("open", &path))?;
        flock(&hold, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => HistoryError::Busy(root.to_owned()),
            error => failed("lock", &path)(error.into()),
        })?;
        let history = History { root: root.to_owned(), _hold: hold };
        for name in history.names()?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let left = nights.join(name);
            fs::remove_dir_all(&left).map_err(failed("remove", &left))?;
        }
        Ok(history)
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory that the report of a night goes into until [`History::add`].
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(&self, stamp: &str) -> Result<PathBuf, HistoryError> {
        let folder = self.root.join(NIGHTS).join(format!("{UNFINISHED}{stamp}"));
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        Ok(folder)
    }

    /// Adds a night whose report is in `folder`, which moves to its place.
    ///
    /// # Errors
    /// It cannot be written or moved.
    pub fn add(&self, folder: &Path, night: &Night) -> Result<PathBuf, HistoryError> {
        let path = folder.join(NIGHT);
        let text = serde_json::to_vec(night).map_err(io::Error::from).map_err(failed("write", &path))?;
        fs::write(&path, text).map_err(failed("write", &path))?;
        let place = self.root.join(NIGHTS).join(&night.stamp);
        fs::rename(folder, &place).map_err(failed("make", &place))?;
        Ok(place)
    }

    /// The nights, oldest first. One that cannot be read is left out, since the others are worth showing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn nights(&self) -> Result<Vec<Night>, HistoryError> {
        let read = |name: &String| serde_json::from_slice(&fs::read(self.folder(name).join(NIGHT)).ok()?).ok();
        Ok(self.names()?.iter().filter_map(read).collect())
    }

    /// The directory of a night.
    pub fn folder(&self, stamp: &str) -> PathBuf {
        self.root.join(NIGHTS).join(stamp)
    }

    /// Removes the oldest nights until `keep` are left.
    ///
    /// # Errors
    /// One of them cannot be removed.
    pub fn retain(&self, keep: usize) -> Result<(), HistoryError> {
        let names = self.names()?;
        for name in &names[..names.len().saturating_sub(keep)] {
            let folder = self.folder(name);
            fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
        }
        Ok(())
    }

    /// Names of the directories of nights, oldest first: they begin with the date.
    fn names(&self) -> Result<Vec<String>, HistoryError> {
        let nights = self.root.join(NIGHTS);
        let entries = fs::read_dir(&nights).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(failed("read", &nights))?;
        let mut names: Vec<String> = entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HistoryError {
    let path = path.to_owned();
    move |error| HistoryError::Io { what, path, error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn nights_are_added_kept_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/history");
        let history = History::open(&root).unwrap();
        for day in 1..=5 {
            let stamp = format!("2026-11-0{day}T020000Z");
            let report = history.begin(&stamp).unwrap();
            fs::write(report.join("report.html"), "page").unwrap();
            let place = history.add(&report, &Night::of(&sample::large(3, 2), &stamp, day)).unwrap();
            assert!(place.join("report.html").exists());
        }
        fs::write(history.folder("2026-11-04T020000Z").join(NIGHT), "damaged").unwrap();
        history.retain(3).unwrap();
        let stamps: Vec<String> = history.nights().unwrap().into_iter().map(|night| night.stamp).collect();
        assert_eq!(stamps, ["2026-11-03T020000Z", "2026-11-05T020000Z"]);
    }

    #[test]
    fn two_nightlies_do_not_clash() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path()).unwrap();
        let begun = history.begin("2026-11-01T020000Z").unwrap();
        let busy = History::open(folder.path()).unwrap_err();
        assert!(busy.to_string().starts_with("another nightly uses") && busy.hint().is_some(), "{busy}");
        // Nothing of the one at work was touched; the next one cleans up after one that was killed.
        assert!(begun.exists());
        drop(history);
        let history = History::open(folder.path()).unwrap();
        assert!(!begun.exists());
        assert!(history.nights().unwrap().is_empty());
    }
}

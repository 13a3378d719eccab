//! [`OutputFiles`]: takes what a command left out of its guest, into one directory of the host and nowhere else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use crate::protocol::live::LeftKind;

/// More is not taken out of one guest.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// More files and directories are not taken out of one guest.
const MOST_FILES: u32 = 100_000;
/// More notes are not kept.
const MOST_NOTES: usize = 100;
/// A longer path is cut in a note.
const LONGEST_PATH: usize = 300;

/// Why the directory for what commands leave cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeftError {
    /// It has something in it.
    #[error("the directory `{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// It cannot be made or read.
    #[error("cannot use the directory `{}`: {source}", .folder.display())]
    Unusable {
        /// The directory.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A directory that takes what a guest sends. The guest is not trusted: it names no path outside, and there are no links on the way since
/// only directories and plain files are ever made, in a directory that was empty.
#[derive(Debug)]
pub struct OutputFiles {
    folder: PathBuf,
    file: Option<File>,
    bytes: u64,
    files: u32,
    notes: Vec<String>,
}

impl OutputFiles {
    /// Makes the directory, which may exist and be empty.
    ///
    /// # Errors
    /// [`LeftError`] if it cannot be made or has something in it.
    pub fn new(folder: PathBuf) -> Result<OutputFiles, LeftError> {
        let unusable = |source| LeftError::Unusable { folder: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let is_empty = fs::read_dir(&folder).map_err(unusable)?.next().is_none();
        match is_empty {
            true => Ok(OutputFiles { folder, file: None, bytes: 0, files: 0, notes: Vec::new() }),
            false => Err(LeftError::NotEmpty(folder)),
        }
    }

    /// Takes a piece.
    pub fn take(&mut self, path: &str, kind: LeftKind, bytes: &[u8]) {
        if let Err(reason) = self.put(Path::new(path), kind, bytes) {
            self.file = None;
            let path: String = path.escape_debug().take(LONGEST_PATH).collect();
            let note = format!("`{path}` was not copied from the guest: {reason}");
            // A file comes in pieces.
            if self.notes.contains(&note) || self.notes.len() > MOST_NOTES {
                return;
            }
            self.notes.push(match self.notes.len() {
                MOST_NOTES => "further files were not copied from the guest".to_owned(),
                _ => note,
            });
        }
    }

    /// What was not taken, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn put(&mut self, path: &Path, kind: LeftKind, bytes: &[u8]) -> Result<(), String> {
        let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || path.as_os_str().is_empty() {
            return Err("its path is outside the directory".to_owned());
        }
        let target = self.folder.join(path);
        let failed = |error: io::Error| error.to_string();
        match kind {
            LeftKind::Other => return Err("it is neither a file nor a directory".to_owned()),
            LeftKind::Folder | LeftKind::File if self.files >= MOST_FILES => {
                return Err(format!("there are more than {MOST_FILES} files"));
            }
            LeftKind::Folder => {
                self.files += 1;
                fs::create_dir(&target).map_err(failed)?;
            }
            LeftKind::File => {
                self.files += 1;
                self.file = Some(File::create_new(&target).map_err(failed)?);
            }
            LeftKind::More => {}
        }
        // Of a file that could not be made no more is reported.
        let Some(file) = self.file.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > MOST_BYTES {
            return Err(format!("all files together have more than {} MiB", MOST_BYTES >> 20));
        }
        file.write_all(bytes).map_err(failed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_few_and_short() {
        let host = tempfile::tempdir().unwrap();
        let mut left = OutputFiles::new(host.path().join("out")).unwrap();
        for number in 0..10_000 {
            left.take(&format!("../{number}{}", "x".repeat(1000)), LeftKind::File, b"");
        }
        assert_eq!(left.notes().len(), MOST_NOTES + 1);
        assert!(left.notes().iter().all(|note| note.len() < 400));
        assert_eq!(left.notes().last().unwrap(), "further files were not copied from the guest");
    }

    #[test]
    fn nothing_gets_out_of_the_folder() {
        let host = tempfile::tempdir().unwrap();
        let folder = host.path().join("out/6.12");
        let mut left = OutputFiles::new(folder.clone()).unwrap();
        for path in ["../up", "/tmp/absolute-path-of-a-guest", "a/../../up", "", ".", ".."] {
            left.take(path, LeftKind::File, b"x");
            left.take(path, LeftKind::More, b"x");
        }
        left.take("link", LeftKind::Other, b"");
        assert_eq!(left.notes().len(), 7, "{:?}", left.notes());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(fs::read_dir(host.path().join("out")).unwrap().count(), 1);

        left.take("deep", LeftKind::Folder, b"");
        left.take("deep/file", LeftKind::File, b"one ");
        left.take("deep/file", LeftKind::More, b"two");
        assert_eq!(fs::read_to_string(folder.join("deep/file")).unwrap(), "one two");
        left.take("deep/file", LeftKind::File, b"again");
        assert_eq!(fs::read_to_string(folder.join("deep/file")).unwrap(), "one two");
        assert!(matches!(OutputFiles::new(folder), Err(LeftError::NotEmpty(_))));
    }
}

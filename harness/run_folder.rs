//! [`RunFolder`]: the directory of a report, and the files in it that its record names. The record may be anyone's.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::beneath::Beneath;
use crate::verifier::log_file;

/// The directory of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The directory at this path.
    pub fn new(folder: &Path) -> RunFolder {
        RunFolder(folder.to_owned())
    }

    /// Opens a file that the record names, and nothing else: no path leads out of the directory, be it by `..`, from the root, or by a link.
    ///
    /// # Errors
    /// What opening it said; `InvalidInput` for a path that leads out of the directory.
    pub fn open(&self, file: &str) -> io::Result<File> {
        let file = Path::new(file);
        let is_inside = file.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || file.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is outside the report directory"));
        }
        Beneath::new(&self.0)?.open_file(file)
    }

    /// Reads a log that the record names.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn log(&self, file: &str) -> io::Result<String> {
        log_file::read_from(self.open(file)?, file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_lies_in_the_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        log_file::save(&run.join("logs/a.log.zst"), b"said").unwrap();
        std::fs::write(run.join("plain.txt"), "plain").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        symlink("../secret", run.join("link")).unwrap();
        symlink(folder.path(), run.join("out")).unwrap();
        symlink(&run, folder.path().join("latest")).unwrap();
        for here in [run.clone(), folder.path().join("latest")] {
            let here = RunFolder::new(&here);
            assert_eq!(here.log("logs/a.log.zst").unwrap(), "said");
            assert_eq!(here.log("plain.txt").unwrap(), "plain");
            let absolute = folder.path().join("secret").display().to_string();
            for path in
                ["../secret", "logs/../../secret", &absolute, "link", "out/secret", "", ".", "logs", "/dev/null"]
            {
                assert!(here.log(path).is_err(), "{path}");
            }
        }
    }
}

//! [`Logs`]: verifier logs, one compressed file each, in the report's directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::file_name::file_name;
use crate::verifier::log_file;

/// The directory of the logs, in the report's directory.
const FOLDER: &str = "logs";

/// Verifier logs, one file each, in the report's directory.
#[derive(Debug, Clone)]
pub struct Logs {
    report: PathBuf,
}

impl Logs {
    /// Logs of the report in `report`.
    pub fn new(report: &Path) -> Self {
        Logs { report: report.to_owned() }
    }

    /// Saves a log as `logs/KERNEL/OBJECT/PROGRAM.log.zst` and returns that path, relative to the report.
    pub fn save(&self, names: &[&String; 3], log: &[u8]) -> io::Result<String> {
        let [kernel, object, program] = names.map(|name| file_name(name));
        let path = format!("{FOLDER}/{kernel}/{object}/{program}{}", log_file::SUFFIX);
        log_file::save(&self.report.join(&path), log)?;
        Ok(path)
    }

    /// Reads a log that was saved so.
    pub fn read(&self, path: &str) -> io::Result<String> {
        log_file::read(&self.report.join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::new(folder.path());
        let names = ["6.1".to_owned(), "../../x".to_owned(), "..".to_owned()];
        let path = logs.save(&[&names[0], &names[1], &names[2]], b"log").expect("saves");
        assert_eq!(path.split('/').count(), 4, "{path}");
        assert!(path.split('/').all(|part| !part.starts_with('.')), "{path}");
        assert_eq!(log_file::read(&folder.path().join(path)).expect("reads"), "log");
    }

    #[test]
    fn each_name_has_a_log_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::new(folder.path());
        let saved = ["a/b", "a_b", "a b"].map(|object| {
            let names = ["6.1", object, "p"].map(str::to_owned);
            (object, logs.save(&[&names[0], &names[1], &names[2]], object.as_bytes()).expect("saves"))
        });
        for (object, path) in saved {
            assert_eq!(log_file::read(&folder.path().join(path)).expect("reads"), object);
        }
    }
}

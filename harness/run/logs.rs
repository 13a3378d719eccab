//! [`Logs`]: verifier logs, one compressed file each, in the report's folder.

use std::io;
use std::path::{Path, PathBuf};

use crate::verifier::store;

/// The folder of the logs, in the report's folder.
const FOLDER: &str = "logs";

/// Verifier logs, one file each, in the report's folder.
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
        let path = format!("{FOLDER}/{kernel}/{object}/{program}{}", store::SUFFIX);
        store::save(&self.report.join(&path), log)?;
        Ok(path)
    }
}

/// A name that stays in its folder, whatever an object calls its programs.
fn file_name(name: &str) -> String {
    let safe = |char: char| char.is_ascii_alphanumeric() || "._+-#".contains(char);
    let name: String = name.chars().map(|char| if safe(char) { char } else { '_' }).take(120).collect();
    if name.trim_matches('.').is_empty() { format!("_{name}") } else { name }
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
        assert_eq!(path, "logs/6.1/.._.._x/_...log.zst");
        assert_eq!(store::read(&folder.path().join(path)).expect("reads"), "log");
    }
}

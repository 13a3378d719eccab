//! [`Verified`]: remembers that files were compared with their checksums, until one is touched or this machine starts again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Beside the files.
const FILE: &str = "verified.json";
/// Differs with each start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Which files were compared, and when.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    /// What the disk lost when the power went, no time stamp shows.
    boot: String,
    /// Of each file: which one it is, and when it was last touched, in seconds and nanoseconds by the clock of the file system.
    files: BTreeMap<String, (u64, i64, i64)>,
}

impl Verified {
    /// The files of a directory as they are now; `None` if one is missing.
    pub fn now<'a>(folder: &Path, names: impl Iterator<Item = &'a String>) -> Option<Verified> {
        let touched = |name: &String| {
            let found = fs::metadata(folder.join(name)).ok()?;
            Some((name.clone(), (found.ino(), found.ctime(), found.ctime_nsec())))
        };
        let boot = fs::read_to_string(BOOT).ok()?;
        Some(Verified { boot, files: names.map(touched).collect::<Option<_>>()? })
    }

    /// Whether these files were remembered.
    pub fn is_remembered(&self, folder: &Path) -> bool {
        let known = fs::read(folder.join(FILE)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        known.is_some_and(|known: Verified| known == *self)
    }

    /// Not being able to costs time and nothing else. Files that were touched while they were compared are not remembered: this is what
    /// they were before.
    pub fn remember(&self, folder: &Path) {
        let _ = serde_json::to_vec(self).map(|json| fs::write(folder.join(FILE), json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_remembered_until_one_is_touched_or_the_machine_starts_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["ram", "state"].map(str::to_owned);
        let now = || Verified::now(folder.path(), names.iter());
        fs::write(folder.path().join("ram"), "saved").expect("writes");
        assert_eq!(now(), None, "one is missing");
        fs::write(folder.path().join("state"), "saved").expect("writes");
        let files = now().expect("are there");
        assert!(!files.is_remembered(folder.path()));
        files.remember(folder.path());
        assert!(now().is_some_and(|now| now.is_remembered(folder.path())));
        let elsewhere = Verified { boot: "another".to_owned(), files: files.files.clone() };
        assert!(!elsewhere.is_remembered(folder.path()));
        // Another file of the same content, as a copy of the store has.
        fs::rename(folder.path().join("state"), folder.path().join("old")).expect("moves");
        fs::copy(folder.path().join("old"), folder.path().join("state")).expect("copies");
        assert!(now().is_some_and(|now| !now.is_remembered(folder.path())));
        fs::write(folder.path().join(FILE), "{").expect("writes");
        assert!(!files.is_remembered(folder.path()));
    }
}

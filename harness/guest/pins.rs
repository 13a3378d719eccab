//! [`Pins`]: what is pinned in the guest's BPF file system, so that no object meets the maps of another.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

/// Where libbpf pins maps by their names.
const FOLDER: &str = "/sys/fs/bpf";

/// What is pinned at some time.
pub struct Pins(BTreeSet<OsString>);

impl Pins {
    /// What is pinned now.
    pub fn look() -> Pins {
        let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
        Pins(entries.map(|entry| entry.file_name()).collect())
    }

    /// Removes what was pinned since.
    pub fn restore(&self) {
        for name in Pins::look().0.difference(&self.0) {
            // A folder is none of libbpf's.
            let _ = fs::remove_file(std::path::Path::new(FOLDER).join(name));
        }
    }
}

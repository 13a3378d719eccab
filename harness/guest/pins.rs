//! [`Pins`]: what is pinned in the guest's BPF file system, so that no object meets the maps of another. [`path`]: where a suite has a map
//! pinned.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use corematrix_record::{NOT_PINNED, PINNED_BY_NAME};

/// Where libbpf pins maps by their names.
const FOLDER: &str = "/sys/fs/bpf";
/// Directories nested deeper than this are left alone.
const MAX_DEPTH: usize = 64;

/// What is pinned at some time.
pub struct Pins(BTreeSet<PathBuf>);

impl Pins {
    /// What is pinned now.
    pub fn look() -> Pins {
        Pins(entries(Path::new(FOLDER)).collect())
    }

    /// Removes what was pinned since.
    pub fn restore(&self) {
        for path in Pins::look().0.difference(&self.0) {
            remove(path, MAX_DEPTH);
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Removes a pin, or a directory of pins.
fn remove(path: &Path, depth: usize) {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        let _ = fs::remove_file(path);
    } else if let Some(depth) = depth.checked_sub(1) {
        entries(path).for_each(|entry| remove(&entry, depth));
        let _ = fs::remove_dir(path);
    }
}

/// Where a map is pinned that a suite says `pinning` of; `None` if it is not.
pub fn path(pinning: &str, map: &str) -> Option<PathBuf> {
    match pinning {
        NOT_PINNED => None,
        // As libbpf does.
        PINNED_BY_NAME => Some(Path::new(FOLDER).join(map)),
        path => Some(PathBuf::from(path)),
    }
}

/// Makes the directories that a pin lies in; libbpf makes only the last. Where one cannot be made libbpf says that the pin cannot be either.
pub fn make_folders(path: &Path) {
    let _ = path.parent().map(fs::create_dir_all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_lie_where_the_suite_says() {
        assert_eq!(path("none", "m"), None);
        assert_eq!(path("by-name", "m"), Some(PathBuf::from("/sys/fs/bpf/m")));
        assert_eq!(path("/sys/fs/bpf/tc/globals/x", "m"), Some(PathBuf::from("/sys/fs/bpf/tc/globals/x")));
    }
}

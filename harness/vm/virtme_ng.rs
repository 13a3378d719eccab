//! [`VirtmeNg`]: the virtme-ng that `corematrix setup` installs for one user, and which versions of it can be used.

use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::checksum;

/// What is installed: pinned, with checksums.
const REQUIREMENTS: &str = include_str!("../../images/virtme-ng.txt");
/// Written last, so that an installation without it is not whole.
const MARK: &str = "installed.txt";
/// Major and minor of the oldest that can be used: the options of older ones of `virtme-run` are others.
const OLDEST: (u32, u32) = (1, 35);

/// A directory of the user with a virtme-ng of exactly the pinned version. Another pinned version has another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtmeNg {
    folder: PathBuf,
}

impl VirtmeNg {
    /// In the user's data directory, if he has one.
    pub fn of_user() -> Option<VirtmeNg> {
        // Without the variable, users are looked up by libraries that an executable without an interpreter cannot load.
        std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        let base = etcetera::choose_base_strategy().ok()?;
        Some(VirtmeNg::below(&base.data_dir().join("corematrix")))
    }

    fn below(folder: &Path) -> VirtmeNg {
        let checksum = checksum::of_bytes(REQUIREMENTS.as_bytes());
        VirtmeNg { folder: folder.join(format!("virtme-ng-{}-{}", VirtmeNg::pinned_version(), &checksum[..8])) }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its `virtme-run`.
    pub fn virtme_run(&self) -> PathBuf {
        self.folder.join("bin/virtme-run")
    }

    /// Whether it was installed to the end.
    pub fn is_whole(&self) -> bool {
        fs::read_to_string(self.folder.join(MARK)).is_ok_and(|mark| mark == REQUIREMENTS) && self.virtme_run().is_file()
    }

    /// Says that it is installed to the end.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_whole(&self) -> std::io::Result<()> {
        fs::write(self.folder.join(MARK), REQUIREMENTS)
    }

    /// What to install, as a requirements file of pip.
    pub fn requirements() -> &'static str {
        REQUIREMENTS
    }

    /// The pinned version.
    pub fn pinned_version() -> &'static str {
        let line = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("virtme-ng=="));
        line.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default()
    }

    /// Whether a version is known to be too old; of Debian's and Python's versions both.
    pub fn is_too_old(version: &str) -> bool {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) < OLDEST,
            // Of a version that is no number nothing is known.
            _ => false,
        }
    }

    /// The oldest that can be used, as people write it.
    pub fn oldest() -> String {
        format!("{}.{}", OLDEST.0, OLDEST.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_has_a_version_and_a_checksum() {
        let lines: Vec<_> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(lines.iter().all(|line| line.contains("==") && line.contains(" --hash=sha256:")), "{lines:?}");
        assert!(!VirtmeNg::pinned_version().is_empty() && !VirtmeNg::is_too_old(VirtmeNg::pinned_version()));
    }

    #[test]
    fn versions_of_distributions_are_weighed() {
        for old in ["1.22", "1.33-1", "0.9", "1.22-1ubuntu2"] {
            assert!(VirtmeNg::is_too_old(old), "{old}");
        }
        for good in ["1.35-1", "1.42", "2.0", "1.100.1", "unknown"] {
            assert!(!VirtmeNg::is_too_old(good), "{good}");
        }
    }

    #[test]
    fn half_an_installation_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let own = VirtmeNg::below(folder.path());
        fs::create_dir_all(own.virtme_run().parent().unwrap()).unwrap();
        fs::write(own.virtme_run(), "").unwrap();
        assert!(!own.is_whole());
        fs::write(own.folder().join(MARK), "virtme-ng==1.0").unwrap();
        assert!(!own.is_whole());
        own.set_whole().unwrap();
        assert!(own.is_whole());
        fs::remove_file(own.virtme_run()).unwrap();
        assert!(!own.is_whole());
    }
}

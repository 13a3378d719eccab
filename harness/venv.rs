//! [`Venv`]: Python packages at pinned versions that `corematrix setup` installs for one user.

use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::checksum;

/// Written last, so that an installation without it is not whole.
const MARK: &str = "installed.txt";

/// Packages that are installed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedPackages {
    /// virtme-ng, which composes machines.
    VirtmeNg,
    /// python-tuf, which looks images up in TUF repositories.
    PythonTuf,
}

impl PinnedPackages {
    /// What they are called.
    pub fn name(self) -> &'static str {
        match self {
            PinnedPackages::VirtmeNg => "virtme-ng",
            PinnedPackages::PythonTuf => "python-tuf",
        }
    }

    /// What to install, as a requirements file of pip, with checksums.
    pub fn requirements(self) -> &'static str {
        match self {
            PinnedPackages::VirtmeNg => include_str!("../images/virtme-ng.txt"),
            PinnedPackages::PythonTuf => include_str!("../images/python-tuf.txt"),
        }
    }

    /// The pinned version of the package that they are installed for.
    pub fn version(self) -> &'static str {
        let package = match self {
            PinnedPackages::VirtmeNg => "virtme-ng==",
            PinnedPackages::PythonTuf => "tuf==",
        };
        let line = self.requirements().lines().find_map(|line| line.strip_prefix(package));
        line.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default()
    }

    /// What is run of them.
    fn program(self) -> &'static str {
        match self {
            PinnedPackages::VirtmeNg => "virtme-run",
            PinnedPackages::PythonTuf => "python3",
        }
    }
}

/// A directory of the user with exactly the pinned versions. Other pinned versions have another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venv {
    packages: PinnedPackages,
    folder: PathBuf,
}

impl Venv {
    /// In the user's data directory, if he has one.
    pub fn of_user(packages: PinnedPackages) -> Option<Venv> {
        // Without the variable, users are looked up by libraries that an executable without an interpreter cannot load.
        std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        let base = etcetera::choose_base_strategy().ok()?;
        Some(Venv::below(&base.data_dir().join("corematrix"), packages))
    }

    fn below(folder: &Path, packages: PinnedPackages) -> Venv {
        let checksum = checksum::of_bytes(packages.requirements().as_bytes());
        let name = format!("{}-{}-{}", packages.name(), packages.version(), &checksum[..8]);
        Venv { packages, folder: folder.join(name) }
    }

    /// What is installed.
    pub fn packages(&self) -> PinnedPackages {
        self.packages
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program that is run of it: `virtme-run`, or the Python that has the packages.
    pub fn program(&self) -> PathBuf {
        self.folder.join("bin").join(self.packages.program())
    }

    /// Whether it was installed to the end.
    pub fn is_whole(&self) -> bool {
        let mark = fs::read_to_string(self.folder.join(MARK));
        mark.is_ok_and(|mark| mark == self.packages.requirements()) && self.program().is_file()
    }

    /// Says that it is installed to the end.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_whole(&self) -> std::io::Result<()> {
        fs::write(self.folder.join(MARK), self.packages.requirements())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PinnedPackages; 2] = [PinnedPackages::VirtmeNg, PinnedPackages::PythonTuf];

    #[test]
    fn every_requirement_has_a_version_and_a_checksum() {
        for packages in ALL {
            let lines = packages.requirements().lines().filter(|line| !line.starts_with('#') && !line.is_empty());
            let lines: Vec<_> = lines.collect();
            assert!(lines.iter().all(|line| line.contains("==") && line.contains(" --hash=sha256:")), "{lines:?}");
            assert!(packages.version().starts_with(|c: char| c.is_ascii_digit()), "{packages:?}");
        }
    }

    #[test]
    fn half_an_installation_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for packages in ALL {
            let own = Venv::below(folder.path(), packages);
            fs::create_dir_all(own.program().parent().unwrap()).unwrap();
            fs::write(own.program(), "").unwrap();
            assert!(!own.is_whole());
            fs::write(own.folder().join(MARK), "virtme-ng==1.0").unwrap();
            assert!(!own.is_whole());
            own.set_whole().unwrap();
            assert!(own.is_whole());
            fs::remove_file(own.program()).unwrap();
            assert!(!own.is_whole());
        }
    }
}

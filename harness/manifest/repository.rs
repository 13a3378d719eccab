//! [`Repository`]: an archive of packages of another kind than Debian's.

use std::fmt;
use std::path::PathBuf;

/// Kernels in repositories of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// What its packages are.
    pub format: RepositoryFormat,
    /// Repositories to look in; each may have all parts of a kernel.
    pub addresses: Vec<RepositoryAddress>,
    /// Globs of the package that holds the image, most preferred first: of its name, or of its name and version.
    pub packages: Vec<String>,
    /// Who signs it; `None` takes what no one signed.
    pub keys: Option<Keyring>,
    /// The packages are signed, and their index is not.
    pub unsigned_index: bool,
    /// The version, without its epoch, of the one build that is meant; the newest without one.
    pub build: Option<String>,
}

/// Whose packages a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryFormat {
    /// `.rpm`, listed by `repodata/repomd.xml`.
    Rpm,
    /// `.apk` of Alpine, listed by `APKINDEX.tar.gz`.
    Apk,
    /// Packages of Arch, listed by a database that `repo-add` writes.
    Pacman,
}

/// How a repository is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryAddress {
    /// The directory of the repository; of `pacman` its database.
    Base(String),
    /// A list of such directories, one a line.
    MirrorList(String),
    /// A metalink of `repomd.xml`: where it is, and its checksums.
    Metalink(String),
}

/// The public keys of those who sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// Where they are; all of them are taken.
    pub places: Vec<KeyringPlace>,
    /// Those of them that count, in lower-case hex; all if there is none. Of `apk` the SHA-256 of the file.
    pub fingerprints: Vec<String>,
}

/// Where public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringPlace {
    /// On this machine; absolute.
    Path(PathBuf),
    /// On a web server; always with fingerprints.
    Url(String),
}

impl RepositoryFormat {
    /// What `source = "..."` calls it.
    pub fn label(self) -> &'static str {
        match self {
            RepositoryFormat::Rpm => "rpm",
            RepositoryFormat::Apk => "apk",
            RepositoryFormat::Pacman => "pacman",
        }
    }
}

impl RepositoryAddress {
    /// The address as it is written.
    pub fn text(&self) -> &str {
        match self {
            RepositoryAddress::Base(text) | RepositoryAddress::MirrorList(text) | RepositoryAddress::Metalink(text) => {
                text
            }
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.packages.join(", "))?;
        self.build.as_ref().map_or(Ok(()), |build| write!(f, " {build}"))
    }
}

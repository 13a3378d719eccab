//! [`LockFile`]: `kernels.lock`, which pins what was fetched so that the next run takes the same.
//!
//! It lies beside `kernels.toml`, is written by corematrix and committed. It names packages, versions and checksums,
//! never a mirror or a path of this machine. Images given by path are the user's own and are not pinned.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::manifest::{BUILT_IN_LOCK, split_name};
use crate::store::error::{IoContext, StoreError};
use crate::store::file_lock::take_for_a_moment;
use crate::whole_file;

const HEADER: &str = "# Written by corematrix; commit it. It pins the kernels that were fetched.\n\
                      # when-gone says what to do once a pinned version has left the mirror: \"newest\" or \"stop\".\n\n";

const HEADER_OF_BUILT_IN: &str =
    "# Written by corematrix: what the kernels of its built-in manifest are in this store.\n\n";

/// The format of the file; raised when older versions of corematrix would misread it.
const VERSION: u32 = 1;

/// What to do when a pinned version is neither in the store nor on the mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenGone {
    /// Take the newest of the series, pin that, and say so.
    #[default]
    Newest,
    /// Stop with an error.
    Stop,
}

/// One package, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Package name, or that of a file.
    pub name: String,
    /// Its version, as its archive has it.
    pub version: String,
    /// The machine that it is for, where its repository says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// The archive that it was found in: a checksum of its address in the manifest. Empty for the machine's own, and in older files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub archive: String,
    /// The suite of a Debian archive that it was found in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suite: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// One kernel, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedKernel {
    /// `apt`, `rpm`, `apk`, `pacman`, `disk`, `package`, `oci` or `mainline`.
    pub source: String,
    /// What was requested: the upstream version, the OCI image, or what distinguishes the packages from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of an OCI image, in hex without `sha256:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `uname -r`.
    pub release: String,
    /// SHA-256 of the image as delivered, in hex.
    pub image_sha256: String,
    /// SHA-256 of the BTF that an archive on a server gave it, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_btf_sha256: Option<String>,
    /// The packages it was unpacked from, the one with the image first; or the disk image.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<LockedPackage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Contents {
    version: u32,
    #[serde(default)]
    when_gone: WhenGone,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kernel: BTreeMap<String, LockedKernel>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    package: BTreeMap<String, LockedPackage>,
    /// Files on servers with the types of kernels that are known by them alone, by the kernel.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    types: BTreeMap<String, LockedPackage>,
    /// Builds of kernels, oldest first, by what was asked for: `el-8@last:5`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    builds: BTreeMap<String, Vec<String>>,
}

/// What a lock file calls an archive, by its address in the manifest: the lock file shows nothing of the address itself.
pub(super) fn archive_mark(address: &str) -> String {
    checksum::of_bytes(address.trim_end_matches('/').as_bytes())[..12].to_owned()
}

impl LockedPackage {
    /// Whether it was found in the archive with this mark, as far as that is known.
    pub(super) fn may_be_of(&self, archive: &str) -> bool {
        self.archive.is_empty() || self.archive == archive
    }
}

impl Default for Contents {
    fn default() -> Self {
        let (kernel, package, types, builds) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Contents { version: VERSION, when_gone: WhenGone::default(), kernel, package, types, builds }
    }
}

/// `kernels.lock`, shared by all threads of a run and safe against other runs.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    /// What it says as long as the file does not exist, if that is not nothing.
    built_in: Option<&'static str>,
    contents: Mutex<Contents>,
}

impl LockFile {
    /// Reads the file; one that does not exist counts as empty and is made by the first entry.
    ///
    /// # Errors
    /// [`StoreError::BadLock`] if it is not a lock file, [`StoreError::Io`] if it cannot be read.
    pub fn open(path: &Path) -> Result<LockFile, StoreError> {
        LockFile { path: path.to_owned(), built_in: None, contents: Mutex::default() }.loaded()
    }

    /// That of the built-in manifest. What it pins is built in, too; what has moved on since, and what is pinned later, is remembered
    /// in the directory of the store, apart from that of other versions of corematrix.
    ///
    /// # Errors
    /// As [`LockFile::open`].
    pub fn open_built_in(store: &Path) -> Result<LockFile, StoreError> {
        let checksum = checksum::of_bytes(BUILT_IN_LOCK.as_bytes());
        let path = store.join(format!("built-in-{}.lock", &checksum[..12]));
        LockFile { path, built_in: Some(BUILT_IN_LOCK), contents: Mutex::default() }.loaded()
    }

    fn loaded(self) -> Result<LockFile, StoreError> {
        self.reload()?;
        Ok(self)
    }

    /// What to do when a pinned version is gone.
    pub fn when_gone(&self) -> WhenGone {
        self.contents().when_gone
    }

    /// What is pinned for the kernel called `name`.
    pub fn kernel(&self, name: &str) -> Option<LockedKernel> {
        self.contents().kernel.get(name).cloned()
    }

    /// The builds, oldest first, that are pinned for what was asked for, such as `el-8@last:5`.
    pub fn builds(&self, asked: &str) -> Option<Vec<String>> {
        self.contents().builds.get(asked).cloned()
    }

    /// Pins which builds are meant by what was asked for. Kernels that no list has are no longer pinned.
    ///
    /// # Errors
    /// [`StoreError::BadLock`], [`StoreError::Io`].
    pub fn set_builds(&self, asked: &str, builds: &[String]) -> Result<(), StoreError> {
        self.change(|contents| {
            let before = contents.builds.insert(asked.to_owned(), builds.to_vec());
            let (kernel, _) = split_name(asked);
            for gone in before.into_iter().flatten().filter(|build| !builds.contains(build)) {
                let is_of_kernel = |(asked, _): &(&String, _)| split_name(asked).0 == kernel;
                let mut others = contents.builds.iter().filter(is_of_kernel);
                if !others.any(|(_, builds)| builds.contains(&gone)) {
                    contents.kernel.remove(&format!("{kernel}@{gone}"));
                }
            }
        })
    }

    /// The release that is pinned for the kernel called `name`, or for its types.
    pub fn release(&self, name: &str) -> Option<String> {
        self.kernel(name).map(|locked| locked.release).or_else(|| self.types(name).map(|locked| locked.version))
    }

    /// The file with its types that is pinned for a kernel of which nothing else is known.
    pub fn types(&self, name: &str) -> Option<LockedPackage> {
        self.contents().types.get(name).cloned()
    }

    /// Pins the file with the types of a kernel.
    pub(super) fn set_types(&self, name: &str, locked: LockedPackage) -> Result<(), StoreError> {
        self.change(|contents| {
            contents.types.insert(name.to_owned(), locked);
        })
    }

    /// What is pinned for a package of tools out of one of these suites.
    pub fn package(&self, name: &str, suites: &[String]) -> Option<LockedPackage> {
        let contents = self.contents();
        let mut pinned = contents.package.values().filter(|pinned| pinned.name == name);
        pinned.find(|pinned| suites.contains(&pinned.suite)).cloned()
    }

    /// A copy at `path`, to try things out on.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be written.
    pub fn copied_to(&self, path: &Path) -> Result<LockFile, StoreError> {
        let copy = LockFile { path: path.to_owned(), built_in: None, contents: Mutex::default() };
        copy.change(|contents| contents.clone_from(&self.contents()))?;
        Ok(copy)
    }

    /// Pins a kernel as another lock file does.
    ///
    /// # Errors
    /// [`StoreError::BadLock`], [`StoreError::Io`].
    pub fn adopt(&self, name: &str, from: &LockFile) -> Result<(), StoreError> {
        match from.kernel(name) {
            Some(locked) => self.set_kernel(name, locked),
            None => Ok(()),
        }
    }

    /// The text of a lock file that pins only the kernel called `name`, and insists on it; `None` if that is not pinned as the image
    /// with this SHA-256.
    pub fn excerpt(&self, name: &str, image_sha256: &str) -> Option<String> {
        let locked = self.kernel(name).filter(|locked| locked.image_sha256 == image_sha256)?;
        let kernel = BTreeMap::from([(name.to_owned(), locked)]);
        let contents = Contents { kernel, when_gone: WhenGone::Stop, ..Contents::default() };
        toml::to_string(&contents).ok().map(|text| HEADER.to_owned() + &text)
    }

    /// Takes over what other runs have pinned since.
    pub(super) fn reload(&self) -> Result<(), StoreError> {
        let mut contents = self.contents();
        *contents = self.read()?;
        Ok(())
    }

    /// Pins a kernel.
    pub(super) fn set_kernel(&self, name: &str, locked: LockedKernel) -> Result<(), StoreError> {
        self.change(|contents| {
            contents.kernel.insert(name.to_owned(), locked);
        })
    }

    /// Pins a package of tools, instead of what was pinned of it in one of these suites.
    pub(super) fn set_package(&self, locked: LockedPackage, suites: &[String]) -> Result<(), StoreError> {
        self.change(|contents| {
            contents.package.retain(|_, pinned| pinned.name != locked.name || !suites.contains(&pinned.suite));
            // Another suite may have it, too.
            let key = match contents.package.contains_key(&locked.name) {
                true => format!("{}/{}", locked.name, locked.suite),
                false => locked.name.clone(),
            };
            contents.package.insert(key, locked);
        })
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the file as it is now, not as it was when this run read it: two runs at once lose nothing of each other.
    fn change(&self, edit: impl FnOnce(&mut Contents)) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let folder = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        // The directory itself is locked: the file is replaced by rename, and a separate lock file would litter the
        // project.
        let guard = File::open(folder).during("open", folder)?;
        take_for_a_moment(&guard, FlockOperation::NonBlockingLockExclusive).during("lock", folder)?;
        let current = self.read()?;
        let mut changed = current.clone();
        edit(&mut changed);
        if changed != current || !self.path.exists() {
            let text = toml::to_string(&changed)
                .map_err(|error| StoreError::BadLock { path: self.path.clone(), reason: error.to_string() })?;
            let header = if self.built_in.is_some() { HEADER_OF_BUILT_IN } else { HEADER };
            whole_file::replace(&self.path, |out| {
                out.write_all(header.as_bytes())?;
                out.write_all(text.as_bytes())
            })?;
        }
        *contents = changed;
        Ok(())
    }

    /// What the file says now.
    fn read(&self) -> Result<Contents, StoreError> {
        match (fs::read_to_string(&self.path), self.built_in) {
            (Err(error), None) if error.kind() == std::io::ErrorKind::NotFound => Ok(Contents::default()),
            (Err(error), Some(text)) if error.kind() == std::io::ErrorKind::NotFound => parse(text, &self.path),
            (text, _) => parse(&text.during("read", &self.path)?, &self.path),
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<Contents, StoreError> {
    let bad = |reason: String| StoreError::BadLock { path: path.to_owned(), reason };
    let contents: Contents = toml::from_str(text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
    if contents.version != VERSION {
        return Err(bad(format!("it has format {}, but this corematrix reads format {VERSION}", contents.version)));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests;

//! [`Index`]: what one repository has, kept in the store until it is too old.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::manifest::{Keyring, Repository, RepositoryFormat};
use crate::source::download::{Download, shown};
use crate::source::repository::keys::{KeyKind, Keys};
use crate::source::repository::listed::Listed;
use crate::source::repository::mirrors::{Mirrors, mirrors};
use crate::source::repository::{apk, pacman, rpm};
use crate::source::request::Request;
use crate::store::REPOSITORIES as FOLDER;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};

/// How long an index is taken as it is.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// An index that is newer cannot be outdated: a file that it names and that is gone will not come back by another one.
const NEW: Duration = Duration::from_secs(600);
/// Bytes of an index, packed. Fedora's has 20 MB.
pub(super) const LARGEST: u64 = 256 << 20;
const STATE: &str = "state.json";
const KEYS: &str = "keys";
/// What a format parses.
pub(super) const INDEX: &str = "index";

/// One repository of a kernel.
#[derive(Clone, Copy)]
pub(super) struct Index<'a> {
    pub request: &'a Request<'a>,
    pub repository: &'a Repository,
    /// Which of its addresses.
    pub at: usize,
}

/// What is known about the index that lies in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// Where the repository is; the first gave the index.
    pub bases: Vec<String>,
    /// Whether a key of the keyring vouches for the index.
    pub is_signed: bool,
}

/// How a format fetches the index of a mirror.
pub(super) struct IndexFetch<'a> {
    pub request: &'a Request<'a>,
    pub repository: &'a Repository,
    pub base: &'a str,
    pub mirrors: &'a Mirrors,
    pub keys: Option<&'a Keys>,
    /// Where to put [`INDEX`].
    pub folder: &'a Path,
    pub work: &'a Path,
}

impl<'a> Index<'a> {
    /// Those of all repositories of a kernel.
    pub fn all(request: &'a Request<'a>, repository: &'a Repository) -> Vec<Index<'a>> {
        (0..repository.addresses.len()).map(|at| Index { request, repository, at }).collect()
    }

    /// The keys that vouch for it; `None` if nothing has to be signed.
    fn keyring(&self) -> Option<(&Keyring, KeyKind)> {
        let kind = match self.repository.format {
            RepositoryFormat::Apk => KeyKind::Rsa,
            _ => KeyKind::OpenPgp,
        };
        self.repository.keys.as_ref().map(|keys| (keys, kind))
    }

    /// Identifies the state: another keyring does not believe the same index.
    fn id(&self) -> String {
        let Repository { format, addresses, keys, unsigned_index, .. } = self.repository;
        let all = format!("{format:?} {:?} {keys:?} {unsigned_index}", addresses[self.at]);
        checksum::of_bytes(all.as_bytes())[..20].to_owned()
    }

    fn folder(&self) -> PathBuf {
        self.request.store.locks.root().join(FOLDER).join(self.id())
    }

    /// Makes the index present and fresh, and returns whether it is new. With `again`, because something it names is gone, fresh means
    /// minutes instead of hours.
    pub fn update(&self, again: bool) -> Result<bool, StoreError> {
        let (request, folder, id) = (self.request, self.folder(), self.id());
        let _guard = self.take()?;
        let changed = fs::metadata(folder.join(STATE)).and_then(|found| found.modified());
        let age = changed.ok().map(|at| at.elapsed().unwrap_or_default());
        let enough = if again { NEW } else { FRESH };
        let is_known = |id: &str| {
            let updated = request.store.updated_suites.lock().unwrap_or_else(PoisonError::into_inner);
            updated.contains(id)
        };
        if age.is_some_and(|age| age < enough || is_known(&id)) {
            return Ok(false);
        }
        let address = &self.repository.addresses[self.at];
        (request.step)(format!("updating the index of {}", shown(address.text())));
        let staging = Staging::new(&request.store.locks)?;
        let (entry, work) = (staging.entry(), staging.work());
        let keys = self.keyring().map(|keyring| Keys::fetch(request, keyring, &entry.join(KEYS), &work)).transpose()?;
        let found = mirrors(request, address, &work)?;
        let mut failure = None;
        for (at, base) in found.bases.iter().enumerate() {
            let (repository, keys) = (self.repository, keys.as_ref());
            let fetch = IndexFetch { request, repository, base, mirrors: &found, keys, folder: &entry, work: &work };
            let fetched = match self.repository.format {
                RepositoryFormat::Rpm => rpm::fetch(&fetch),
                RepositoryFormat::Apk => apk::fetch(&fetch),
                RepositoryFormat::Pacman => pacman::fetch(&fetch),
            };
            match fetched {
                Ok(is_signed) => {
                    let mut bases = found.bases.clone();
                    bases.rotate_left(at);
                    let path = entry.join(STATE);
                    let json = serde_json::to_vec(&State { bases, is_signed }).map_err(std::io::Error::from);
                    fs::write(&path, json.during("write", &path)?).during("write", &path)?;
                    let parent = request.store.locks.root().join(FOLDER);
                    fs::create_dir_all(&parent).during("create", &parent)?;
                    staging.publish(&folder)?;
                    let mut updated = request.store.updated_suites.lock().unwrap_or_else(PoisonError::into_inner);
                    updated.insert(id);
                    return Ok(true);
                }
                // Another mirror may be whole.
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) => {
                    if at + 1 < found.bases.len() {
                        (request.step)(error.reason());
                    }
                    failure = failure.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| request.unavailable("it has no mirrors".to_owned(), "name another repository")))
    }

    /// Keeps others from putting a new index instead of the one that is read.
    fn take(&self) -> Result<fs::File, StoreError> {
        let mut waiting = || (self.request.step)("waiting for the index of a repository".to_owned());
        self.request.store.locks.take(&format!("repository-{}", self.id()), &mut waiting)
    }

    /// The packages whose names are wanted, in no order. Needs an index, so [`update`](Self::update) has to come first.
    pub fn packages(&self, is_wanted: &dyn Fn(&Listed) -> bool) -> Result<Vec<Listed>, StoreError> {
        let (_guard, path) = (self.take()?, self.folder().join(INDEX));
        let listed = match self.repository.format {
            RepositoryFormat::Rpm => rpm::packages(&path, is_wanted),
            RepositoryFormat::Apk => apk::packages(&path, is_wanted),
            RepositoryFormat::Pacman => pacman::packages(&path, is_wanted),
        };
        let mut listed = match listed {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                // It is fetched again by the next run.
                let _ = fs::remove_file(path.with_file_name(STATE));
                let address = shown(self.repository.addresses[self.at].text());
                return Err(StoreError::Corrupt {
                    what: format!("{}: index of `{address}`", self.request.what),
                    reason: error.to_string(),
                });
            }
            listed => listed.during("read", &path)?,
        };
        for package in &mut listed {
            package.repository = self.at;
        }
        Ok(listed)
    }

    /// Where the repository is, and whether its index is signed.
    pub fn state(&self) -> Result<State, StoreError> {
        let (_guard, path) = (self.take()?, self.folder().join(STATE));
        let json = fs::read(&path).during("read", &path)?;
        serde_json::from_slice(&json).map_err(std::io::Error::from).during("read", &path)
    }

    /// The keys that its index was verified with.
    pub fn keys(&self) -> Result<Option<Keys>, StoreError> {
        let _guard = self.take()?;
        let read = |keyring| Keys::read(self.request, keyring, &self.folder().join(KEYS));
        self.keyring().map(read).transpose()
    }
}

impl IndexFetch<'_> {
    /// Downloads a file of the mirror to `file`; `None` if it does not have it.
    pub fn download(&self, url: &str, file: &Path, sha256: Option<&str>) -> Result<Option<()>, StoreError> {
        let Request { what, step, .. } = self.request;
        let server = self.request.server(url);
        let download = Download { what, url, headers: &[], sha256, limit: LARGEST, server, step: *step };
        match download.answer(file)? {
            response if (200..300).contains(&response.status) => Ok(Some(())),
            response if matches!(response.status, 404 | 410) => Ok(None),
            response => Err(download.refused(&response)),
        }
    }

    /// The index is not what it should be.
    pub fn wrong(&self, reason: &str) -> StoreError {
        let reason = format!("the index of `{}`: {reason}", shown(self.base));
        self.request.unavailable(reason, "the mirror may be updating: try again later, or use another mirror")
    }

    /// The mirror does not have the index.
    pub fn missing(&self, url: &str) -> StoreError {
        let reason = format!("`{}`: not found on the server", shown(url));
        self.request.unavailable(reason, "correct the URL of the repository in the manifest")
    }

    /// Whether a detached signature at `url` vouches for `data`; a wrong one, or none where one is needed, is an error.
    pub fn is_signed(&self, url: &str, data: &Path) -> Result<bool, StoreError> {
        let Some(keys) = self.keys else { return Ok(false) };
        let signature = self.work.join("signature");
        let _ = fs::remove_file(&signature);
        if self.download(url, &signature, None)?.is_none() {
            if self.repository.unsigned_index {
                return Ok(false);
            }
            let reason = format!("the index of `{}` is not signed", shown(self.base));
            let hint = "`unsigned-index = true` accepts it; every package must then be signed";
            return Err(self.request.unavailable(reason, hint));
        }
        match keys.verify(self.request, &signature, data)? {
            Ok(()) => Ok(true),
            Err(reason) => Err(self.untrusted(&reason)),
        }
    }

    /// The index is signed, and not by who should.
    pub fn untrusted(&self, reason: &str) -> StoreError {
        let reason = format!("the index of `{}` is not trusted: {reason}", shown(self.base));
        self.request.unavailable(reason, "name the file with the keys of the repository as `keyring` in the manifest")
    }
}

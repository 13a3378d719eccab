//! [`Snapshot`]: a guest that has said hello, kept to be started again in a moment.
//!
//! A snapshot is immutable: it appears by one rename, under a name that was never used before, and only ever disappears. Who uses it
//! holds a shared lock on its description; who wants to remove it needs that lock alone. Only the machine knows what its files mean.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::Store;
use super::contents::bytes_on_disk;
use super::entry::Staging;
use super::error::{IoContext, StoreError};
use super::file_lock::take_for_a_moment;
use super::snapshot_key::SnapshotKey;
use super::sparse::Seal;
use super::verified::Verified;

/// The file that describes a snapshot. It is locked, and the time of its last change is that of the last use.
const DESCRIPTION: &str = "snapshot.json";
/// How many snapshots of the same guest are kept for other programs or versions than those that run now.
const KEPT_FOR_OTHERS: usize = 1;
/// Where snapshots are, in the store.
pub(crate) const FOLDER: &str = "snapshots";

/// A sound snapshot, kept from being removed for as long as this value lives.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    described: Description,
    /// Locked.
    _hold: File,
}

/// What there is for a key.
#[derive(Debug)]
pub struct SnapshotLookup {
    /// A snapshot, or the right to make it.
    pub shelf: Shelf,
    /// One line for each snapshot that was removed or does not fit, with the reason.
    pub thrown_away: Vec<String>,
}

/// What the store has for a key.
#[derive(Debug)]
pub enum Shelf {
    /// A snapshot that fits and is whole.
    Sound(Snapshot),
    /// Nothing; the caller is the one to make it, and this is where.
    Empty(SnapshotPlace),
}

/// The right to make a snapshot, and the directory to make it in.
#[derive(Debug)]
pub struct SnapshotPlace {
    staging: Staging,
    key: SnapshotKey,
    /// Others who want the same snapshot wait for this lock.
    _makers: File,
}

/// One line of `corematrix store list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The kernel's name in the manifest.
    pub kernel: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// When a run last used it.
    pub used: SystemTime,
    /// Whether a run uses it now.
    pub in_use: bool,
    folder: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Description {
    kernel: String,
    guest: BTreeMap<String, String>,
    host: BTreeMap<String, String>,
    files: BTreeMap<String, Seal>,
    /// What the machine wants to know when it is restored.
    machine: serde_json::Value,
}

/// The file [`DESCRIPTION`]: a flipped bit in a command line must not go unnoticed either.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    /// XXH3 (128 bits, hex) of the description as compact JSON.
    xxh3: String,
    snapshot: Description,
}

impl Description {
    fn xxh3(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{:032x}", XxHash3_128::oneshot(&serde_json::to_vec(self)?)))
    }

    fn read(path: &Path) -> Option<Description> {
        let Sealed { xxh3, snapshot } = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (snapshot.xxh3().ok()? == xxh3).then_some(snapshot)
    }

    fn write(self, path: &Path) -> io::Result<Description> {
        let sealed = Sealed { xxh3: self.xxh3()?, snapshot: self };
        fs::write(path, serde_json::to_vec_pretty(&sealed)?)?;
        Ok(sealed.snapshot)
    }
}

/// What trying to use a directory came to.
enum Opened {
    /// A snapshot, locked.
    Snapshot(Snapshot),
    /// It is gone.
    Gone,
    /// Its description is missing or damaged.
    Damaged,
}

impl Snapshot {
    /// Whether both values are of the same snapshot.
    pub fn is(&self, other: &Snapshot) -> bool {
        self.folder == other.folder
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The length of one of its files in bytes; 0 if it has no such file.
    pub fn length(&self, name: &str) -> u64 {
        self.described.files.get(name).map_or(0, |seal| seal.bytes)
    }

    /// What the machine had said when it was saved.
    pub fn machine(&self) -> &serde_json::Value {
        &self.described.machine
    }

    /// Opens and locks.
    fn open(folder: &Path) -> Opened {
        let path = folder.join(DESCRIPTION);
        let Ok(hold) = File::open(&path) else {
            return if folder.exists() { Opened::Damaged } else { Opened::Gone };
        };
        // Waits: who lists the store, or removes a snapshot, has the lock alone, and only for a moment.
        if take_for_a_moment(&hold, FlockOperation::NonBlockingLockShared).is_err() {
            // It may be sound, but it is of no use.
            return Opened::Gone;
        }
        match Description::read(&path) {
            Some(described) => Opened::Snapshot(Snapshot { folder: folder.to_owned(), described, _hold: hold }),
            // Removed while this one waited.
            None if !path.exists() => Opened::Gone,
            None => Opened::Damaged,
        }
    }

    /// What is not as `key` wants it.
    fn difference(&self, key: &SnapshotKey) -> Option<String> {
        let changed = |old: &BTreeMap<String, String>, new: &BTreeMap<String, String>| {
            let names = old.keys().chain(new.keys());
            names.into_iter().find(|name| old.get(*name) != new.get(*name)).cloned()
        };
        let Description { guest, host, .. } = &self.described;
        changed(guest, &key.guest).or_else(|| changed(host, &key.host))
    }

    /// How its files are damaged, as a lowercase fragment.
    fn damage(&self) -> Option<String> {
        let files = Verified::now(&self.folder, self.described.files.keys());
        if files.as_ref().is_some_and(|files| files.is_remembered(&self.folder)) {
            return None;
        }
        let damaged = |(name, seal): (&String, &Seal)| match Seal::of(&self.folder.join(name)) {
            Err(error) => Some(format!("its file `{name}` cannot be read: {error}")),
            Ok(found) if found.bytes != seal.bytes => Some(format!("its file `{name}` has another length")),
            Ok(found) if found != *seal => Some(format!("its file `{name}` is damaged")),
            Ok(_) => None,
        };
        let damage = self.described.files.iter().find_map(damaged);
        files.filter(|_| damage.is_none()).iter().for_each(|files| files.remember(&self.folder));
        damage
    }
}

impl SnapshotPlace {
    /// What it is going to depend on.
    pub fn key(&self) -> &SnapshotKey {
        &self.key
    }

    /// The directory to put files into.
    pub fn folder(&self) -> PathBuf {
        self.staging.entry()
    }

    /// Makes a snapshot of the files in the directory. From here on it is in use, and others find it.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing is left behind then.
    pub fn publish(
        self,
        store: &Store,
        files: BTreeMap<String, Seal>,
        machine: serde_json::Value,
    ) -> Result<Snapshot, StoreError> {
        let (prefix, path) = (self.key.prefix(), self.folder().join(DESCRIPTION));
        let SnapshotKey { kernel, guest, host } = self.key;
        let described = Description { kernel, guest, host, files, machine };
        let described = described.write(&path).during("write", &path)?;
        let hold = File::open(&path).during("open", &path)?;
        flock(&hold, FlockOperation::NonBlockingLockShared).map_err(Into::into).during("lock", &path)?;
        // Never the same name twice: who still holds a removed one must not find another one there.
        let nanoseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = store.root.join(FOLDER).join(format!("{prefix}{nanoseconds:x}-{}", std::process::id()));
        self.staging.publish(&folder)?;
        Ok(Snapshot { folder, described, _hold: hold })
    }
}

impl Store {
    /// Gives the snapshot for a key, compared with its checksums, or the right to make it. If another run is making it just now,
    /// `waiting` is called and the call waits for it. What is found damaged is removed, and of those for other hosts all but the last used.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn snapshot(&self, key: &SnapshotKey, waiting: &mut dyn FnMut()) -> Result<SnapshotLookup, StoreError> {
        let mut thrown_away = Vec::new();
        if let Some(snapshot) = self.sound_snapshot(key, &mut thrown_away)? {
            return Ok(SnapshotLookup { shelf: Shelf::Sound(snapshot), thrown_away });
        }
        let makers = self.locks.take(&format!("snapshot-{}", key.prefix()), waiting)?;
        if let Some(snapshot) = self.sound_snapshot(key, &mut thrown_away)? {
            return Ok(SnapshotLookup { shelf: Shelf::Sound(snapshot), thrown_away });
        }
        let place = SnapshotPlace { staging: Staging::new(&self.locks)?, key: key.clone(), _makers: makers };
        Ok(SnapshotLookup { shelf: Shelf::Empty(place), thrown_away })
    }

    fn sound_snapshot(&self, key: &SnapshotKey, thrown_away: &mut Vec<String>) -> Result<Option<Snapshot>, StoreError> {
        let prefix = key.prefix();
        let all = self.root.join(FOLDER);
        let mut others = Vec::new();
        let mut discard = |folder: &Path, flaw: &str| {
            // One that another run uses stays: that run can use it.
            if self.remove_snapshot(folder) {
                thrown_away.push(format!("the snapshot was removed: {flaw}"));
            }
        };
        for entry in fs::read_dir(&all).during("read", &all)?.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(&prefix) {
                continue;
            }
            let snapshot = match Snapshot::open(&entry.path()) {
                Opened::Gone => continue,
                Opened::Damaged => {
                    discard(&entry.path(), "its description is missing or damaged");
                    continue;
                }
                Opened::Snapshot(snapshot) => snapshot,
            };
            if let Some(what) = snapshot.difference(key) {
                let used = fs::metadata(snapshot.file(DESCRIPTION)).and_then(|found| found.modified());
                others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), what));
            } else if let Some(damage) = snapshot.damage() {
                drop(snapshot);
                discard(&entry.path(), &damage);
            } else {
                let description = File::options().append(true).open(snapshot.file(DESCRIPTION));
                let _ = description.and_then(|file| file.set_modified(SystemTime::now()));
                return Ok(Some(snapshot));
            }
        }
        // Two checkouts with a version of corematrix each, or two versions of QEMU, take turns.
        others.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
        for (_, folder, what) in others.iter().skip(KEPT_FOR_OTHERS) {
            discard(folder, &format!("{what} has changed"));
        }
        if let Some((.., what)) = others.first() {
            let said = format!("the snapshot does not fit: {what} has changed");
            if !thrown_away.contains(&said) {
                thrown_away.push(said);
            }
        }
        Ok(None)
    }

    /// What snapshots have as `what` that are like `key` in all else of the guest: they stay for those who want that.
    pub fn snapshots_but_for(&self, key: &SnapshotKey, what: &str) -> Vec<String> {
        let folders = fs::read_dir(self.root.join(FOLDER)).into_iter().flatten().flatten();
        let described = folders.filter_map(|folder| Description::read(&folder.path().join(DESCRIPTION)));
        let mut others: Vec<String> = described
            .filter_map(|Description { kernel, mut guest, .. }| {
                let has = guest.insert(what.to_owned(), key.guest.get(what)?.clone())?;
                (kernel == key.kernel && guest == key.guest && key.guest.get(what) != Some(&has)).then_some(has)
            })
            .collect();
        others.sort();
        others.dedup();
        others
    }

    /// Removes a snapshot that turned out to be of no use, unless another run uses it. Returns whether it is gone.
    pub fn discard(&self, snapshot: Snapshot) -> bool {
        let folder = snapshot.folder.clone();
        drop(snapshot);
        self.remove_snapshot(&folder)
    }

    /// The snapshots, most recently used first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn snapshots(&self) -> Result<Vec<StoredSnapshot>, StoreError> {
        let all = self.root.join(FOLDER);
        let mut found = Vec::new();
        for entry in fs::read_dir(&all).during("read", &all)?.flatten() {
            let folder = entry.path();
            let kernel = Description::read(&folder.join(DESCRIPTION));
            let kernel = kernel.map_or("damaged".to_owned(), |described| described.kernel);
            let used = fs::metadata(folder.join(DESCRIPTION)).and_then(|found| found.modified());
            let (bytes, in_use) = (bytes_on_disk(&folder), lock_alone(&folder).is_none());
            let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(StoredSnapshot { kernel, bytes, used, in_use, folder });
        }
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.used));
        Ok(found)
    }

    /// Removes the least recently used snapshots that no one uses until no more than `budget` bytes are left; returns those removed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn shrink_snapshots(&self, budget: u64) -> Result<Vec<StoredSnapshot>, StoreError> {
        let mut left = self.snapshots()?;
        let mut total: u64 = left.iter().map(|snapshot| snapshot.bytes).sum();
        let mut removed = Vec::new();
        while total > budget
            && let Some(oldest) = left.pop()
        {
            if self.remove_snapshot(&oldest.folder) {
                total -= oldest.bytes;
                removed.push(oldest);
            }
        }
        Ok(removed)
    }

    /// Whether it could be removed: not while someone uses it.
    fn remove_snapshot(&self, folder: &Path) -> bool {
        let Some(alone) = lock_alone(folder) else { return false };
        let Some(name) = folder.file_name() else { return false };
        // Moved first: half a snapshot must never be seen. It takes no room, so that it works on a full disk; and should this process
        // die now, the next one sweeps the directory away.
        let moved = self.root.join("tmp").join(name);
        if fs::rename(folder, &moved).is_err() {
            return false;
        }
        drop(alone);
        let _ = fs::remove_dir_all(&moved);
        true
    }
}

/// The only lock on a snapshot; `None` while someone uses it. A directory without a description can be used by no one: snapshots
/// appear with theirs.
fn lock_alone(folder: &Path) -> Option<Option<File>> {
    match File::open(folder.join(DESCRIPTION)) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests;

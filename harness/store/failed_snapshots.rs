//! Remembers snapshots that gave no guest although they were fresh, so that not every run saves another one in vain.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Store;
use crate::checksum;
use crate::store::SnapshotKey;

/// Where these are, in the store: a file for each key.
pub(crate) const FOLDER: &str = "hopeless";
/// Once may be chance: a machine can be too busy for a guest to answer in time.
const ENOUGH: u32 = 2;
/// Two of them may be chance, too. So they are forgotten after a day, and another snapshot is tried.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is known about the fresh snapshots of one key.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Failures {
    /// How many there were, one after the other.
    count: u32,
    /// What became of the last.
    reason: String,
}

impl Store {
    /// Why a snapshot for this key would give no guest, if enough fresh ones did not.
    pub fn failed_snapshots(&self, key: &SnapshotKey) -> Option<String> {
        let failures = recent(&self.failures(key), SystemTime::now())?;
        (failures.count >= ENOUGH).then_some(failures.reason)
    }

    /// Takes in that a fresh snapshot gave no guest, and why. Failing to write that down costs the next run another try.
    pub fn snapshot_failed(&self, key: &SnapshotKey, reason: &str) {
        let path = self.failures(key);
        let count = recent(&path, SystemTime::now()).unwrap_or_default().count.saturating_add(1);
        if let Ok(text) = serde_json::to_vec(&Failures { count, reason: reason.to_owned() }) {
            let _ = fs::create_dir_all(self.root().join(FOLDER)).and_then(|()| fs::write(path, text));
        }
    }

    /// Takes in that a fresh snapshot gave a guest.
    pub fn snapshot_works(&self, key: &SnapshotKey) {
        let _ = fs::remove_file(self.failures(key));
    }

    /// Gives all keys another try.
    pub fn forget_failed_snapshots(&self) {
        let _ = fs::remove_dir_all(self.root().join(FOLDER));
    }

    fn failures(&self, key: &SnapshotKey) -> PathBuf {
        let parts = key.guest.iter().chain(&key.host).map(|(name, value)| format!("{name}={value}"));
        let text = format!("{}\n{}", key.kernel, parts.collect::<Vec<_>>().join("\n"));
        self.root().join(FOLDER).join(checksum::of_bytes(text.as_bytes()))
    }
}

/// What is known at the time `now`, if the last failure is not long ago.
fn recent(path: &PathBuf, now: SystemTime) -> Option<Failures> {
    let changed = fs::metadata(path).ok()?.modified().ok()?;
    let is_recent = now.duration_since(changed).is_ok_and(|ago| ago < KEPT);
    // A file system's clock may be a little ahead.
    let is_new = changed.duration_since(now).is_ok_and(|ahead| ahead < Duration::from_secs(60));
    (is_recent || is_new).then_some(())?;
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn two_failures_are_enough_and_a_success_is_a_new_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = |qemu: &str| SnapshotKey {
            kernel: "6.1".to_owned(),
            guest: BTreeMap::new(),
            host: BTreeMap::from([("QEMU".to_owned(), qemu.to_owned())]),
        };
        store.snapshot_failed(&key("10"), "silent");
        assert_eq!(store.failed_snapshots(&key("10")), None);
        store.snapshot_failed(&key("10"), "crashed");
        assert_eq!(store.failed_snapshots(&key("10")).as_deref(), Some("crashed"));
        assert_eq!(store.failed_snapshots(&key("11")), None);
        store.snapshot_works(&key("10"));
        store.snapshot_failed(&key("10"), "crashed");
        assert_eq!(store.failed_snapshots(&key("10")), None);
        store.snapshot_failed(&key("10"), "crashed");
        let path = store.failures(&key("10"));
        assert!(recent(&path, SystemTime::now() + KEPT / 2).is_some());
        assert!(recent(&path, SystemTime::now() + KEPT).is_none(), "holds for ever");
        store.forget_failed_snapshots();
        assert_eq!(store.failed_snapshots(&key("10")), None);
    }
}

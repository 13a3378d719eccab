//! [`KvmRecord`]: whether KVM was proven on this machine, kept between runs.
//!
//! A success holds until machine or QEMU change. A failure does not: one attempt on a busy machine may be bad luck, and no one
//! should lose KVM by that. So it expires, later each time, and the next attempt has longer to answer.

use crate::whole_file;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How long the first failure holds, the second in a row, and all later ones.
const KEPT: [Duration; 3] =
    [Duration::from_secs(3600), Duration::from_secs(24 * 3600), Duration::from_secs(7 * 24 * 3600)];
/// The longest attempt has 2 to the power of this times the usual deadline.
const MOST_DOUBLINGS: u32 = 3;

/// What the last proof of KVM found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KvmRecord {
    /// Everything that could change the answer.
    fingerprint: String,
    /// `None` if KVM works.
    failure: Option<KvmFailure>,
}

/// A proof that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KvmFailure {
    /// A lowercase fragment.
    pub reason: String,
    /// How many there were in a row.
    attempts: u32,
    /// Seconds since 1970.
    at: u64,
}

/// What is known before KVM is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KvmKnowledge {
    /// It works.
    Works,
    /// It failed not long ago.
    Fails(KvmFailure),
    /// It has to be tried. Holds the number of failures so far.
    Open(u32),
}

impl KvmRecord {
    /// Looks up what is known at the time `now`. A file that cannot be read, or that is of an earlier version and has a failure that
    /// would hold for ever, does not count.
    pub fn look_up(file: &Path, fingerprint: &str, now: SystemTime) -> KvmKnowledge {
        match KvmRecord::read(file, fingerprint).map(|record| record.failure) {
            None => KvmKnowledge::Open(0),
            Some(None) => KvmKnowledge::Works,
            Some(Some(failure)) if failure.holds_at(now) => KvmKnowledge::Fails(failure),
            Some(Some(failure)) => KvmKnowledge::Open(failure.attempts),
        }
    }

    /// How many failures there were in a row, whether they still hold or not.
    pub fn failures(file: &Path, fingerprint: &str) -> u32 {
        let failure = KvmRecord::read(file, fingerprint).and_then(|record| record.failure);
        failure.map_or(0, |failure| failure.attempts)
    }

    fn read(file: &Path, fingerprint: &str) -> Option<KvmRecord> {
        let record: KvmRecord = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        (record.fingerprint == fingerprint).then_some(record)
    }

    /// Writes down that KVM works. Not being able to costs a boot the next time and nothing else.
    pub fn save_success(file: &Path, fingerprint: &str) {
        KvmRecord { fingerprint: fingerprint.to_owned(), failure: None }.save(file);
    }

    /// Writes down that KVM failed after `before` other failures, and returns what was written.
    pub fn save_failure(file: &Path, fingerprint: &str, reason: String, before: u32, now: SystemTime) -> KvmFailure {
        let failure = KvmFailure { reason, attempts: before.saturating_add(1), at: seconds(now) };
        KvmRecord { fingerprint: fingerprint.to_owned(), failure: Some(failure.clone()) }.save(file);
        failure
    }

    fn save(&self, file: &Path) {
        // What is lost is one more try.
        let _ = whole_file::replace(file, |out| Ok(serde_json::to_writer_pretty(out, self)?));
    }
}

impl KvmFailure {
    /// Until when KVM is not tried again, in seconds since 1970.
    fn until(&self) -> u64 {
        let last = KEPT.len() - 1;
        let index = usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(last).min(last);
        self.at.saturating_add(KEPT[index].as_secs())
    }

    fn holds_at(&self, now: SystemTime) -> bool {
        // A clock that was set back must not make it hold for longer.
        (self.at..self.until()).contains(&seconds(now))
    }

    /// How long it holds from `now` on, in words.
    pub fn rest(&self, now: SystemTime) -> String {
        let minutes = self.until().saturating_sub(seconds(now)).div_ceil(60);
        match minutes {
            0..=90 => format!("{minutes} min"),
            91..=2880 => format!("{} h", minutes.div_ceil(60)),
            _ => format!("{} days", minutes.div_ceil(1440)),
        }
    }
}

/// By how much an attempt after `failures` others is allowed more time.
pub(super) fn patience(failures: u32) -> u32 {
    1 << failures.min(MOST_DOUBLINGS)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
    }

    fn known(file: &Path, time: SystemTime) -> KvmKnowledge {
        KvmRecord::look_up(file, "here", time)
    }

    #[test]
    fn failure_expires_later_each_time_and_success_never() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kvm.json");
        for (before, kept) in [(0, HOUR), (1, 24 * HOUR), (2, 7 * 24 * HOUR), (9, 7 * 24 * HOUR)] {
            KvmRecord::save_failure(&file, "here", "silent".to_owned(), before, at(0));
            assert!(matches!(known(&file, at(kept - 1)), KvmKnowledge::Fails(failure) if failure.reason == "silent"));
            assert_eq!(known(&file, at(kept)), KvmKnowledge::Open(before + 1));
            assert_eq!(KvmRecord::failures(&file, "here"), before + 1);
            assert_eq!(KvmRecord::look_up(&file, "elsewhere", at(1)), KvmKnowledge::Open(0));
        }
        KvmRecord::save_success(&file, "here");
        assert_eq!(known(&file, at(1000 * 24 * HOUR)), KvmKnowledge::Works);
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1, "leaves nothing beside the file");
    }

    #[test]
    fn clock_that_was_set_back_does_not_make_a_failure_hold() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kvm.json");
        KvmRecord::save_failure(&file, "here", "silent".to_owned(), 0, at(9 * HOUR));
        assert_eq!(known(&file, at(0)), KvmKnowledge::Open(1));
    }

    #[test]
    fn failure_of_an_earlier_version_and_damage_say_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kvm.json");
        for text in ["{ half", r#"{"fingerprint": "here", "failure": "the guest fell silent"}"#] {
            fs::write(&file, text).expect("writes");
            assert_eq!(known(&file, at(0)), KvmKnowledge::Open(0));
        }
        fs::write(&file, r#"{"fingerprint": "here", "failure": null}"#).expect("writes");
        assert_eq!(known(&file, at(0)), KvmKnowledge::Works);
    }

    #[test]
    fn each_attempt_has_longer_than_the_one_before() {
        assert_eq!([0, 1, 2, 3, 50].map(patience), [1, 2, 4, 8, 8]);
    }

    #[test]
    fn rest_is_told_in_words() {
        let failure = |attempts| KvmFailure { reason: String::new(), attempts, at: seconds(at(0)) };
        assert_eq!(failure(1).rest(at(30)), "60 min");
        assert_eq!(failure(2).rest(at(30)), "24 h");
        assert_eq!(failure(3).rest(at(30)), "7 days");
    }
}

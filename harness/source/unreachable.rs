//! [`Unreachable`]: places on the network that did not answer a short while ago, so that not every run waits for them again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::file_name::file_name;

/// Each file has the name of a place, holds why it could not be reached, and was changed when that was found.
pub(super) use crate::store::UNREACHABLE as FOLDER;
/// For how long a place is left alone: asking takes longer than a warm run of the whole matrix.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is known about one place.
pub(super) struct Unreachable {
    mark: PathBuf,
    asks_anyway: bool,
}

impl Unreachable {
    /// Of `place`, a host or another name, in the store at `root`. Who `asks_anyway` forgets what was.
    pub fn at(root: &Path, place: &str, asks_anyway: bool) -> Unreachable {
        Unreachable { mark: root.join(FOLDER).join(file_name(place)), asks_anyway }
    }

    /// Why it could not be reached and when, if that is not long ago.
    pub fn since(&self) -> Option<String> {
        let changed = fs::metadata(&self.mark).and_then(|found| found.modified()).ok()?;
        let ago = changed.elapsed().ok().filter(|ago| *ago < PATIENCE && !self.asks_anyway)?;
        let reason = fs::read_to_string(&self.mark).ok()?;
        Some(match ago.as_secs() / 60 {
            0 => format!("{reason} (just tried)"),
            minutes => format!("{reason} (tried {minutes} min ago)"),
        })
    }

    /// What the user can do.
    pub fn hint() -> String {
        format!(
            "check the network and the proxy settings; the next attempt is made after {} min",
            PATIENCE.as_secs() / 60
        )
    }

    /// It does not answer. Failing to remember costs time and nothing else.
    pub fn remember(&self, reason: &str) {
        let _ = fs::write(&self.mark, reason);
    }

    /// It answers.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.mark);
    }
}

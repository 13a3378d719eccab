//! [`LastWords`]: whether QEMU has given up its guest, noticed while the host waits for that guest.

use std::cell::{Cell, OnceCell};

use super::console;
use crate::process::ChildGroup;

/// What was found so far in QEMU's error output.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// Bytes of output that were looked at.
    seen: Cell<u64>,
    found: OnceCell<String>,
}

impl LastWords {
    /// Looks at what is new. Cheap if nothing is.
    pub fn in_output_of(&self, qemu: &ChildGroup) -> bool {
        let written = qemu.stderr().written();
        if self.found.get().is_none() && self.seen.replace(written) != written {
            // What was cut off before may only now be a whole line, so that all of it is looked at.
            if let Some(line) = console::last_words(&qemu.stderr().text()) {
                // Only set here, where nothing was found yet.
                let _ = self.found.set(line);
            }
        }
        self.found.get().is_some()
    }

    /// The line, if there is one.
    pub fn line(&self) -> Option<String> {
        self.found.get().cloned()
    }
}

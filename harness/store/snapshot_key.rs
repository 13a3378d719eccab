//! [`SnapshotKey`]: what a snapshot depends on.

use std::collections::BTreeMap;

use crate::checksum;
use crate::file_name::file_name;

/// What a snapshot depends on: with one of these changed it is useless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotKey {
    /// The kernel's name in the manifest.
    pub kernel: String,
    /// What the guest is: of snapshots that agree in this only the last that were used are kept.
    pub guest: BTreeMap<String, String>,
    /// What runs it: programs and their versions.
    pub host: BTreeMap<String, String>,
}

impl SnapshotKey {
    /// How the names of all snapshots begin that agree with this one in what the guest is.
    pub(super) fn prefix(&self) -> String {
        let text: Vec<String> = self.guest.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}-{}-", file_name(&self.kernel), &checksum::of_bytes(text.join("\n").as_bytes())[..12])
    }
}

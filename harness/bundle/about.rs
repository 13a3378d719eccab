//! [`About`]: what a bundle is about, its `bundle.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::BundleError;

/// The version of the format; raised when an older corematrix would misread it.
const FORMAT: u32 = 2;
/// That of a bundle without targets and modules, which an older corematrix can read.
const PLAIN_FORMAT: u32 = 1;

/// What a bundle is about: its `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    format: u32,
    /// The cell's kernel.
    pub kernel: String,
    /// The command line of the run; empty if it is no longer known.
    pub command: Vec<String>,
    /// The processor of the machine of the run, if it has a name.
    pub cpu: Option<String>,
}

impl About {
    /// Of a bundle that is made here; a plain one has neither targets nor modules.
    pub(super) fn of(kernel: String, command: Vec<String>, is_plain: bool) -> About {
        About { format: if is_plain { PLAIN_FORMAT } else { FORMAT }, kernel, command, cpu: host_cpu() }
    }

    /// Reads `bundle.json`, its format first.
    pub(super) fn read(json: &[u8], path: &Path) -> Result<About, BundleError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let damaged = |error: serde_json::Error| BundleError::Damaged {
            path: path.to_owned(),
            reason: format!("`bundle.json`: {error}"),
        };
        let Format { format } = serde_json::from_slice(json).map_err(damaged)?;
        if !(u64::from(PLAIN_FORMAT)..=u64::from(FORMAT)).contains(&format) {
            return Err(BundleError::OtherFormat { path: path.to_owned(), found: format, known: FORMAT });
        }
        serde_json::from_slice(json).map_err(damaged)
    }
}

/// The processor of this machine, if it has a name.
pub fn host_cpu() -> Option<String> {
    let known = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = known.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

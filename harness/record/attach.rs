//! [`AttachRecord`]: whether a program that was loaded could be attached, too. A function that moved or was inlined fails only there.

use serde::{Deserialize, Serialize};

/// How attaching a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum AttachOutcome {
    /// It was attached, and detached again.
    Attached,
    /// It could not be attached; the program's verdict says so.
    Failed,
    /// There was nothing to attach it to, so nothing is known.
    NotPossible,
}

impl AttachOutcome {
    /// The outcome in words.
    pub fn label(self) -> &'static str {
        match self {
            AttachOutcome::Attached => "attached",
            AttachOutcome::Failed => "failed",
            AttachOutcome::NotPossible => "not tried",
        }
    }
}

/// Whether a program that was loaded can be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttachRecord {
    /// How it ended.
    pub outcome: AttachOutcome,
    /// To what, in words.
    pub to: String,
    /// Why it was not attached; `None` if it was.
    pub reason: Option<String>,
    /// The errno of the failing call as a positive number.
    pub errno: Option<i32>,
    /// Microseconds it took in the guest.
    pub took_us: u64,
}

impl AttachRecord {
    /// How it ended, in a few words: `attached to the loopback device`.
    pub fn words(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was recorded");
        match self.outcome {
            AttachOutcome::Attached => format!("attached to {}", self.to),
            AttachOutcome::Failed => format!("not attached to {}: {reason}", self.to),
            AttachOutcome::NotPossible => format!("could not be tried: {reason}"),
        }
    }
}

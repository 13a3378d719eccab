//! [`Prediction`]: what types say of an object on one kernel.

use serde::Serialize;

use crate::record::RelocationOutcome;

/// Names in a reason, at most; the JSON has all.
const MOST_NAMES: usize = 4;

/// What types say of one program on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PredictedOutcome {
    /// Every relocation that the program can reach has its target, and so has its attachment. Whether the verifier takes it is open.
    Resolves,
    /// An instruction that can be reached was made invalid: the verifier will refuse the program.
    RejectedIfReached {
        /// What the kernel does not have, such as `struct inode.i_ctime`; each once.
        missing: Vec<String>,
    },
    /// libbpf will refuse to relocate it.
    Refused {
        /// libbpf's words.
        reason: String,
    },
    /// The kernel itself does not have what the program attaches to. A module may.
    MissingTarget {
        /// Such as `vfs_read`.
        target: String,
    },
    /// The kernel itself does not have a function that the program cannot do without. A module may.
    MissingKfunc {
        /// Its name, and what is wrong.
        reason: String,
    },
    /// Nothing can be said.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl PredictedOutcome {
    /// Such as `resolves`.
    pub fn word(&self) -> &'static str {
        match self {
            PredictedOutcome::Resolves => "resolves",
            PredictedOutcome::RejectedIfReached { .. } => "rejected if reached",
            PredictedOutcome::Refused { .. } => "refused by libbpf",
            PredictedOutcome::MissingTarget { .. } => "attach target missing",
            PredictedOutcome::MissingKfunc { .. } => "kfunc missing",
            PredictedOutcome::Unknown { .. } => "not predicted",
        }
    }

    /// Why, in one line; `None` for a program that resolves.
    pub fn reason(&self) -> Option<String> {
        match self {
            PredictedOutcome::Resolves => None,
            PredictedOutcome::RejectedIfReached { missing } => {
                let names: Vec<String> = missing.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
                let more = match missing.len().saturating_sub(MOST_NAMES) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                Some(format!("no match for {}{more}", names.join(", ")))
            }
            PredictedOutcome::MissingTarget { target } => Some(format!("`{target}` is not in the kernel itself")),
            PredictedOutcome::Refused { reason }
            | PredictedOutcome::MissingKfunc { reason }
            | PredictedOutcome::Unknown { reason } => Some(reason.clone()),
        }
    }
}

/// What types say of an object on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// By program, in the order of the object's.
    pub programs: Vec<PredictedOutcome>,
    /// By relocation, in the order of the object's records.
    pub relocations: Vec<RelocationOutcome>,
    /// By guard: whether the kernel's answer picks its first side; `None` where types do not tell.
    pub guards: Vec<Option<bool>>,
}

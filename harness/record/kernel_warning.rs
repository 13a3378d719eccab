//! [`KernelWarning`]: something that a kernel complained about while it judged an object, and survived.

use serde::{Deserialize, Serialize};

/// Something that a kernel complained about and survived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelWarning {
    /// The program that was in flight; `None` before the first one and after the last.
    pub program: Option<String>,
    /// What sort of complaint it is.
    pub kind: WarningKind,
    /// The complaint as one line, without times, addresses of code and numbers of processes.
    pub headline: String,
    /// The whole of it as the kernel wrote it, without times; cut if it is very long.
    pub text: String,
    /// How often it was made.
    pub count: u32,
}

impl KernelWarning {
    /// Whether the machine brings it about by itself: a host that is busy lets emulated kernels wait, and their clocks go wrong.
    /// `accel` is the accelerator's name.
    pub fn is_noise(&self, accel: &str) -> bool {
        match self.kind {
            WarningKind::Clock => true,
            WarningKind::Stall => accel == "tcg",
            _ => false,
        }
    }

    /// Whether it is the same complaint as another one, maybe of another release: numbers do not count.
    pub fn is_like(&self, other: &KernelWarning) -> bool {
        let letters = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
        self.kind == other.kind && self.program == other.program && letters(&self.headline) == letters(&other.headline)
    }
}

/// What sort of complaint a kernel makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum WarningKind {
    /// `WARN_ON` and similar tools.
    Warning,
    /// An oops, or another `BUG:`.
    Bug,
    /// KASAN, UBSAN and their like.
    Sanitizer,
    /// The lock validator, or sleeping where that is forbidden.
    Locking,
    /// A counter of references ran over or under.
    Refcount,
    /// Nothing moved for long: soft lockups, stalls of RCU, hung tasks.
    Stall,
    /// A clock that is not to be trusted.
    Clock,
    /// The kernel marked itself as tainted, and its words about that are not in its log.
    Taint,
}

impl WarningKind {
    /// The kind in words.
    pub fn label(self) -> &'static str {
        match self {
            WarningKind::Warning => "warning",
            WarningKind::Bug => "bug",
            WarningKind::Sanitizer => "sanitizer report",
            WarningKind::Locking => "locking error",
            WarningKind::Refcount => "reference count error",
            WarningKind::Stall => "stall",
            WarningKind::Clock => "clock problem",
            WarningKind::Taint => "taint without reason",
        }
    }
}

//! [`Difference`]: one thing that changed from one run to the next, and where.

use std::fmt;

use serde::Serialize;

use crate::coverage::ProofLevel;
use crate::record::Cause;
use crate::record::Verdict;

/// Where in a matrix. What is `None` is meant as a whole: a kernel alone stands for its column.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The object's name.
    pub object: Option<String>,
    /// The program's name.
    pub program: Option<String>,
    /// The kernel's name.
    pub kernel: Option<String>,
}

impl Place {
    /// A whole kernel.
    pub fn kernel(kernel: &str) -> Place {
        Place { kernel: Some(kernel.to_owned()), ..Place::default() }
    }

    /// A whole object.
    pub fn object(object: &str) -> Place {
        Place { object: Some(object.to_owned()), ..Place::default() }
    }

    /// An object on a kernel.
    pub fn cell(object: &str, kernel: &str) -> Place {
        Place { kernel: Some(kernel.to_owned()), ..Place::object(object) }
    }

    /// The same place, of one program.
    #[must_use]
    pub fn of_program(mut self, program: &str) -> Place {
        self.program = Some(program.to_owned());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.object, &self.program) {
            (Some(object), Some(program)) => write!(f, "`{object}/{program}`")?,
            (Some(object), None) => write!(f, "`{object}`")?,
            (None, _) => {
                return match &self.kernel {
                    Some(kernel) => write!(f, "kernel {kernel}"),
                    None => write!(f, "the run"),
                };
            }
        }
        match &self.kernel {
            Some(kernel) => write!(f, " on {kernel}"),
            None => Ok(()),
        }
    }
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "change", content = "details", rename_all = "snake_case")]
pub enum Change {
    /// A kernel, an object or a program is not in the later run.
    Gone,
    /// A kernel, an object or a program is not in the earlier run.
    Added,
    /// A program has another verdict.
    Verdict {
        /// The earlier one.
        before: Verdict,
        /// The later one.
        after: Verdict,
        /// Why, of the later one.
        reason: Option<String>,
    },
    /// A program has the same verdict for another cause.
    Cause {
        /// Of both.
        verdict: Verdict,
        /// The earlier one.
        before: Option<Cause>,
        /// The later one.
        after: Option<Cause>,
    },
    /// The verifier walked through another number of instructions of a program that loads in both.
    Instructions {
        /// In the earlier run.
        before: u64,
        /// In the later run.
        after: u64,
    },
    /// The object loads as a whole in one of the runs only.
    Whole {
        /// Whether it does in the later run.
        after: bool,
        /// What libbpf said where it does not.
        reason: Option<String>,
    },
    /// The object reads wrong data in the later run only, in these words.
    DangerAdded(String),
    /// The object reads wrong data in the earlier run only, in these words.
    DangerGone(String),
    /// The kernel complains in the later run only, in these words.
    KernelWarningAdded(String),
    /// The kernel complained in the earlier run only, in these words.
    KernelWarningGone(String),
    /// The object asks kernels for something that it did not ask for, in these words.
    RelocationAdded(String),
    /// The object no longer asks for something, in these words.
    RelocationGone(String),
    /// A side of a guard that some kernel proved is no longer proven by any.
    CoverageLost {
        /// The guard, in words: `field_exists struct task_struct.__state`.
        guard: String,
        /// The side: `exists`.
        side: String,
        /// The level of proof.
        level: ProofLevel,
        /// The kernels that proved it in the earlier run.
        kernels: Vec<String>,
    },
    /// A side of a guard is proven for the first time.
    CoverageGained {
        /// The guard, in words.
        guard: String,
        /// The side.
        side: String,
        /// The level of proof.
        level: ProofLevel,
        /// The kernels that prove it in the later run.
        kernels: Vec<String>,
    },
}

/// One thing that changed, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// By how much of the earlier number the later one is larger, in percent; negative where it is smaller.
pub fn growth(before: u64, after: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let (before, after) = (before.max(1) as f64, after as f64);
    (after / before - 1.0) * 100.0
}

fn cause_label(cause: Option<Cause>) -> &'static str {
    cause.map_or("no cause", Cause::label)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Gone => write!(f, "was removed"),
            Change::Added => write!(f, "was added"),
            Change::Verdict { before, after, reason } => {
                write!(f, "{before} -> {after}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Change::Cause { verdict, before, after } => {
                write!(f, "{verdict} with another cause: {} -> {}", cause_label(*before), cause_label(*after))
            }
            Change::Instructions { before, after } => {
                write!(f, "instructions processed: {before} -> {after} ({:+.1} %)", growth(*before, *after))
            }
            Change::Whole { after: true, .. } => write!(f, "now loads as a whole"),
            Change::Whole { after: false, reason } => {
                write!(f, "no longer loads as a whole")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Change::DangerAdded(words) => write!(f, "new silent danger: {words}"),
            Change::DangerGone(words) => write!(f, "silent danger removed: {words}"),
            Change::KernelWarningAdded(words) => write!(f, "new kernel warning: {words}"),
            Change::KernelWarningGone(words) => write!(f, "kernel warning removed: {words}"),
            Change::RelocationAdded(words) => write!(f, "now uses {words}"),
            Change::RelocationGone(words) => write!(f, "no longer uses {words}"),
            Change::CoverageLost { guard, side, level, kernels } => {
                let level = level.label();
                write!(
                    f,
                    "`{side}` of {guard} is no longer proven on any kernel (before: {level} by {})",
                    kernels.join(", ")
                )
            }
            Change::CoverageGained { guard, side, level, kernels } => {
                write!(f, "`{side}` of {guard} is now {}, by {}", level.label(), kernels.join(", "))
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.change)
    }
}

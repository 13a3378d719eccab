//! [`History`]: how a field, type or enumerator is on every kernel of which the types are known.

use serde::{Deserialize, Serialize};

/// How what an object asks for is on every kernel of which the types are known, those of the run among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct History {
    /// How many kernels beyond the matrix were asked.
    pub beyond: usize,
    /// How many more have types available and were not asked, because there are too many.
    pub left_out: usize,
    /// By the first kernel of each.
    pub arms: Vec<Arm>,
}

/// One form of what the program asks for, and the kernels that have it: an arm of the guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Arm {
    /// The path from the root type, such as `__i_ctime.tv_sec`, or the name of the type or enumerator; `None` for the kernels that have
    /// nothing that serves.
    pub path: Option<String>,
    /// Its type, as C names it; empty if there is none.
    pub type_name: String,
    /// Whether it is what the object itself asks for.
    pub own: bool,
    /// What the names of the types that the guard reads it by end with, behind `___`.
    pub flavour: Option<String>,
    /// What the guard asks; `None` where no guard is offered.
    pub condition: Option<String>,
    /// What the guard reads there.
    pub expression: Option<String>,
    /// Kernels that were booted, in matrix order: what the arm says is read from the types of a kernel that ran.
    pub booted: Vec<String>,
    /// Kernels of which only the types are known.
    pub by_types: Vec<KernelSpan>,
    /// Kernels on which the guard would not pick this arm, although it should.
    pub unproven: Vec<String>,
}

/// Kernels that follow one another by age and agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelSpan {
    /// The first of them.
    pub first: String,
    /// The last of them; the same as `first` for a single one.
    pub last: String,
    /// How many there are.
    pub count: usize,
}

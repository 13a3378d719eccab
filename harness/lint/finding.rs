//! [`LintFinding`]: one thing to look at, with all kernels that share it.

use serde::Serialize;

use super::rule::{LintLevel, LintRule};
use crate::record::SourcePlace;

/// One thing that someone should look at, with all kernels that share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LintFinding {
    /// What it is about.
    pub rule: LintRule,
    /// How much it weighs.
    pub level: LintLevel,
    /// The programs that run the code.
    pub programs: Vec<String>,
    /// The program or subprogram that has it.
    pub function: String,
    /// Where in the source; null without line info.
    pub source: Option<SourcePlace>,
    /// The field, type, enumerator, function or guard.
    pub subject: String,
    /// What is wrong, as one line.
    pub message: String,
    /// The kernels that share it, as indexes into the list; empty if it is the same on every kernel.
    pub kernels: Vec<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What was found in one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LintedObject {
    /// Its name.
    pub name: String,
    /// Where it was found.
    pub origin: String,
    /// By place in the source.
    pub findings: Vec<LintFinding>,
}

/// A kernel whose types cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnreadKernel {
    /// As an index into the list of kernels.
    pub kernel: usize,
    /// In words.
    pub reason: String,
}

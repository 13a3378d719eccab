//! The answer of a bisection.

use serde::Serialize;

use crate::answer::Answer;
use crate::bisect::config::ConfigDifference;
use crate::record::{Cause, Verdict};

/// `corematrix bisect`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct BisectedObject {
    /// The object.
    pub object: String,
    /// The program, if one was named.
    pub program: Option<String>,
    /// The kernel before the change that was found.
    pub last_good: Option<BisectionStep>,
    /// The kernel after it.
    pub first_bad: Option<BisectionStep>,
    /// How many kernels there are to choose from.
    pub kernels: usize,
    /// How many guests were used.
    pub guests: usize,
    /// Every kernel that was tried, in order.
    pub steps: Vec<BisectionStep>,
    /// Where it starts and stops working.
    pub changes: Vec<BisectionChange>,
    /// What the object's relocations find that differs.
    pub relocations: Vec<BisectedRelocation>,
    /// Options that differ and bear on BPF; `None` where a kernel comes without its config.
    pub config: Option<Vec<ConfigDifference>>,
}

/// A kernel that was tried.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct BisectionStep {
    /// The kernel.
    pub kernel: String,
    /// The version of its package.
    pub version: String,
    /// Its release, once it has booted.
    pub release: Option<String>,
    /// `good`, `bad` or `skipped`.
    pub outcome: &'static str,
    /// The verdict, if there is one.
    pub verdict: Option<Verdict>,
    /// Its cause.
    pub cause: Option<Cause>,
}

/// Two neighbours that differ.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct BisectionChange {
    /// The older kernel.
    pub before: String,
    /// The newer one.
    pub after: String,
    /// Whether it works on the newer one.
    pub works: bool,
}

/// What a relocation finds on the two kernels.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct BisectedRelocation {
    /// What it asks for.
    pub name: String,
    /// What it finds on the good kernel.
    pub good: String,
    /// What it finds on the bad one.
    pub bad: String,
}

impl Answer for BisectedObject {
    const SCHEMA: &'static str = "bisect-1";
}

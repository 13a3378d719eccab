//! [`SnippetProof`]: what was proven of a guard before it was given as advice.

use serde::{Deserialize, Serialize};

/// What was proven of a guard before it was given as advice. It uses BTF; no kernel is booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SnippetProof {
    /// The compiler that took it; `None` where it was not compiled.
    pub compiler: Option<String>,
    /// Why it was not compiled; `None` where it was.
    pub not_compiled: Option<String>,
    /// On how many kernels, by their types, its conditions were evaluated and what it reads was looked up.
    pub kernels: usize,
    /// Where it is not right.
    pub wrong: Vec<WrongGuard>,
}

/// A kernel on which a guard is not right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WrongGuard {
    /// The kernel.
    pub kernel: String,
    /// What is wrong, as a fragment.
    pub reason: String,
}

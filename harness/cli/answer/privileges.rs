//! The answer about the least privileges.

use serde::Serialize;

use crate::answer::Answer;
use crate::record::LeastPrivileges;

/// `corematrix privileges`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PrivilegesAnswer {
    /// Every object.
    pub objects: Vec<ObjectPrivileges>,
}

/// What an object needs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ObjectPrivileges {
    /// The object.
    pub object: String,
    /// Each program, and the object as a whole if it has several; none if no kernel came to it.
    pub rows: Vec<LeastPrivilegesOf>,
}

/// What a program, or an object as a whole, needs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct LeastPrivilegesOf {
    /// The program; `None` for the object as a whole.
    pub program: Option<String>,
    /// On all kernels, in words.
    pub words: String,
    /// On each kernel that came to it.
    pub kernels: Vec<LeastOnKernel>,
}

/// What is needed on a kernel.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct LeastOnKernel {
    /// The kernel.
    pub kernel: String,
    /// What is needed there.
    #[serde(flatten)]
    pub least: LeastPrivileges,
}

impl Answer for PrivilegesAnswer {
    const SCHEMA: &'static str = "privileges-1";
}

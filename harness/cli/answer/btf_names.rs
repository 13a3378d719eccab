//! Answers about names in the BTF of kernels.

use serde::Serialize;

use crate::answer::Answer;

/// `corematrix btf find`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct FoundName {
    /// What was looked for.
    pub name: String,
    /// The kernels that were looked at.
    pub kernels: Vec<KernelWithName>,
}

/// What one kernel has of a name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KernelWithName {
    /// What the manifest calls it.
    pub kernel: String,
    /// Its release.
    pub release: String,
    /// What it has; `null` if it has no BTF.
    pub found: Option<Vec<KernelHit>>,
    /// Where another kernel has it in a module, if the BTF of this one's modules is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Something of that name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KernelHit {
    /// `struct`, `union`, `enum`, `typedef`, `field`, `enumerator`, `function`, `variable`, `int` or `float`.
    pub kind: String,
    /// Its type, in C.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Of a field: bits from the start of the struct.
    pub bit_offset: Option<u64>,
    /// Bits that it takes.
    pub bits: Option<u64>,
    /// Of an enumerator: its value.
    pub value: Option<String>,
    /// The modules that have it; `null` for the kernel itself.
    pub module: Option<String>,
}

/// `corematrix btf history`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct NameHistory {
    /// What was looked for.
    pub name: String,
    /// The kernels of which the types are available, older ones of a group first.
    pub kernels: Vec<HistoryKernel>,
}

/// What one kernel has of a name.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct HistoryKernel {
    /// Kernels that are compared with one another, such as `ubuntu/20.04/x86_64`.
    pub group: String,
    /// Its release.
    pub release: String,
    /// What it has, each in words; `null` if its types cannot be read.
    pub found: Option<Vec<String>>,
    /// Why its types cannot be read.
    pub error: Option<String>,
}

impl Answer for FoundName {
    const SCHEMA: &'static str = "btf-find-1";
}

impl Answer for NameHistory {
    const SCHEMA: &'static str = "btf-history-1";
}

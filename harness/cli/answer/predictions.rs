//! Answers from BTF alone.

use std::path::PathBuf;

use serde::Serialize;

use crate::answer::Answer;
use crate::predict::{PredictedCell, PredictedKernel};

/// `corematrix predict`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Predictions<'a> {
    /// Always true: no one shall take this for a report of a run.
    pub predicted: bool,
    /// The objects.
    pub objects: Vec<PredictedObject<'a>>,
    /// The kernels, by group, older ones first.
    pub kernels: Vec<KernelPrediction<'a>>,
}

/// An object.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct PredictedObject<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its programs.
    pub programs: Vec<&'a str>,
    /// How many relocations it has.
    pub relocations: usize,
}

/// What the types of one kernel say.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KernelPrediction<'a> {
    /// The kernel.
    #[serde(flatten)]
    pub kernel: &'a PredictedKernel,
    /// By object; absent if the types cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<&'a [PredictedCell]>,
    /// Why the types cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// `corematrix plan --minimal --format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct MinimalKernels {
    /// Always true.
    pub predicted: bool,
    /// The kernels to boot.
    pub kernels: Vec<MinimalKernel>,
    /// Of how many.
    pub of: usize,
    /// How many of those differ in what BTF predicts.
    pub kinds: usize,
    /// How many behaviours of programs there are on them.
    pub behaviours: usize,
    /// Whether no smaller set shows all.
    pub is_smallest: bool,
    /// The kernels whose types cannot be read.
    pub not_read: Vec<UnreadKernel>,
}

/// A kernel to boot.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct MinimalKernel {
    /// What the manifest or the store calls it, if they know it.
    pub name: Option<String>,
    /// Its release.
    pub release: String,
    /// The distribution, or the store.
    pub group: String,
    /// Where its types come from.
    pub types: PathBuf,
    /// Whether the manifest has it, so that it can be booted.
    pub in_manifest: bool,
    /// How many behaviours no other kernel of the set shows.
    pub shown_by_it_alone: usize,
}

/// A kernel whose types cannot be read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct UnreadKernel {
    /// Its release.
    pub release: String,
    /// Why.
    pub error: String,
}

impl Answer for Predictions<'_> {
    const SCHEMA: &'static str = "predict-1";
}

impl Answer for MinimalKernels {
    const SCHEMA: &'static str = "plan-minimal-1";
}

//! Answers about runs and their cells.

use std::path::PathBuf;

use serde::Serialize;

use crate::answer::Answer;
use crate::compare::{Difference, ObjectGrid};
use crate::record::{Cause, Explanation, GuardProof, GuardRecord, SnippetProof, Verdict};

/// `corematrix coverage`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CoverageAnswer {
    /// The objects that were chosen.
    pub objects: Vec<CoveredObject>,
    /// What falls short of the thresholds that were asked for, in words.
    pub below: Vec<String>,
}

/// The guards of an object.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CoveredObject {
    /// The object.
    pub object: String,
    /// Its guards.
    pub guards: Vec<GuardRecord>,
    /// How far each kernel has proven them.
    pub kernels: Vec<CoveredKernel>,
}

/// What one kernel proves of an object's guards.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CoveredKernel {
    /// The kernel.
    pub kernel: String,
    /// For each guard of the object; empty if nothing is known.
    pub guards: Vec<GuardProof>,
}

/// `corematrix repro`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ReproAnswer {
    /// The object.
    pub object: String,
    /// The kernel.
    pub kernel: String,
    /// `same`, `differs` or `unjudged`: the worst of all programs. `same` without a run means that it was judged.
    pub outcome: String,
    /// The run that it is compared with.
    pub run: Option<String>,
    /// The programs that were looked at.
    pub programs: Vec<ReproducedProgram>,
    /// What is different here.
    pub differences: Vec<ReproDifference>,
}

/// How a program ended here, and in the run.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ReproducedProgram {
    /// The program.
    pub program: String,
    /// `same`, `differs` or `unjudged`.
    pub outcome: String,
    /// The verdict here.
    pub verdict: Verdict,
    /// The cause here.
    pub cause: Option<Cause>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// The verdict in the run.
    pub recorded_verdict: Option<Verdict>,
    /// The cause in the run.
    pub recorded_cause: Option<Cause>,
}

/// Something that is different here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ReproDifference {
    /// What: `libbpf`.
    pub what: String,
    /// In the run.
    pub recorded: String,
    /// Here.
    pub here: String,
}

/// `corematrix explain`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ExplainedCell {
    /// The object.
    pub object: String,
    /// The kernel.
    pub kernel: String,
    /// The programs that were chosen.
    pub programs: Vec<ExplainedProgram>,
    /// What could not be looked at, in words.
    pub missing: Vec<String>,
}

/// Why a program failed, and what to do about it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ExplainedProgram {
    /// The program.
    pub program: String,
    /// What happened and why, in one sentence for people who do not know BPF.
    pub summary: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, out of a closed set.
    pub cause: Option<Cause>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// What the types of kernels say of it.
    pub explanation: Option<Explanation>,
    /// What to do where types have no answer.
    pub hints: Vec<String>,
}

/// `corematrix compare`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ComparedRuns {
    /// What differs, from the earlier to the later.
    pub differences: Vec<Difference>,
}

/// `corematrix compare --objects`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ComparedObjects {
    /// The builds side by side.
    pub grid: ObjectGrid,
    /// What differs from the first to each of the others.
    pub builds: Vec<ObjectDifferences>,
}

/// What differs from the first build.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ObjectDifferences {
    /// The build.
    pub name: String,
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Answer for CoverageAnswer {
    const SCHEMA: &'static str = "coverage-1";
}

impl Answer for ReproAnswer {
    const SCHEMA: &'static str = "repro-1";
}

impl Answer for ExplainedCell {
    const SCHEMA: &'static str = "explain-1";
}

impl Answer for ComparedRuns {
    const SCHEMA: &'static str = "compare-1";
}

impl Answer for ComparedObjects {
    const SCHEMA: &'static str = "compare-objects-1";
}

/// `corematrix explain --prove`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct GuardProofs {
    /// The object that the guards are for.
    pub object: String,
    /// The guards.
    pub guards: Vec<LoadedGuard>,
}

/// A guard that was loaded.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct LoadedGuard {
    /// What it asks for.
    pub name: String,
    /// The programs that it is advised for.
    pub programs: Vec<String>,
    /// Its C.
    pub source: PathBuf,
    /// What types said of it before.
    pub checked: Option<SnippetProof>,
    /// What became of it on each kernel.
    pub kernels: Vec<GuardOnKernel>,
}

/// What became of a guard on a kernel.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct GuardOnKernel {
    /// The kernel.
    pub kernel: String,
    /// How it loads.
    pub verdict: Verdict,
    /// The arm that was taken: what the kernel's guard reads.
    pub picked: Option<String>,
    /// Why it is not what the advice says.
    pub wrong: Option<String>,
}

impl Answer for GuardProofs {
    const SCHEMA: &'static str = "explain-prove-1";
}

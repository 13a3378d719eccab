//! [`PredictedMatrix`]: what BTF predicts for objects on many kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

use super::outcome::Prediction;
use super::predicted_types::PredictedTypes;
use super::subject::Subject;
use crate::record::{PredictedOutcome, RelocationOutcome};

/// A kernel of which the types are available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PredictedKernel {
    /// Kernels that are compared with one another: those of a distribution, such as `ubuntu/20.04/x86_64`, or the store's.
    pub group: String,
    /// What the manifest or the store calls it, if they know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its release.
    pub release: String,
    /// Where its types come from.
    pub types: PathBuf,
}

/// What BTF predicts for one object on one kernel, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PredictedCell {
    /// By program.
    pub programs: Vec<PredictedOutcome>,
    /// How many relocations come to what, such as `resolved`, `no_match`, `poisoned`.
    pub relocations: BTreeMap<&'static str, usize>,
    /// By guard: whether its first side is picked; `None` where BTF has no answer.
    pub guards: Vec<Option<bool>>,
    /// The kernel modules whose types its relocations and functions are found in.
    pub modules: BTreeSet<String>,
    /// The relocations, as indexes, that ask for a size, a sign or an enumerator, with their values; `None` without a match.
    #[serde(skip)]
    pub values: Vec<(usize, Option<u64>)>,
}

/// What BTF predicts for objects on many kernels.
#[derive(Debug)]
pub struct PredictedMatrix {
    /// By group, older ones first.
    pub kernels: Vec<PredictedKernel>,
    /// By kernel and then by object; in words why the types of a kernel cannot be read.
    pub cells: Vec<Result<Vec<PredictedCell>, String>>,
}

impl PredictedMatrix {
    /// Reads the types of each kernel once, on all processors.
    pub fn of(
        subjects: &[Subject],
        kernels: Vec<PredictedKernel>,
        types: impl Fn(&PredictedKernel) -> Result<PredictedTypes, String> + Sync,
    ) -> PredictedMatrix {
        let cells = kernels.par_iter().map(|kernel| {
            let target = types(kernel)?;
            Ok(subjects.iter().map(|subject| cell(subject, &target, &kernel.release)).collect())
        });
        let cells = cells.collect();
        PredictedMatrix { kernels, cells }
    }
}

fn cell(subject: &Subject, target: &PredictedTypes, release: &str) -> PredictedCell {
    let prediction = subject.predict(target, release);
    let mut relocations = BTreeMap::new();
    for outcome in &prediction.relocations {
        *relocations.entry(word(outcome)).or_default() += 1;
    }
    let of_value = subject.of_value().filter_map(|relocation| {
        let outcome = prediction.relocations.get(relocation)?;
        Some((relocation, if let RelocationOutcome::Resolved { new, .. } = outcome { Some(*new) } else { None }))
    });
    let values = of_value.collect();
    let Prediction { programs, guards, modules, .. } = prediction;
    PredictedCell { programs, relocations, guards, modules, values }
}

/// As the record of a run has it.
fn word(outcome: &RelocationOutcome) -> &'static str {
    match outcome {
        RelocationOutcome::Resolved { .. } => "resolved",
        RelocationOutcome::NoMatch { .. } => "no_match",
        RelocationOutcome::Poisoned => "poisoned",
        RelocationOutcome::Ambiguous { .. } => "ambiguous",
        RelocationOutcome::Failed { .. } => "failed",
        _ => "skipped",
    }
}

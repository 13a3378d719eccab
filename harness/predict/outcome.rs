//! [`Prediction`]: what BTF predicts for an object on one kernel.

use std::collections::BTreeSet;

use crate::record::{CellPrediction, PredictedOutcome, RelocationOutcome};

/// What BTF predicts for an object on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// By program, in the order of the object's.
    pub programs: Vec<PredictedOutcome>,
    /// By relocation, in the order of the object's records.
    pub relocations: Vec<RelocationOutcome>,
    /// By guard: whether the kernel's answer picks its first side; `None` where BTF has no answer.
    pub guards: Vec<Option<bool>>,
    /// The kernel modules whose types its relocations and functions are found in.
    pub modules: BTreeSet<String>,
}

impl Prediction {
    /// As the record of a run has it.
    pub fn into_record(self) -> CellPrediction {
        CellPrediction { programs: self.programs, relocations: self.relocations, guards: self.guards }
    }
}

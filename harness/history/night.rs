//! [`Night`]: what a history remembers of one run.

use serde::{Deserialize, Serialize};

use crate::record::RunRecord;
use crate::record::Verdict;

/// What a history remembers of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// Names its directory, and orders the nights: `2026-11-22T020000Z`.
    pub stamp: String,
    /// Names and releases of its kernels, in matrix order.
    pub kernels: Vec<(String, String)>,
    /// Every program on every kernel, in the order of the record.
    pub results: Vec<NightResult>,
    /// How many differences there are to the night before.
    pub differences: usize,
}

/// One program on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NightResult {
    /// The object's name.
    pub object: String,
    /// The program's name.
    pub program: String,
    /// The kernel's name.
    pub kernel: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How many instructions the verifier walked through, if it reports that.
    pub instructions: Option<u64>,
}

impl Night {
    /// Remembers a run, with `differences` to the one before.
    pub fn of(record: &RunRecord, stamp: &str, differences: usize) -> Night {
        let results = record.cells.iter().flat_map(|cell| {
            cell.programs.iter().map(|program| NightResult {
                object: cell.object.clone(),
                program: program.name.clone(),
                kernel: cell.kernel.clone(),
                verdict: program.verdict,
                instructions: program.statistics.as_ref().and_then(|statistics| statistics.insns_processed),
            })
        });
        let kernel = |kernel: &crate::record::KernelRecord| {
            let release = kernel.identity.as_ref().map(|identity| identity.release.clone());
            (kernel.name.clone(), release.unwrap_or_default())
        };
        Night {
            stamp: stamp.to_owned(),
            kernels: record.kernels.iter().map(kernel).collect(),
            results: results.collect(),
            differences,
        }
    }

    /// How many programs on kernels load, and of how many.
    pub fn score(&self) -> (usize, usize) {
        (self.results.iter().filter(|result| result.verdict.is_pass()).count(), self.results.len())
    }
}

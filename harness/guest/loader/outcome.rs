//! Outcomes of programs that did not come as far as being loaded.

use std::time::Instant;

use super::super::prepared::Failure;
use super::super::targets::NoTarget;
use corematrix_protocol::{LeftOutMap, MAPS_ALONE, ProgramOutcome, Stage};

/// What became of an object that has maps alone.
pub(super) fn of_maps(left_out: &[LeftOutMap]) -> ProgramOutcome {
    let stage = if left_out.is_empty() { Stage::Loaded } else { Stage::Prepare };
    let mut made = outcome(MAPS_ALONE, stage, Instant::now());
    made.warnings = left_out.iter().map(|left| left.warning.clone()).collect();
    made.left_out = left_out.to_vec();
    made
}

pub(super) fn not_prepared(program: &str, failure: &Failure, begin: Instant) -> ProgramOutcome {
    let mut failed = outcome(program, Stage::Prepare, begin);
    failed.errno = failure.errno;
    failed.warnings = failure.warnings();
    failed
}

/// A program whose target is not there, so that it cannot be loaded for it.
pub(super) fn without_target(program: &str, target: &NoTarget) -> ProgramOutcome {
    let mut failed = outcome(program, Stage::Prepare, Instant::now());
    failed.errno = target.errno;
    failed.warnings.clone_from(&target.warnings);
    failed
}

/// A program that refers to a strong extern which this kernel does not have.
pub(super) fn without_extern(program: &str, warning: &str) -> ProgramOutcome {
    let mut failed = outcome(program, Stage::Prepare, Instant::now());
    failed.errno = libc::ESRCH;
    failed.warnings = vec![warning.to_owned()];
    failed
}

pub(crate) fn outcome(program: &str, stage: Stage, begin: Instant) -> ProgramOutcome {
    ProgramOutcome {
        program: program.to_owned(),
        stage,
        errno: 0,
        warnings: Vec::new(),
        left_out: Vec::<LeftOutMap>::new(),
        type_known: None,
        loaded: None,
        took_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

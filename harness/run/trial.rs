//! [`Trial`]: the result of a cell in a guest that has seen other objects. Nothing of it is reported before the guest has proven itself.

use super::certain_failure::is_certain_whole;
use crate::event::{CellOutcome, Event};
use crate::plan::PlannedObject;
use crate::record::{CellRecord, ProgramRecord};

/// The outcome of a cell.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// What is to be reported.
    pub(super) events: Vec<Event>,
    /// What it came to, if nothing went wrong on the way and every program has a verdict.
    pub(super) kept: Option<Kept>,
}

/// What a cell came to.
#[derive(Debug)]
pub(super) struct Kept {
    /// The object, an index.
    pub(super) object: usize,
    pub(super) programs: Vec<ProgramRecord>,
    pub(super) outcome: CellOutcome,
}

impl Trial {
    /// Whether nothing at all is out of the ordinary. `cell` is the cell as it was planned.
    pub(super) fn is_sound(&self, planned: &PlannedObject, mut cell: CellRecord, accel: &str) -> bool {
        let Some(Kept { programs, outcome, .. }) = &self.kept else { return false };
        cell.programs.clone_from(programs);
        outcome.put(&mut cell);
        outcome.whole.as_ref().is_some_and(|whole| whole.prepared || is_certain_whole(planned, whole, programs))
            && outcome.downgrades.is_empty()
            && outcome.notes.is_empty()
            && outcome.kernel_log.iter().all(|warning| warning.is_noise(accel))
            && cell.defective_records() == 0
    }
}

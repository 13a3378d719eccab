//! [`Excuses`]: which of the failures so far the suite allows, by what the events have shown.

use time::Date;

use crate::event::Event;
use crate::gate::{Expectations, GateLimits};
use crate::record::{CellRecord, RunRecord};

/// What decides whether a failure is excused: the record as far as it is known, and what is expected.
pub(super) struct Excuses {
    record: RunRecord,
    expectations: Expectations,
    today: Date,
}

impl Excuses {
    /// Of a run that has not begun.
    pub(super) fn new(planned: RunRecord, expectations: Expectations) -> Excuses {
        Excuses { record: planned, expectations, today: GateLimits::now().today }
    }

    /// Takes in what an event shows. What is outside the plan is passed over.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            // A range of kernels is about releases.
            Event::KernelReady { kernel, identity, .. } => {
                if let Some(kernel) = self.record.kernels.get_mut(*kernel) {
                    kernel.identity = Some(identity.clone());
                }
            }
            Event::ProgramDone { kernel, object, program, record } => {
                if let Some(known) = self.cell(*kernel, *object).and_then(|cell| cell.programs.get_mut(*program)) {
                    known.clone_from(record);
                }
            }
            Event::CellDone { kernel, object, outcome } => {
                if let Some(cell) = self.cell(*kernel, *object) {
                    cell.whole.clone_from(&outcome.whole);
                    cell.dangers.clone_from(&outcome.dangers);
                    self.expectations.mark_cell(&mut self.record, (*object, *kernel), self.today);
                }
            }
            Event::CellReused { kernel, object, record, .. } => {
                if let Some(cell) = self.cell(*kernel, *object) {
                    cell.clone_from(record);
                    self.expectations.mark_cell(&mut self.record, (*object, *kernel), self.today);
                }
            }
            _ => {}
        }
    }

    /// How many of these failures on a kernel are excused. They are given by object and program.
    pub(super) fn count(&self, kernel: usize, failures: &[(usize, usize)]) -> usize {
        let is_known = |object: usize| kernel < self.record.kernels.len() && object < self.record.objects.len();
        let excused = failures
            .iter()
            .filter(|(object, program)| is_known(*object) && self.record.excuse(*object, kernel, *program).is_some());
        excused.count()
    }

    fn cell(&mut self, kernel: usize, object: usize) -> Option<&mut CellRecord> {
        let kernels = self.record.kernels.len();
        let is_known = kernel < kernels && object < self.record.objects.len();
        is_known.then(|| self.record.cells.get_mut(object * kernels + kernel)).flatten()
    }
}

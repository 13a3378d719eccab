//! What a cell comes to beside the verdicts of its programs, when all of them are known.

use super::super::session::Session;
use super::super::{dangers, prediction, upgrade};
use super::Cell;
use crate::event::{CellOutcome, Event};
use crate::record::{DangerRecord, PrivilegesRecord, ProgramRecord};

impl Cell<'_> {
    /// Says what the cell came to. `room` is what its guest was to be, in MiB, and what there is to say of that.
    pub(super) fn conclude(
        mut self,
        session: &Session<'_>,
        (room_mib, room_note): (u64, Option<String>),
        privileges: Option<PrivilegesRecord>,
        is_complete: bool,
    ) {
        let planned = self.planned;
        let is_as_wanted = self.memory_mib == room_mib;
        // Anything that is noted until here went wrong on the way.
        let mut is_smooth = is_complete && is_as_wanted && self.notes.is_empty();
        // If no such guest could be started the kernel's notes say so.
        if is_as_wanted {
            self.notes.splice(0..0, room_note);
        }
        let programs: Vec<&str> = planned.programs.iter().map(|program| program.name.as_str()).collect();
        let mut relocations =
            self.evidence.records(planned.relocations(), &programs, &|function| planned.loading.leaves_out(function));
        prediction::compare(planned, session.view(), &mut relocations);
        // Of a kernel that never got to the object nothing is known.
        let types = self.whole.as_ref().and_then(|_| session.types());
        let mut dangers: Vec<DangerRecord> =
            types.map(|kernel| dangers::of_cell(planned, kernel, &self.evidence, &relocations)).unwrap_or_default();
        dangers.extend(dangers::of_forms(planned, &session.view()));
        let externs = self.evidence.externs().to_vec();
        dangers.extend(dangers::of_symbols(planned, &externs));
        let downgrades = self.evidence.downgrades().to_vec();
        let coverage = self.coverage.proof(planned, &self.evidence, &relocations, &session.view());
        let machine = self.had_guest.then(|| self.machine.clone());
        let Cell { object, whole, took, mut notes, kernel_log, loader, upgrade, results, .. } = self;
        let upgrade = planned.upgrade.as_ref().and_then(|planned| {
            let why = whole.as_ref().and_then(|whole| whole.reason.as_deref());
            Some(upgrade::record(planned, upgrade.as_deref()?, why))
        });
        notes.extend(session.modules.notes.iter().cloned());
        let modules = session.modules.records();
        let (kernel_log, missing) = kernel_log.finish();
        is_smooth &= missing.is_empty();
        notes.extend(missing);
        let loader = loader.evidence;
        let outcome = CellOutcome {
            whole,
            relocations,
            dangers,
            externs,
            downgrades,
            loader,
            modules,
            coverage,
            upgrade,
            kernel_log,
            privileges,
            took,
            machine,
            notes,
            tests: None,
        };
        let programs: Option<Vec<ProgramRecord>> = results.into_iter().collect();
        if let (true, Some(programs)) = (is_smooth, programs) {
            session.keep(object, &programs, &outcome);
        }
        session.send(Event::CellDone { kernel: session.kernel, object, outcome: Box::new(outcome) });
    }
}

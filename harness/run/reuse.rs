//! [`KnownCells`] and [`KernelContext::reuse`]: cells that are not run, since an earlier run observed what becomes of them; and what of this
//! run later ones may take.
//!
//! Only what was observed of the object counts: nothing that the harness or the machine is to blame for, no crash, no deadline, nothing that
//! was tried twice.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cell_key::{CellInputs, GuestInputs, ObjectInputs, RunInputs};
use super::kernel::KernelContext;
use super::session::shape_of;
use super::{Isolation, RunContext};
use crate::checksum;
use crate::event::{CellOutcome, Event};
use crate::plan::{PlannedObject, Room};
use crate::record::{Cause, CellRecord, Need, PrivilegesRecord, ProgramRecord, Verdict};
use crate::store::{Kept, KeptCell};
use crate::timestamp;
use crate::vm::{self, GuestShape};

/// What this process is.
const EXECUTABLE: &str = "/proc/self/exe";

/// What cells of a run have in common.
pub(super) struct KnownCells {
    /// For each object what it decides; the inner `None` if it has no key.
    objects: Vec<OnceLock<Option<String>>>,
    /// What the store knew when the run began: what it learns meanwhile may come too late for a verdict.
    knowledge: String,
    /// Whether the store has got more of them.
    has_grown: AtomicBool,
}

impl KnownCells {
    pub(super) fn of(run: &RunContext<'_>) -> KnownCells {
        let objects = run.plan.objects.iter().map(|_| OnceLock::new()).collect();
        KnownCells { objects, knowledge: run.store.knowledge(), has_grown: AtomicBool::new(false) }
    }

    /// Whether the store has got more of them since the run began.
    pub(super) fn has_grown(&self) -> bool {
        self.has_grown.load(Ordering::Relaxed)
    }

    /// Those of a run that keeps none.
    pub(super) fn none() -> KnownCells {
        KnownCells { objects: Vec::new(), knowledge: String::new(), has_grown: AtomicBool::new(false) }
    }

    fn object(&self, run: &RunContext<'_>, object: usize) -> Option<&str> {
        let digest = || {
            let planned = &run.plan.objects[object];
            ObjectInputs::of(planned, run.reach, run.plan.is_compared(planned))?.digest()
        };
        self.objects.get(object)?.get_or_init(digest).as_deref()
    }
}

/// The checksum of this corematrix, which has its guest inside; `None` if it cannot be read.
fn build() -> Option<&'static str> {
    static BUILD: OnceLock<Option<String>> = OnceLock::new();
    BUILD.get_or_init(|| checksum::of_file(EXECUTABLE.as_ref()).ok()).as_deref()
}

impl KernelContext<'_> {
    /// The key of an object's cell; `None` if no other run may take what becomes of it.
    fn cell_key(&self, object: usize, isolation: Isolation) -> Option<String> {
        let run = self.run;
        // Guests that serve one object after the other, and those that someone looks into, prove nothing for others.
        if run.cold {
            return None;
        }
        let planned = &run.plan.objects[object];
        let digest = self.common.cells.object(run, object)?;
        let machine = planned.machine_on(self.spec);
        let room = Room::of(planned, machine.cpus, machine.memory_mib, run.jobs.largest_mib());
        let modules = self.modules_of(object, planned);
        let files = modules.files.clone();
        let shape = GuestShape { modules: files, ..shape_of(self.spec, &machine, room.mib) };
        let stop = || run.stop.at_once();
        let snapshot = vm::snapshot_key(&self.spec.name, &self.machine_spec(&shape, &stop)).ok()?;
        let inputs = RunInputs {
            build: build()?,
            reach: run.reach,
            full_logs: run.full_logs,
            least_privileges: run.plan.least_privileges,
            isolation,
        };
        let guest = GuestInputs { snapshot: &snapshot, machine: &machine, room: &room, modules: &modules };
        CellInputs::of(&inputs, digest, (self.spec, &self.stored.identity), &guest).key()
    }

    /// Takes what an earlier run observed of an object's cell, if this run may and there is something. Returns whether it did.
    pub(super) fn reuse(&self, object: usize) -> bool {
        if !self.run.reuse || self.run.stop.requested() {
            return false;
        }
        let Some(record) = self.observed(object) else { return false };
        let (kernel, notes) = (self.index, self.known_lacks().to_vec());
        self.send(Event::CellReused { kernel, object, record: Box::new(record), notes });
        true
    }

    /// What the store has of a cell. What was observed in a guest of its own can be used by every run.
    fn kept_cell(&self, object: usize) -> Option<KeptCell> {
        let by = |isolation| self.run.store.kept_cell(&self.cell_key(object, isolation)?);
        by(Isolation::Cell).or_else(|| if self.may_share(object) { by(Isolation::Shared) } else { None })
    }

    /// What an earlier run observed of a cell, with its logs in this run's report.
    fn observed(&self, object: usize) -> Option<CellRecord> {
        let planned = &self.run.plan.objects[object];
        if planned.needs_no_guest() {
            return None;
        }
        let KeptCell { observed, knowledge, mut record, logs } = self.kept_cell(object)?;
        let expected = planned.cell(self.spec);
        let named = |cell: &CellRecord| {
            let programs = cell.programs.iter().map(|program| (program.name.clone(), program.section.clone()));
            (cell.kernel.clone(), cell.object.clone(), programs.collect::<Vec<_>>())
        };
        if named(&record) != named(&expected) || logs.len() != record.programs.len() {
            return None;
        }
        // What is not there, for a program or for a guard, may turn up in a module of a kernel that the store has got since.
        let lacks_nothing = record.programs.iter().all(|program| program.verdict.is_pass());
        let rests_on_others = !lacks_nothing || !planned.analysis.guards.is_empty();
        if rests_on_others && knowledge != self.common.cells.knowledge {
            return None;
        }
        for (program, log) in record.programs.iter_mut().zip(logs) {
            let names = [&record.kernel, &record.object, &program.name];
            program.log_file = match log {
                Some(log) => Some(self.run.logs.save(&names, log.as_bytes()).ok()?),
                None => None,
            };
        }
        record.observed = Some(observed);
        Some(record)
    }

    /// Keeps what became of a cell for later runs, if it is an answer about the object; `isolation` is
    /// what separated it from others. Failing to costs them time and nothing else.
    pub(super) fn keep(&self, object: usize, programs: &[ProgramRecord], outcome: &CellOutcome, isolation: Isolation) {
        let planned = &self.run.plan.objects[object];
        let accel = self.run.accelerator.to_string();
        if self.run.stop.requested() || self.view().is_unlearned() || !is_kept(planned, programs, outcome, &accel) {
            return;
        }
        let Some(key) = self.cell_key(object, isolation) else { return };
        let mut record = planned.cell(self.spec);
        record.programs = programs.to_vec();
        outcome.put(&mut record);
        if record.defective_records() > 0 {
            return;
        }
        let read = |program: &ProgramRecord| match &program.log_file {
            // What is no text would come back as something else.
            Some(path) => self.run.logs.read(path).ok().filter(|log| !log.contains('\u{fffd}')).map(Some),
            None => Some(None),
        };
        let Some(logs) = programs.iter().map(read).collect::<Option<Vec<_>>>() else { return };
        let knowledge = self.common.cells.knowledge.clone();
        let kept = KeptCell { observed: timestamp::now(), knowledge, record, logs };
        if let Ok(Kept::Anew) = self.run.store.keep_cell(&key, &kept) {
            self.common.cells.has_grown.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether what became of a cell is an answer about its object, and would be the same at any time.
fn is_kept(planned: &PlannedObject, programs: &[ProgramRecord], outcome: &CellOutcome, accel: &str) -> bool {
    let is_answer = |program: &ProgramRecord| match program.verdict {
        Verdict::Loaded
        | Verdict::FailedToOpen
        | Verdict::MissingBtf
        | Verdict::RelocationFailed
        | Verdict::MapCreationFailed
        | Verdict::AttachTargetMissing
        | Verdict::VerifierRejected
        | Verdict::UnsupportedType
        | Verdict::NotPermitted
        | Verdict::AttachFailed => true,
        // The object's own affair: a value that its loader sets, or its type.
        Verdict::HarnessLimit => {
            let is_further = program.attach.is_some() || program.exercise.is_some();
            !is_further && matches!(program.cause, Some(Cause::IncompleteMapDefinition | Cause::NeedsLoader))
        }
        Verdict::NotRun => planned.loading.leaves_out(&program.name),
        // Whether something ran in time may be up to the machine.
        _ => false,
    };
    // What was looked for and not found out is looked for again.
    let is_known = |privileges: &PrivilegesRecord| {
        let programs = privileges.programs.iter().map(|program| &program.least);
        !programs.chain([&privileges.object]).any(|least| matches!(least.needs, Need::Unknown(_)))
    };
    outcome.machine.is_some()
        && programs.len() == planned.programs.len()
        && programs.iter().all(is_answer)
        && outcome.kernel_log.iter().all(|warning| warning.is_noise(accel))
        && outcome.privileges.as_ref().is_none_or(is_known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

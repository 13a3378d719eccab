//! [`Collector`]: folds events into the record and saves it as results arrive.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event::Event;
use crate::plan::PLANNED;
use crate::record::Verdict;
use crate::record::json;
use crate::record::{KernelState, RunRecord};
use crate::whole_file::{self, WriteError};

/// A run that is killed loses at most this much.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Owns the record of a run. A thread of its own saves it: events may pause for minutes while a program hangs, and what came
/// before the pause has to be on the disk by then.
#[derive(Debug)]
pub struct Collector {
    shared: Arc<Shared>,
    saver: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    record: RunRecord,
    unsaved: bool,
    finished: bool,
    /// Why the last try to save failed, until [`Collector::take`] has reported it.
    failure: Option<WriteError>,
}

impl Collector {
    /// Saves the record as planned, so that a directory that cannot be written to is found before the first boot.
    pub fn new(record: RunRecord, folder: PathBuf) -> Result<Self, WriteError> {
        save(&record, &folder)?;
        let state = State { record, unsaved: false, finished: false, failure: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let saver = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.save_changes(&folder)
        });
        Ok(Collector { shared, saver: Some(saver) })
    }

    /// Takes an event in. An error means that an earlier change could not be saved; this one is taken in nevertheless.
    pub fn take(&mut self, event: &Event) -> Result<(), WriteError> {
        let mut state = self.shared.lock();
        fold(&mut state.record, event);
        state.unsaved = true;
        self.shared.changed.notify_one();
        state.failure.take().map_or(Ok(()), Err)
    }

    /// Marks the record as one of a run that the user stopped.
    pub fn interrupt(&mut self) {
        let mut state = self.shared.lock();
        if !state.record.interrupted {
            state.record.interrupted = true;
            state.unsaved = true;
            self.shared.changed.notify_one();
        }
    }

    /// The record, with its end marked and what only the whole run can show. It is no longer saved: that is up to the reports.
    pub fn finish(mut self, finished: String, interrupted: bool) -> RunRecord {
        self.stop();
        let mut record = self.shared.lock().record.clone();
        if interrupted {
            explain_not_run(&mut record, None, "the run was stopped before this cell");
        }
        super::dangers::settle(&mut record);
        record.finished = Some(finished);
        record.interrupted = interrupted;
        record
    }

    fn stop(&mut self) {
        self.shared.lock().finished = true;
        self.shared.changed.notify_one();
        if let Some(saver) = self.saver.take() {
            // A saver cannot panic, and if it did the record is still here.
            let _ = saver.join();
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the record whenever it has changed, with a pause after each time.
    fn save_changes(&self, folder: &Path) {
        let mut state = self.lock();
        while !state.finished {
            if state.unsaved {
                state.unsaved = false;
                let record = state.record.clone();
                drop(state);
                let failure = save(&record, folder).err();
                state = self.lock();
                if failure.is_some() {
                    state.failure = failure;
                }
                let waited = self.changed.wait_timeout_while(state, SAVE_EVERY, |state| !state.finished);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn save(record: &RunRecord, folder: &Path) -> Result<(), WriteError> {
    whole_file::replace(&folder.join("report.json"), |out| out.write_all(&json::render(record)?))
}

fn fold(record: &mut RunRecord, event: &Event) {
    let kernels = record.kernels.len();
    let cell = |kernel: usize, object: usize| object * kernels + kernel;
    match event {
        Event::KernelReady { kernel, source, identity, notes } => {
            let kernel = &mut record.kernels[*kernel];
            kernel.source.clone_from(source);
            kernel.identity = Some(identity.clone());
            kernel.notes.extend_from_slice(notes);
        }
        Event::Booted { kernel, took, notes } | Event::Restored { kernel, took, notes } => {
            let kernel = &mut record.kernels[*kernel];
            kernel.state = KernelState::Ready;
            let times = match event {
                Event::Restored { .. } => &mut kernel.restore_ms,
                _ => &mut kernel.hello_ms,
            };
            times.push(millis(*took));
            // Every boot of a kernel lacks the same.
            add_new(&mut kernel.notes, notes);
        }
        Event::KernelFailed { kernel, state } => {
            record.kernels[*kernel].state = state.clone();
            let why = match state {
                KernelState::Pending | KernelState::Ready | KernelState::Predicted { .. } => return,
                KernelState::Unavailable { .. } => "the kernel is unavailable",
                KernelState::BootFailed { .. } => "the kernel did not boot",
                KernelState::HarnessFailed { .. } => "no guest could be started",
            };
            explain_not_run(record, Some(*kernel), why);
        }
        Event::KernelPredicted { kernel, source, state } => {
            record.kernels[*kernel].source.clone_from(source);
            record.kernels[*kernel].state = state.clone();
            explain_not_run(record, Some(*kernel), "predicted from BTF: no kernel was booted");
        }
        Event::CellPredicted { kernel, object, prediction, notes } => {
            let cell = &mut record.cells[cell(*kernel, *object)];
            cell.prediction = Some((**prediction).clone());
            cell.notes.extend_from_slice(notes);
        }
        Event::KernelNote { kernel, note } => {
            let notes = &mut record.kernels[*kernel].notes;
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        Event::GuestLost { kernel, reason } => {
            record.kernels[*kernel].notes.push(format!("guest lost: {reason}"));
        }
        Event::ProgramDone { kernel, object, program, record: result } => {
            record.cells[cell(*kernel, *object)].programs[*program] = (**result).clone();
        }
        Event::CellDone { kernel, object, outcome } => {
            outcome.put(&mut record.cells[cell(*kernel, *object)]);
        }
        Event::CellReused { kernel, object, record: observed, notes } => {
            record.cells[cell(*kernel, *object)] = (**observed).clone();
            let kernel = &mut record.kernels[*kernel];
            // It booted in that run.
            if kernel.state == KernelState::Pending {
                kernel.state = KernelState::Ready;
            }
            add_new(&mut kernel.notes, notes);
        }
        Event::Unsaved(_) | Event::Waiting => {}
        Event::Notice(text) => record.notices.push(text.clone()),
        Event::Fetching { .. }
        | Event::Booting { .. }
        | Event::Saved { .. }
        | Event::CellStarted { .. }
        | Event::ProgramStarted { .. }
        | Event::KernelDone { .. } => {}
    }
}

/// Says why programs were not run, on one kernel or on all, where nothing better is known.
fn explain_not_run(record: &mut RunRecord, kernel: Option<usize>, why: &str) {
    let kernels = record.kernels.len();
    let cells = record.cells.iter_mut().enumerate();
    let cells = cells.filter(|(index, _)| kernel.is_none_or(|kernel| index % kernels == kernel));
    for program in cells.flat_map(|(_, cell)| &mut cell.programs) {
        if program.verdict == Verdict::NotRun && program.reason.as_deref() == Some(PLANNED) {
            program.reason = Some(why.to_owned());
        }
    }
}

fn add_new(notes: &mut Vec<String>, more: &[String]) {
    let new: Vec<_> = more.iter().filter(|note| !notes.contains(note)).cloned().collect();
    notes.extend(new);
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::record::sample;

    /// A sample in which no one has run anything.
    fn planned() -> RunRecord {
        let mut record = sample::large(3, 2);
        for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
            program.verdict = Verdict::NotRun;
            program.reason = Some(PLANNED.to_owned());
        }
        record
    }

    fn reason(record: &RunRecord, kernel: usize) -> &str {
        record.cell(0, kernel).programs[0].reason.as_deref().unwrap()
    }

    #[test]
    fn changes_are_saved_although_no_event_follows() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(planned(), folder.path().to_owned()).unwrap();
        for notice in ["first", "second"] {
            collector.take(&Event::Notice(notice.to_owned())).unwrap();
        }
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let saved = crate::record::json::read(&folder.path().join("report.json")).unwrap();
            if saved.notices.iter().any(|notice| notice == "second") {
                break;
            }
            assert!(Instant::now() < end, "{:?}", saved.notices);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_stopped_run_is_marked_before_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut collector = Collector::new(planned(), folder.path().to_owned()).expect("saves");
        collector.interrupt();
        let saved = || crate::record::json::read(&folder.path().join("report.json")).expect("reads").interrupted;
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !saved() {
            assert!(std::time::Instant::now() < end, "the mark was never saved");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn what_a_guest_lacks_is_told_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut collector = Collector::new(planned(), folder.path().to_owned()).expect("saves");
        let notes = vec!["cannot mount tracefs on /sys/kernel/tracing: ENODEV".to_owned()];
        for _ in 0..2 {
            let took = Duration::from_millis(1);
            collector.take(&Event::Booted { kernel: 0, took, notes: notes.clone() }).expect("takes");
        }
        let record = collector.finish("now".to_owned(), false);
        assert_eq!(record.kernels[0].notes, notes);
    }

    #[test]
    fn what_cannot_be_saved_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("report");
        std::fs::create_dir(&target).unwrap();
        let mut collector = Collector::new(planned(), target.clone()).unwrap();
        std::fs::remove_dir_all(&target).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while collector.take(&Event::Notice("told".to_owned())).is_ok() {
            assert!(Instant::now() < end, "the failure was not reported");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(collector.finish("now".to_owned(), false).notices.iter().any(|notice| notice == "told"));
        assert!(Collector::new(planned(), target).is_err());
    }

    #[test]
    fn programs_that_were_not_run_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(planned(), folder.path().to_owned()).unwrap();
        let state = KernelState::BootFailed { reason: "panic".to_owned(), hint: None, console_tail: Vec::new() };
        collector.take(&Event::KernelFailed { kernel: 1, state }).unwrap();
        let record = collector.finish("now".to_owned(), true);
        assert_eq!(reason(&record, 0), "the run was stopped before this cell");
        assert_eq!(reason(&record, 1), "the kernel did not boot");
    }
}

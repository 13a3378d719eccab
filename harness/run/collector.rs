//! [`Collector`]: folds events into the record and saves it as results arrive.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::record::{KernelState, RunRecord};
use crate::report::{self, ReportError};

/// A run that is killed loses at most this much.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Owns the record of a run.
#[derive(Debug)]
pub struct Collector {
    record: RunRecord,
    folder: PathBuf,
    saved: Instant,
}

impl Collector {
    /// Saves the record as planned, so that a folder that cannot be written to is found before the first boot.
    pub fn new(record: RunRecord, folder: PathBuf) -> Result<Self, ReportError> {
        let collector = Collector { record, folder, saved: Instant::now() };
        collector.save()?;
        Ok(collector)
    }

    /// Takes an event in.
    pub fn take(&mut self, event: &Event) -> Result<(), ReportError> {
        self.fold(event);
        if self.saved.elapsed() > SAVE_EVERY {
            self.save()?;
            self.saved = Instant::now();
        }
        Ok(())
    }

    /// The record, with its end marked.
    pub fn finish(mut self, finished: String, interrupted: bool) -> RunRecord {
        self.record.finished = Some(finished);
        self.record.interrupted = interrupted;
        self.record
    }

    fn save(&self) -> Result<(), ReportError> {
        report::json::write(&self.record, &self.folder.join("report.json"))
    }

    fn fold(&mut self, event: &Event) {
        let kernels = self.record.kernels.len();
        let cell = |kernel: usize, object: usize| object * kernels + kernel;
        match event {
            Event::KernelReady { kernel, source, identity, notes } => {
                let kernel = &mut self.record.kernels[*kernel];
                kernel.source.clone_from(source);
                kernel.identity = Some(identity.clone());
                kernel.notes.extend_from_slice(notes);
            }
            Event::Booted { kernel, took } => {
                let kernel = &mut self.record.kernels[*kernel];
                kernel.state = KernelState::Ready;
                kernel.hello_ms.push(millis(*took));
            }
            Event::KernelFailed { kernel, state } => self.record.kernels[*kernel].state = state.clone(),
            Event::GuestLost { kernel, reason } => {
                self.record.kernels[*kernel].notes.push(format!("guest lost: {reason}"));
            }
            Event::ProgramDone { kernel, object, program, record } => {
                self.record.cells[cell(*kernel, *object)].programs[*program] = (**record).clone();
            }
            Event::CellDone { kernel, object, whole, took, notes } => {
                let cell = &mut self.record.cells[cell(*kernel, *object)];
                cell.whole.clone_from(whole);
                cell.wall_ms = millis(*took);
                cell.notes.extend_from_slice(notes);
            }
            Event::Notice(text) => self.record.notices.push(text.clone()),
            Event::Fetching { .. }
            | Event::Booting { .. }
            | Event::CellStarted { .. }
            | Event::ProgramStarted { .. }
            | Event::KernelDone { .. } => {}
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! Guests from snapshots: finding one, making one, restoring from it.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::super::probe_requests::Restorable;
use super::super::standby::GuestOrder;
use super::{Ended, KernelContext, Purpose, Start};
use crate::event::Event;
use crate::store::{Shelf, Snapshot, SnapshotKey, SnapshotPlace};
use crate::vm::{self, GuestShape, Machine, MachineSpec, RestoreFailure};

/// How much is shown of another CPU, of which its features may be known.
const OTHER_CPU_SHOWN: usize = 60;

impl KernelContext<'_> {
    pub(super) fn find_snapshot(&self, shape: &GuestShape) -> Result<Shelf, String> {
        let stop = || self.run.stop.at_once();
        let key =
            vm::snapshot_key(&self.spec.name, &self.machine_spec(shape, &stop)).map_err(|error| error.to_string())?;
        let mut waiting = || {
            let step = "waiting for another run that is booting the same kernel".to_owned();
            self.send(Event::Fetching { kernel: self.index, step });
        };
        let found = self.run.store.snapshot(&key, &mut waiting).map_err(|error| error.to_string())?;
        found.thrown_away.into_iter().for_each(|line| self.note(line));
        let is_missing = matches!(found.shelf, Shelf::Empty(_));
        if is_missing && let Some(other) = self.run.store.snapshots_but_for(&key, vm::SNAPSHOT_CPU).first() {
            let other: String = other.chars().take(OTHER_CPU_SHOWN).collect();
            self.note(format!("the store keeps a snapshot for another CPU: {other}"));
        }
        Ok(found.shelf)
    }

    /// Boots, saves, and starts the first guest from what was saved: that it works is the last proof of a snapshot.
    pub(super) fn boot_and_save(&self, shape: &GuestShape, place: SnapshotPlace) -> Result<Machine, Ended> {
        let machine = self.boot(shape, Purpose::Save)?;
        if machine.shape != *shape {
            // It is for another place, or a guest already.
            return Ok(machine);
        }
        let key = place.key().clone();
        let begin = Instant::now();
        let stop = || self.run.stop.at_once();
        match machine.save(place, self.run.store, self.deadlines.save, &stop) {
            Ok(snapshot) => {
                self.send(Event::Saved { kernel: self.index, took: begin.elapsed() });
                let snapshot = Arc::new(snapshot);
                // What does not fit is useless to this run, so that failing to remove it is no failure.
                let _ = self.run.store.shrink_snapshots(self.run.snapshot_budget);
                self.restore(shape, snapshot, Some(&key))
            }
            Err(_) if stop() => Err(Ended),
            Err(error) => {
                self.run_cold(shape, &error.to_string());
                self.boot(shape, Purpose::Serve)
            }
        }
    }

    /// Starts a guest from a snapshot; one that gives no guest is removed, and the kernel booted.
    /// `fresh` is the key of one that this run has just made.
    pub(super) fn restore(
        &self,
        shape: &GuestShape,
        snapshot: Arc<Snapshot>,
        fresh: Option<&SnapshotKey>,
    ) -> Result<Machine, Ended> {
        let stop = || self.run.stop.at_once();
        let spec = self.machine_spec(shape, &stop);
        let paused = self.run.standby.and_then(|standby| standby.take(&snapshot, shape));
        // One that was lost meanwhile shows nothing.
        let restored = paused
            .and_then(|paused| paused.resume(&spec).ok())
            .map_or_else(|| Machine::restore(&spec, &snapshot), Ok)
            .and_then(|machine| self.unlike(machine))
            .and_then(|machine| Ok(self.proven(machine, &spec)?));
        match restored {
            Ok(machine) => {
                fresh.iter().for_each(|key| self.run.store.snapshot_works(key));
                self.let_another_wait(&spec, &snapshot);
                self.go_warm(shape, snapshot);
                let (took, notes) = (machine.to_hello, machine.notes.clone());
                self.send(Event::Restored { kernel: self.index, took, notes });
                Ok(machine)
            }
            Err(RestoreFailure::Stopped) => Err(Ended),
            Err(RestoreFailure::Failed(reason)) => {
                fresh.iter().for_each(|key| self.run.store.snapshot_failed(key, &reason));
                let first = self.go_cold(shape);
                self.common.wanted.forget(self.index, shape);
                self.run.standby.iter().for_each(|standby| standby.forget(&snapshot));
                // The last one who holds it removes it; the others find out for themselves.
                let removed = Arc::into_inner(snapshot).is_some_and(|snapshot| self.run.store.discard(snapshot));
                let fate = if removed { " and was removed" } else { "" };
                if first {
                    self.note(format!("runs cold: its snapshot could not be restored{fate}: {reason}"));
                } else if removed {
                    self.note("the snapshot that could not be restored was removed".to_owned());
                }
                self.boot(shape, Purpose::Serve)
            }
        }
    }

    /// Lets a guest like this one wait for the next run, if there may be one.
    fn let_another_wait(&self, spec: &MachineSpec<'_>, snapshot: &Arc<Snapshot>) {
        let Some(standby) = self.run.standby else { return };
        standby.know(GuestOrder {
            kernel: spec.name.to_owned(),
            stored: spec.kernel.clone(),
            shape: spec.shape.clone(),
            snapshot: Arc::clone(snapshot),
            tools: spec.tools.clone(),
            accelerator: spec.accelerator,
            deadlines: spec.deadlines,
        });
    }

    /// Lets the other guests start from this snapshot, too, unless one of them has just failed to.
    fn go_warm(&self, shape: &GuestShape, snapshot: Arc<Snapshot>) {
        let mut starts = self.lock_starts();
        let start = starts.entry(shape.clone()).or_default();
        if matches!(*start, Start::Unknown) {
            *start = Start::Warm(Arc::clone(&snapshot));
            // Whoever asks the kernel in the end starts a guest like one of them, but for profiles.
            if shape.append == self.standard.append && self.spec.machine.profiles.is_empty() {
                let (kernel, stored, shape) = (self.index, self.stored.clone(), shape.clone());
                self.common.wanted.keep(Restorable { kernel, stored, shape, snapshot });
            }
        }
    }

    /// Checks that a restored guest is no copy of another: its kernel draws other random numbers.
    fn unlike(&self, machine: Machine) -> Result<Machine, RestoreFailure> {
        let random = machine.woken.map_or(0, |woken| woken.random);
        if self.drawn.lock().unwrap_or_else(PoisonError::into_inner).insert(random) {
            return Ok(machine);
        }
        Err(RestoreFailure::Failed("two guests drew the same random numbers".to_owned()))
    }
}

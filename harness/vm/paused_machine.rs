//! [`PausedMachine`]: a guest that was restored from a snapshot, and stands still until it is needed.

use std::time::Instant;

use super::machine::{Machine, MachineSpec};
use super::qmp::{Limit, Monitor};
use super::restore::RestoreFailure;
use crate::store::Snapshot;

/// A guest that has answered, and whose processors and clock stand still. It takes memory, and no time of this machine's processors.
#[derive(Debug)]
pub struct PausedMachine {
    machine: Machine,
    monitor: Monitor,
}

impl PausedMachine {
    /// Starts a guest as [`Machine::restore`] does, and stops it.
    pub fn restore(spec: &MachineSpec<'_>, snapshot: &Snapshot) -> Result<PausedMachine, RestoreFailure> {
        let (mut machine, monitor) = Machine::restore_with_monitor(spec, snapshot)?;
        let limit = Limit::from(Instant::now(), spec.deadlines.restore);
        machine.with_monitor(&monitor, limit, spec.stop, |qmp| qmp.pause())?;
        Ok(PausedMachine { machine, monitor })
    }

    /// Lets it go on. Its clock is set and its random numbers are reseeded again.
    pub fn resume(self, spec: &MachineSpec<'_>) -> Result<Machine, RestoreFailure> {
        let PausedMachine { mut machine, monitor } = self;
        let begin = Instant::now();
        let limit = Limit::from(begin, spec.deadlines.restore);
        machine.with_monitor(&monitor, limit, spec.stop, |qmp| qmp.run())?;
        let set_to = machine.wake(limit, spec.stop).map_err(RestoreFailure::Failed)?;
        let notes = machine.woken(spec, begin, set_to)?;
        // It may have said the same before.
        machine.notes.extend(notes);
        machine.notes.dedup();
        Ok(machine)
    }
}

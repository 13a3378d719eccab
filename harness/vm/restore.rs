//! Restoring: from a snapshot to a guest that answers, in a fraction of a second.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use rustix::rand::{GetRandomFlags, getrandom};

use super::boot::prepare_scratch;
use super::channel::{Channel, Listeners};
use super::machine::{BootFailure, Machine, MachineSpec};
use super::memory::restore_options;
use super::qmp::Monitor;
use super::snapshot::{RAM, SCRATCH, STATE, SavedMachine};
use crate::process::ChildGroup;
use crate::protocol::HostMessage;
use crate::store::Snapshot;

/// Restoring takes 0.1 to 0.4 s under emulation; one that takes longer than this on a busy machine will never answer.
const RESTORE_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of fresh randomness for a restored guest: what the kernel's generator can hold.
const ENTROPY: usize = 32;

/// Why a snapshot gave no guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreFailure {
    /// The snapshot, QEMU or the host is to blame, as a lowercase fragment.
    Failed(String),
    /// The user wants to stop.
    Stopped,
}

impl Machine {
    /// Starts a guest as it was when it was saved, sets its clock and reseeds its random numbers.
    pub fn restore(spec: &MachineSpec<'_>, snapshot: &Snapshot) -> Result<Machine, RestoreFailure> {
        let failed = |error: &dyn std::fmt::Display| RestoreFailure::Failed(error.to_string());
        let begin = Instant::now();
        let deadline = begin + RESTORE_LIMIT.min(spec.deadline);
        let saved: SavedMachine = serde_json::from_value(snapshot.machine().clone()).map_err(|error| failed(&error))?;
        let scratch = prepare_scratch().map_err(RestoreFailure::from)?;
        // QEMU wants the file, and the guest has long read it.
        fs::write(scratch.path().join("initramfs"), b"\n").map_err(|error| failed(&error))?;
        let listeners = Listeners::bind(scratch.path()).map_err(|error| failed(&error))?;
        let monitor = Monitor::bind(scratch.path()).map_err(|error| failed(&error))?;
        let words = saved
            .command
            .moved(SCRATCH, &scratch.path().display().to_string())
            .with(restore_options(&snapshot.file(RAM), snapshot.length(RAM)))
            .with(["-incoming", "defer", "-S"].map(str::to_owned));
        let child = ChildGroup::spawn(words.command(scratch.path())).map_err(|error| failed(&error))?;
        let (channel, notes) = (Channel::new(listeners), Vec::new());
        let mut machine = Machine { child, channel, scratch, recording: None, notes, to_hello: Duration::ZERO };
        machine.resume(&monitor, snapshot, &saved, deadline, spec.stop)?;
        machine.wait_for_hello(spec, begin, deadline)?;
        Ok(machine)
    }

    fn resume(
        &mut self,
        monitor: &Monitor,
        snapshot: &Snapshot,
        saved: &SavedMachine,
        deadline: Instant,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), RestoreFailure> {
        let mut give_up = || {
            let ended = self.child.wait(Duration::ZERO).map(|status| format!("it ended ({status})"));
            ended.or_else(|| stop().then(|| "stopped".to_owned()))
        };
        let resumed = monitor
            .connect(deadline, &mut give_up)
            .and_then(|mut qmp| qmp.resume_from(&snapshot.file(STATE)))
            .map_err(|error| error.to_string())
            .and_then(|()| self.channel.choose(saved.port, deadline).map_err(|error| error.to_string()))
            .and_then(|()| self.wake().map_err(|error| error.to_string()));
        match resumed {
            Ok(()) => Ok(()),
            Err(_) if stop() => Err(RestoreFailure::Stopped),
            Err(reason) => {
                // QEMU says why on its error output, if at all.
                self.child.end(Duration::ZERO);
                let said = self.child.stderr().text();
                let line = said.lines().rfind(|line| line.starts_with("qemu") && !line.contains("warning"));
                Err(RestoreFailure::Failed(line.map_or(reason, str::to_owned)))
            }
        }
    }

    /// Tells the guest what it has missed.
    fn wake(&mut self) -> std::io::Result<()> {
        let mut entropy = [0; ENTROPY];
        getrandom(&mut entropy, GetRandomFlags::empty())?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let realtime_ns = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        self.channel.send(&HostMessage::Wake { realtime_ns }, &entropy).map_err(std::io::Error::other)
    }
}

impl From<BootFailure> for RestoreFailure {
    fn from(failure: BootFailure) -> Self {
        match failure {
            BootFailure::Kernel { reason, .. } | BootFailure::Harness { reason, .. } => RestoreFailure::Failed(reason),
            BootFailure::Stopped => RestoreFailure::Stopped,
        }
    }
}

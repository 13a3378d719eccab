//! Restoring: from a snapshot to a guest that answers, in a fraction of a second.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use rustix::rand::{GetRandomFlags, getrandom};

use super::boot::prepare_scratch;
use super::channel::{Listeners, Port};
use super::machine::{BootFailure, GuestLink, Machine, MachineSpec};
use super::memory::{Node, restore_options};
use super::qmp::{Limit, Monitor, QmpError};
use super::snapshot::{RAM, SCRATCH, STATE, SavedMachine};
use crate::process::ChildGroup;
use crate::protocol::{GuestMessage, HostMessage};
use crate::store::Snapshot;

/// Bytes of fresh randomness for a restored guest: what the kernel's generator can hold.
const ENTROPY: usize = 32;

/// Nanoseconds by which the two clocks may disagree: the host's own may be adjusted while a guest starts.
const CLOCK_SLACK: u64 = 1_000_000_000;

/// Why a snapshot gave no guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreFailure {
    /// The snapshot, QEMU or the host is to blame, as a lowercase fragment.
    Failed(String),
    /// The user wants to stop.
    Stopped,
}

impl Machine {
    /// Starts a guest as it was when it was saved, sets its clock and reseeds its random numbers.
    pub fn restore(spec: &MachineSpec<'_>, snapshot: &Snapshot) -> Result<Machine, RestoreFailure> {
        Machine::restore_with_monitor(spec, snapshot).map(|(machine, _)| machine)
    }

    /// The same, with the monitor of its QEMU.
    pub(super) fn restore_with_monitor(
        spec: &MachineSpec<'_>,
        snapshot: &Snapshot,
    ) -> Result<(Machine, Monitor), RestoreFailure> {
        let failed = |error: &dyn std::fmt::Display| RestoreFailure::Failed(error.to_string());
        let begin = Instant::now();
        let limit = Limit::from(begin, spec.deadlines.restore);
        let saved: SavedMachine = serde_json::from_value(snapshot.machine().clone()).map_err(|error| failed(&error))?;
        let scratch = prepare_scratch(spec).map_err(RestoreFailure::from)?;
        let listeners = Listeners::bind(scratch.path()).map_err(|error| failed(&error))?;
        let monitor = Monitor::bind(scratch.path()).map_err(|error| failed(&error))?;
        let words = saved
            .command
            .moved(SCRATCH, &scratch.path().display().to_string())
            .with(restore_options(&snapshot.file(RAM), snapshot.length(RAM), &Node::all(spec.shape)))
            .with(monitor.options())
            .with(["-incoming", "defer", "-S"].map(str::to_owned));
        let child = ChildGroup::spawn_showing(words.command(scratch.path()), spec.debug.console.then_some(spec.name))
            .map_err(|error| failed(&error))?;
        let mut machine = Machine::new(child, listeners, scratch, None, spec.shape);
        let set_to = machine.resume(&monitor, snapshot, &saved, limit, spec.stop)?;
        let notes = machine.woken(spec, begin, set_to)?;
        (machine.modules, machine.notes) = (saved.modules, [saved.notes, notes].concat());
        check_rate(&machine.child.stderr().text()).map_err(RestoreFailure::Failed)?;
        Ok((machine, monitor))
    }

    /// Waits until the guest has set its clock to `set_to`, and checks that. Returns what it could not do.
    pub(super) fn woken(
        &mut self,
        spec: &MachineSpec<'_>,
        begin: Instant,
        set_to: u64,
    ) -> Result<Vec<String>, RestoreFailure> {
        let (woken, notes) = match self.first_message(spec, begin, spec.deadlines.restore)? {
            GuestMessage::Woken { woken, notes } => (woken, notes),
            other => return Err(RestoreFailure::Failed(format!("the restored guest sent {}", other.name()))),
        };
        check_clock(woken.realtime_ns, set_to, since_1970()?).map_err(RestoreFailure::Failed)?;
        self.woken = Some(woken);
        Ok(notes)
    }

    /// Returns what the guest's clock was set to.
    fn resume(
        &mut self,
        monitor: &Monitor,
        snapshot: &Snapshot,
        saved: &SavedMachine,
        limit: Limit,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<u64, RestoreFailure> {
        let resumed = self
            .with_monitor(monitor, limit, stop, |qmp| qmp.resume_from(&snapshot.file(STATE)))
            .map_err(|error| error.to_string())
            .and_then(|()| self.choose(saved.port, limit))
            .and_then(|()| self.wake(limit, stop));
        match resumed {
            Ok(set_to) => Ok(set_to),
            Err(_) if stop() => Err(RestoreFailure::Stopped),
            Err(reason) => {
                // QEMU says why on its error output, if at all.
                self.child.end(Duration::ZERO);
                let said = self.child.stderr().text();
                let last = || said.lines().rfind(|line| line.starts_with("qemu") && !line.contains("warning"));
                let line = self.last_words.line().or_else(|| last().map(str::to_owned));
                Err(RestoreFailure::Failed(line.unwrap_or(reason)))
            }
        }
    }

    /// Sends the guest what it has missed; returns the time.
    pub(super) fn wake(&mut self, limit: Limit, stop: &(dyn Fn() -> bool + Sync)) -> Result<u64, String> {
        let mut entropy = [0; ENTROPY];
        getrandom(&mut entropy, GetRandomFlags::empty()).map_err(|error| error.to_string())?;
        let realtime_ns = since_1970().map_err(|error| error.to_string())?;
        let sent = self.send(&HostMessage::Wake { realtime_ns }, &entropy, limit.left(), stop);
        sent.map(|()| realtime_ns).map_err(|loss| loss.to_string())
    }

    /// Listens on the port that the saved guest used.
    fn choose(&mut self, port: Port, limit: Limit) -> Result<(), String> {
        self.channel.choose(port, Instant::now() + limit.left()).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => "QEMU did not connect the guest's port in time".to_owned(),
            _ => error.to_string(),
        })
    }
}

fn since_1970() -> Result<u64, RestoreFailure> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let failed = || RestoreFailure::Failed("this machine's clock is wrong".to_owned());
    clock.ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).ok_or_else(failed)
}

/// A clock that was set to `set_to` shows neither less, nor more than the host's clock does by now.
fn check_clock(guest: u64, set_to: u64, now: u64) -> Result<(), String> {
    let wrong = |distance: u64, way| Err(format!("the guest's clock is {:?} {way}", Duration::from_nanos(distance)));
    match (set_to.checked_sub(guest), guest.checked_sub(now)) {
        (Some(behind), _) if behind > CLOCK_SLACK => wrong(behind, "behind"),
        (_, Some(ahead)) if ahead > CLOCK_SLACK => wrong(ahead, "ahead"),
        _ => Ok(()),
    }
}

/// A guest that counts time by its CPU counts too fast or too slow on one of another rate that cannot pretend to have its own. QEMU lets
/// it run, with a warning.
fn check_rate(errors: &str) -> Result<(), String> {
    match errors.lines().find(|line| line.contains("TSC frequency mismatch")) {
        Some(line) => Err(line.split_once("warning: ").map_or(line, |(_, rest)| rest).to_owned()),
        None => Ok(()),
    }
}

impl From<QmpError> for RestoreFailure {
    fn from(error: QmpError) -> Self {
        RestoreFailure::Failed(error.to_string())
    }
}

impl From<BootFailure> for RestoreFailure {
    fn from(failure: BootFailure) -> Self {
        match failure {
            BootFailure::Stopped => RestoreFailure::Stopped,
            other => RestoreFailure::Failed(other.reason().to_owned()),
        }
    }
}

impl std::fmt::Display for RestoreFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RestoreFailure::Failed(reason) => f.write_str(reason),
            RestoreFailure::Stopped => f.write_str("stopped by the user"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_whose_cpu_counts_at_another_rate_is_not_used() {
        let warning = "qemu-system-x86_64: warning: TSC frequency mismatch between VM (2445404 kHz) and host (3000000 kHz), and TSC scaling unavailable";
        let reason = check_rate(&format!("qemu: warning: other\n{warning}\n")).expect_err("is another rate");
        assert!(reason.starts_with("TSC frequency mismatch between VM (2445404 kHz)"), "{reason}");
        assert_eq!(check_rate("qemu: warning: host doesn't support requested feature: x\n"), Ok(()));
    }

    #[test]
    fn clock_may_show_what_it_was_set_to_and_what_has_passed_since() {
        const SECOND: u64 = 1_000_000_000;
        let (set_to, now) = (1000 * SECOND, 1005 * SECOND);
        for guest in [set_to, set_to + 3 * SECOND, now, now + SECOND / 2, set_to - SECOND / 2] {
            assert_eq!(check_clock(guest, set_to, now), Ok(()));
        }
        assert_eq!(check_clock(940 * SECOND, set_to, now), Err("the guest's clock is 60s behind".to_owned()));
        assert_eq!(check_clock(1010 * SECOND, set_to, now), Err("the guest's clock is 5s ahead".to_owned()));
    }
}

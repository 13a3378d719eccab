//! [`CommandSession`]: one command in one guest, from its start to what it left.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::clock::{Clock, Due, TimeLimits};
use super::files::HostFiles;
use crate::protocol::live::{
    CommandEnd, INPUT_WINDOW, LeftKind, LiveCommand, LiveOrder, LiveReport, Stream, TerminalSize,
};
use crate::protocol::{GuestMessage, HostMessage};
use crate::vm::{GuestLink, GuestLoss};

/// How often an attendant is checked for a new size and the time is looked at.
const SLICE: Duration = Duration::from_millis(100);
/// More of the kernel's log is not kept; the guest sends less.
const MOST_LOG: usize = 4 << 20;
/// Who is there for a command while it runs.
pub trait Attendant {
    /// The command has its root, with these shortcomings, and is about to run.
    fn started(&mut self, notes: &[String]);
    /// The command wrote something.
    fn output(&mut self, stream: Stream, bytes: &[u8]);
    /// Where input comes from; `None` if there is none, or no more.
    fn input(&self) -> Option<BorrowedFd<'_>>;
    /// Reads input, at most so many bytes, without waiting; `None` if there is nothing to read now. Nothing in it is the end.
    fn read(&mut self, most: usize) -> Option<Vec<u8>>;
    /// The size of the terminal, if it has changed.
    fn resized(&mut self) -> Option<TerminalSize>;
    /// The command left something in its directory for that.
    fn left(&mut self, path: &str, kind: LeftKind, bytes: &[u8]);
}

/// What a command needs to run.
#[derive(Debug)]
pub struct CommandSession<'a> {
    command: &'a LiveCommand,
    files: HostFiles,
    modules: &'a [PathBuf],
    limit: Option<Duration>,
    limits: TimeLimits,
}

/// How a command's time in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnding {
    /// It ended by itself, or could not be started.
    Command(CommandEnd),
    /// It was killed since its time was up.
    Deadline,
    /// It never began: the guest could not give it its root.
    NoRoot(String),
    /// The guest was lost while the command ran.
    Lost(GuestLoss),
}

/// All that is known about a command that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedCommand {
    /// How it ended.
    pub ending: CommandEnding,
    /// From when it had its root to its end.
    pub took: Duration,
    /// What the kernel logged meanwhile; the end of the console if the guest was lost.
    pub kernel_log: String,
}

impl<'a> CommandSession<'a> {
    /// A command with the files that it sees, and the modules that the guest's kernel needs for that, in load order. `limit` is how long
    /// the command may run.
    pub fn new(
        command: &'a LiveCommand,
        files: HostFiles,
        modules: &'a [PathBuf],
        limit: Option<Duration>,
    ) -> CommandSession<'a> {
        CommandSession { command, files, modules, limit, limits: TimeLimits::default() }
    }

    /// Runs the command to its end. The guest is of no use afterwards: it has lived.
    pub fn run(
        mut self,
        machine: &mut dyn GuestLink,
        attendant: &mut dyn Attendant,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> FinishedCommand {
        let mut clock = Clock::new(self.limits, self.limit, Instant::now());
        let mut end = None;
        let result = self.attend(machine, attendant, stop, &mut clock, &mut end);
        let took = clock.took(Instant::now());
        match result {
            Ok(mut log) => {
                log.truncate(MOST_LOG);
                let ending = match (clock.was_killed(), end) {
                    (true, _) => CommandEnding::Deadline,
                    (false, Some(ending)) => ending,
                    (false, None) => {
                        CommandEnding::Lost(GuestLoss::Harness("the guest did not report how the command ended".into()))
                    }
                };
                FinishedCommand { ending, took, kernel_log: String::from_utf8_lossy(&log).into_owned() }
            }
            Err(loss) => FinishedCommand {
                ending: CommandEnding::Lost(loss),
                took,
                kernel_log: machine.console_tail().join("\n"),
            },
        }
    }

    /// Serves the guest until it has sent its last report, the kernel's log.
    fn attend(
        &mut self,
        machine: &mut dyn GuestLink,
        attendant: &mut dyn Attendant,
        stop: &(dyn Fn() -> bool + Sync),
        clock: &mut Clock,
        end: &mut Option<CommandEnding>,
    ) -> Result<Vec<u8>, GuestLoss> {
        let patience = self.limits.patience;
        let order = |machine: &mut dyn GuestLink, order: LiveOrder, blob: &[u8]| {
            machine.send(&HostMessage::Live(order), blob, patience, stop)
        };
        for module in self.modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = std::fs::read(module)
                .map_err(|error| GuestLoss::Harness(format!("cannot read `{}`: {error}", module.display())))?;
            order(machine, LiveOrder::Module { name }, &bytes)?;
        }
        order(machine, LiveOrder::Begin(self.command.clone()), &[])?;
        *clock = Clock::new(self.limits, self.limit, Instant::now());
        let mut on_its_way = 0;
        let mut input_ended = attendant.input().is_none();
        if input_ended {
            order(machine, LiveOrder::Input, &[])?;
        }
        loop {
            let wants_input = !input_ended && on_its_way < INPUT_WINDOW;
            let beside = attendant.input().filter(|_| wants_input);
            let received = machine.attend(SLICE, stop, beside)?;
            if let Some(size) = attendant.resized() {
                order(machine, LiveOrder::Resize(size), &[])?;
            }
            if wants_input && let Some(bytes) = attendant.read(INPUT_WINDOW - on_its_way) {
                on_its_way += bytes.len();
                input_ended = bytes.is_empty();
                order(machine, LiveOrder::Input, &bytes)?;
            }
            let Some((message, blob)) = received else {
                self.mind_the_time(machine, clock, stop)?;
                continue;
            };
            let now = Instant::now();
            clock.heard(blob.len(), now);
            match message {
                GuestMessage::Live(LiveReport::Asked) => {
                    if let Some(answer) = self.files.answer(&blob) {
                        order(machine, LiveOrder::Answer, &answer)?;
                    }
                }
                GuestMessage::Live(LiveReport::Started { notes }) => {
                    if !clock.begin(now) {
                        return Err(GuestLoss::Harness("the guest started the command twice".to_owned()));
                    }
                    attendant.started(&notes);
                }
                GuestMessage::Live(LiveReport::NoRoot { reason }) => {
                    clock.end(now);
                    end.get_or_insert(CommandEnding::NoRoot(reason));
                }
                GuestMessage::Live(LiveReport::Output { stream }) => attendant.output(stream, &blob),
                GuestMessage::Live(LiveReport::Took { bytes }) => on_its_way = on_its_way.saturating_sub(bytes),
                GuestMessage::Live(LiveReport::Ended(how)) => {
                    clock.end(now);
                    end.get_or_insert(CommandEnding::Command(how));
                }
                GuestMessage::Live(LiveReport::Left { path, kind }) => attendant.left(&path, kind, &blob),
                GuestMessage::Live(LiveReport::KernelLog) => return Ok(blob),
                GuestMessage::Failed { reason } => return Err(GuestLoss::Harness(reason)),
                other => {
                    return Err(GuestLoss::Harness(format!(
                        "the guest sent {} while a command was running",
                        other.name()
                    )));
                }
            }
            self.mind_the_time(machine, clock, stop)?;
        }
    }

    /// Kills a command whose time is up, and gives up a guest that does not obey or come to an end.
    fn mind_the_time(
        &self,
        machine: &mut dyn GuestLink,
        clock: &mut Clock,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), GuestLoss> {
        let TimeLimits { patience, to_start, .. } = self.limits;
        let endless = |what: String| Err(GuestLoss::Harness(format!("the guest keeps sending data, and {what}")));
        match clock.due(Instant::now()) {
            Due::Nothing => Ok(()),
            Due::Kill => machine.send(&HostMessage::Live(LiveOrder::Kill), &[], patience, stop),
            Due::Silent => Err(machine.silence()),
            Due::NotStarted => endless(format!("did not start the command within {}s", to_start.as_secs())),
            Due::NotKilled => endless(format!("did not kill the command within {}s", patience.as_secs())),
            Due::NotThrough => endless("did not finish copying the command's output".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

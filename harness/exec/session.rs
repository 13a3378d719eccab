//! [`Session`]: one command in one guest, from its start to what it left.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files::HostFiles;
use crate::live::{CommandEnd, INPUT_WINDOW, LeftKind, LiveCommand, LiveOrder, LiveReport, Stream, TerminalSize};
use crate::protocol::{GuestMessage, HostMessage};
use crate::vm::{GuestLoss, Machine};

/// How often an attendant is asked for a new size and the time is looked at.
const SLICE: Duration = Duration::from_millis(100);
/// How long a guest may take to do what it is told, under emulation, too.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// The command left something in its folder for that.
    fn left(&mut self, path: &str, kind: LeftKind, bytes: &[u8]);
}

/// What a command needs to run.
#[derive(Debug)]
pub struct Session<'a> {
    /// The command.
    pub command: &'a LiveCommand,
    /// The files that it sees.
    pub files: HostFiles,
    /// Modules that the guest's kernel needs for that, in load order.
    pub modules: &'a [PathBuf],
    /// How long the command may run.
    pub limit: Option<Duration>,
}

/// How a command's time in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself, or could not be started.
    Command(CommandEnd),
    /// It was killed since its time was up.
    Deadline,
    /// It never began: the guest could not give it its root.
    NoRoot(String),
    /// The guest was lost while the command ran.
    Lost(GuestLoss),
}

/// All that is known of a command that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// From when it had its root to its end.
    pub took: Duration,
    /// What the kernel logged meanwhile; the end of the console if the guest was lost.
    pub kernel_log: String,
}

impl Session<'_> {
    /// Runs the command to its end. The guest is of no use afterwards: it has lived.
    pub fn run(
        mut self,
        machine: &mut Machine,
        attendant: &mut dyn Attendant,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Finished {
        let mut known = Known { begun: Instant::now(), end: None, killed: None };
        match self.attend(machine, attendant, stop, &mut known) {
            Ok(log) => {
                let took = known.end_of_run().saturating_duration_since(known.begun);
                let ending = match (known.killed, known.end) {
                    (Some(_), _) => Ending::Deadline,
                    (None, Some((ending, _))) => ending,
                    (None, None) => {
                        Ending::Lost(GuestLoss::Harness("the guest did not say how the command ended".into()))
                    }
                };
                Finished { ending, took, kernel_log: String::from_utf8_lossy(&log).into_owned() }
            }
            Err(loss) => {
                let took = known.begun.elapsed();
                Finished { ending: Ending::Lost(loss), took, kernel_log: machine.console_tail().join("\n") }
            }
        }
    }
}

/// What is known so far.
struct Known {
    begun: Instant,
    end: Option<(Ending, Instant)>,
    /// When it was killed.
    killed: Option<Instant>,
}

impl Known {
    fn end_of_run(&self) -> Instant {
        self.killed.or(self.end.as_ref().map(|(_, at)| *at)).unwrap_or_else(Instant::now)
    }
}

impl Session<'_> {
    fn attend(
        &mut self,
        machine: &mut Machine,
        attendant: &mut dyn Attendant,
        stop: &(dyn Fn() -> bool + Sync),
        known: &mut Known,
    ) -> Result<Vec<u8>, GuestLoss> {
        let order = |machine: &mut Machine, order: LiveOrder, blob: &[u8]| {
            machine.send(&HostMessage::Live(order), blob, PATIENCE, stop)
        };
        for module in self.modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = std::fs::read(module)
                .map_err(|error| GuestLoss::Harness(format!("cannot read `{}`: {error}", module.display())))?;
            order(machine, LiveOrder::Module { name }, &bytes)?;
        }
        order(machine, LiveOrder::Begin(self.command.clone()), &[])?;
        let (mut on_its_way, mut heard, mut has_begun) = (0, Instant::now(), false);
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
                self.mind_the_time(machine, known, heard, has_begun, stop)?;
                continue;
            };
            heard = Instant::now();
            match message {
                GuestMessage::Live(LiveReport::Asked) => {
                    if let Some(answer) = self.files.answer(&blob) {
                        order(machine, LiveOrder::Answer, &answer)?;
                    }
                }
                GuestMessage::Live(LiveReport::Started { notes }) => {
                    (known.begun, has_begun) = (Instant::now(), true);
                    attendant.started(&notes);
                }
                GuestMessage::Live(LiveReport::NoRoot { reason }) => {
                    known.end.get_or_insert((Ending::NoRoot(reason), Instant::now()));
                }
                GuestMessage::Live(LiveReport::Output { stream }) => attendant.output(stream, &blob),
                GuestMessage::Live(LiveReport::Took { bytes }) => on_its_way = on_its_way.saturating_sub(bytes),
                GuestMessage::Live(LiveReport::Ended(end)) => {
                    known.end.get_or_insert((Ending::Command(end), Instant::now()));
                }
                GuestMessage::Live(LiveReport::Left { path, kind }) => attendant.left(&path, kind, &blob),
                GuestMessage::Live(LiveReport::KernelLog) => return Ok(blob),
                GuestMessage::Failed { reason } => return Err(GuestLoss::Harness(reason)),
                other => {
                    return Err(GuestLoss::Harness(format!("the guest said {} while a command runs", other.name())));
                }
            }
            self.mind_the_time(machine, known, heard, has_begun, stop)?;
        }
    }

    /// Kills a command whose time is up, and gives up a guest that does not obey.
    fn mind_the_time(
        &self,
        machine: &mut Machine,
        known: &mut Known,
        heard: Instant,
        has_begun: bool,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), GuestLoss> {
        let is_over = known.end.is_some();
        let overdue = self.limit.is_some_and(|limit| known.begun.elapsed() > limit);
        if overdue && has_begun && !is_over && known.killed.is_none() {
            known.killed = Some(Instant::now());
            return machine.send(&HostMessage::Live(LiveOrder::Kill), &[], PATIENCE, stop);
        }
        let must_speak = is_over || known.killed.is_some() || !has_begun;
        match must_speak && heard.elapsed() > PATIENCE {
            true => Err(machine.silence()),
            false => Ok(()),
        }
    }
}

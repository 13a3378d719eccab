//! `corematrix shell`: an interactive shell in one kernel, on the host's files.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::SIGWINCH;

use super::debug::DebugArgs;
use super::exec::{GivenArgs, environment};
use super::failure::Failure;
use super::{Common, MachineArgs, run, say};
use crate::event::Event;
use crate::exec::{Attendant, CommandEnding, CommandSession, HostFiles, LeftError, OutputFiles};
use crate::matrix::{Matrix, Project};
use crate::plan::Plan;
use crate::protocol::live::{self, CommandEnd, LeftKind, LiveCommand, Stream, TerminalSize};
use crate::record::KernelState;
use crate::record::exit_code;
use crate::run::{Guest, Logs, RunContext, Stop};
use crate::suite::Settings;
use crate::vm::{Choice, GuestLoss};

/// Ctrl-], as telnet has it: three of them end a guest that does not answer any more.
const ESCAPE: u8 = 0x1d;
/// How many of them, one after the other.
const ESCAPES: u32 = 3;

#[derive(Debug, Args)]
pub(super) struct ShellArgs {
    /// The kernel: a name such as 6.12, or latest.
    #[arg(value_name = "KERNEL")]
    kernel: String,
    /// An object to have at hand: its path is in `$OBJECT`.
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    #[command(flatten)]
    given: GivenArgs,
    /// Take out what is put into `$OUT`, to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What runs the guest's code; auto takes KVM if a boot proves that it works, kvm fails where it cannot be used.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// Do without the network: take only a kernel that the store has.
    #[arg(long)]
    offline: bool,
    /// Boot the guest instead of restoring it from a snapshot.
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    debug: DebugArgs,
}

pub(super) fn run(common: &Common, args: &ShellArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let machine = MachineArgs { kernel: vec![args.kernel.clone()], accel: args.accel, offline: args.offline };
    let kernels = project.kernels(&machine.kernel)?;
    if kernels.len() != 1 {
        let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let hint = Some(format!("choose one of {}", names.join(", ")));
        return Err(Failure::input(format!("`{}` is more than one kernel", args.kernel), hint));
    }
    let object = args.object.as_deref().map(absolute_file).transpose()?;
    let given = args.given.look_up(object.iter().map(PathBuf::from).collect())?;
    let left =
        args.out.clone().map(OutputFiles::new).transpose().map_err(|error: LeftError| Failure::input(error, None))?;
    project.tools()?;
    let screen = Screen::open()?;
    // A terminal sends Ctrl-C to the guest; a signal from elsewhere ends it.
    let stop = Stop::at_first_signal(|line| eprintln!("{line}")).map_err(run::no_signals)?;

    let mut options = machine.options()?;
    (options.jobs, options.cold, options.debug) = (NonZero::new(1), args.cold, args.debug.options());
    let matrix = Matrix::new(&project, options).stopped_by(stop.clone());
    let plan = Plan::new(kernels, Vec::new(), &Settings::default());
    matrix.accelerator(&plan.kernels, &say)?;
    let (jobs, logs) = (matrix.jobs(&plan), Logs::new(project.store.root()));
    let context = matrix.run_context(&plan, &jobs, &logs)?;
    let Guest { mut machine, file_systems } = start(&context, args.debug)?;
    let mut more = vec![(live::KERNEL, plan.kernels[0].name.clone())];
    more.extend(object.map(|path| ("OBJECT", path)));
    more.extend(std::env::var("TERM").ok().filter(|_| screen.size.is_some()).map(|term| ("TERM", term)));
    let command = LiveCommand {
        words: vec![shell(screen.size.is_some())],
        environment: environment(&given, &more),
        folder: given.folder,
        given: given.given,
        terminal: screen.size,
        exercise: false,
    };
    let files = HostFiles::new(given.view)
        .map_err(|error| Failure::infrastructure(format!("cannot open `/`: {error}"), None))?;
    let session = CommandSession::new(&command, files, &file_systems.modules, None);
    let mut user = User::new(screen, left, stop.clone())?;
    let finished = session.run(&mut machine, &mut user, &|| stop.at_once());
    // The terminal is the user's again before anything is said.
    user.leave();
    drop(machine);
    match finished.ending {
        CommandEnding::Command(CommandEnd::Code { code }) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        // As shells tell it.
        CommandEnding::Command(CommandEnd::Signal { signal }) => {
            Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))
        }
        CommandEnding::Command(CommandEnd::NotStarted { errno }) => {
            let error = std::io::Error::from_raw_os_error(errno);
            Err(Failure::infrastructure(format!("cannot start `{}` in the guest: {error}", command.words[0]), None))
        }
        CommandEnding::NoRoot(reason) => {
            let hint = file_systems.trouble.map(|trouble| format!("its modules could not be had: {trouble}"));
            Err(Failure::infrastructure(reason, hint))
        }
        CommandEnding::Deadline => Err(Failure::infrastructure("the guest was killed", None)),
        CommandEnding::Lost(GuestLoss::Stopped) => Ok(ExitCode::from(exit_code::INTERRUPTED)),
        CommandEnding::Lost(loss) => {
            let reason = match loss {
                GuestLoss::Crashed(line) => format!("the kernel crashed: {line}"),
                GuestLoss::Silent => "the guest does not answer any more".to_owned(),
                GuestLoss::Harness(reason) => reason,
                GuestLoss::Stopped => "stopped".to_owned(),
            };
            finished.kernel_log.lines().for_each(|line| eprintln!("  | {line}"));
            Err(Failure::infrastructure(reason, None))
        }
    }
}

/// The user's own shell where one types, the system's for a script.
fn shell(is_interactive: bool) -> String {
    let own = std::env::var("SHELL").ok().filter(|shell| is_interactive && Path::new(shell).is_file());
    own.unwrap_or_else(|| "/bin/sh".to_owned())
}

fn absolute_file(path: &Path) -> Result<String, Failure> {
    let found = path
        .canonicalize()
        .map_err(|error| Failure::input(format!("cannot use the object `{}`: {error}", path.display()), None))?;
    found
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::input(format!("the name of `{}` is not UTF-8", path.display()), None))
}

/// Starts the guest, telling what takes time.
fn start(context: &RunContext<'_>, debug: DebugArgs) -> Result<Guest, Failure> {
    let (sender, events) = mpsc::channel();
    let mut phases = debug.phases(&[context.plan.kernels[0].name.clone()], &[]);
    let teller = std::thread::spawn(move || {
        let mut failed = None;
        for event in events {
            if let Some(phases) = &mut phases {
                phases.on(&event);
                if !matches!(event, Event::KernelFailed { .. }) {
                    continue;
                }
            }
            match event {
                Event::Fetching { step, .. } => eprintln!("{step}"),
                Event::Booting { .. } => eprintln!("booting"),
                Event::KernelNote { note, .. } => eprintln!("note: {note}"),
                Event::KernelFailed { state, .. } => failed = Some(state),
                _ => {}
            }
        }
        failed
    });
    // QEMU dies with the thread that starts it, so it is this one.
    let guest = crate::run::start_guest(context, 0, &sender);
    drop(sender);
    let failed = teller.join().ok().flatten();
    guest.ok_or_else(|| match failed {
        Some(
            KernelState::Unavailable { reason, hint }
            | KernelState::BootFailed { reason, hint, .. }
            | KernelState::HarnessFailed { reason, hint, .. },
        ) => Failure::infrastructure(format!("kernel `{}`: {reason}", context.plan.kernels[0].name), hint),
        _ => Failure::interrupted(),
    })
}

/// The terminal, if there is one, in the state in which each key goes to the guest.
struct Screen {
    /// `None` if standard input or output is no terminal.
    size: Option<TerminalSize>,
    /// How the terminal was.
    before: Option<Termios>,
}

impl Screen {
    fn open() -> Result<Screen, Failure> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Screen { size: None, before: None });
        }
        Ok(Screen { size: Some(size()), before: None })
    }

    /// Hands each key on as it is.
    fn make_raw(&mut self) -> std::io::Result<()> {
        if self.size.is_some() {
            let before = tcgetattr(std::io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            self.before = Some(before);
            tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw)?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // There is nobody left to tell.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &before);
        }
    }
}

fn size() -> TerminalSize {
    let found = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    found
        .map_or(TerminalSize { rows: 24, columns: 80 }, |size| TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Who sits at the terminal, or the script on standard input.
struct User {
    screen: Screen,
    input: File,
    resized: Arc<AtomicBool>,
    escapes: u32,
    stop: Stop,
    left: Option<OutputFiles>,
}

impl User {
    fn new(screen: Screen, left: Option<OutputFiles>, stop: Stop) -> Result<User, Failure> {
        let no_input =
            |error: std::io::Error| Failure::infrastructure(format!("cannot read standard input: {error}"), None);
        let resized = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGWINCH, Arc::clone(&resized)).map_err(no_input)?;
        let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(no_input)?;
        Ok(User { screen, input: input.into(), resized, escapes: 0, stop, left })
    }

    /// Gives the terminal back and says what could not be done.
    fn leave(self) {
        drop(self.screen);
        for note in self.left.iter().flat_map(|left| left.notes()) {
            eprintln!("warning: {note}");
        }
    }

    /// Ends the guest by force after some Ctrl-], one after the other.
    fn mind_escapes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.escapes = if *byte == ESCAPE { self.escapes + 1 } else { 0 };
            if self.escapes == ESCAPES {
                self.stop.ask();
                self.stop.ask();
            }
        }
    }
}

impl Attendant for User {
    fn started(&mut self, notes: &[String]) {
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        if self.screen.size.is_some() {
            eprintln!(
                "the host's files are a view: nothing written here reaches them; `exit` leaves, Ctrl-] three times kills the guest"
            );
        }
        if let Err(error) = self.screen.make_raw() {
            eprintln!("warning: the terminal stays as it is: {error}");
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        // Who closed the output does not want it.
        let _ = match stream {
            Stream::Out => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Stream::Error => std::io::stderr().write_all(bytes),
        };
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        Some(self.input.as_fd())
    }

    fn read(&mut self, most: usize) -> Option<Vec<u8>> {
        let mut ready = [PollFd::new(&self.input, PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
            return None;
        }
        let mut bytes = vec![0; most.min(4096)];
        // What cannot be read has ended.
        let read = self.input.read(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        if self.screen.size.is_some() {
            self.mind_escapes(&bytes);
        }
        Some(bytes)
    }

    fn resized(&mut self) -> Option<TerminalSize> {
        (self.screen.size.is_some() && self.resized.swap(false, Ordering::Relaxed)).then(size)
    }

    fn left(&mut self, path: &str, kind: LeftKind, bytes: &[u8]) {
        if let Some(left) = &mut self.left {
            left.take(path, kind, bytes);
        }
    }
}

//! One kernel: input, output and the end of the executable go through as they are.

use std::io::IsTerminal;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{CANNOT_RUN, NOT_FOUND, TIMED_OUT, TROUBLE, TestCommand, tell};
use crate::cli::attended::{self, Screen, User};
use crate::cli::failure::Failure;
use crate::cli::run::no_signals;
use crate::event::Event;
use crate::exec::{CommandEnding, CommandSession, FinishedCommand, HostFiles, View};
use crate::manifest::KernelSpec;
use crate::matrix::{Matrix, Options, Project};
use crate::output;
use crate::plan::Plan;
use crate::protocol::live::CommandEnd;
use crate::record::{Verdict, exit_code};
use crate::run::{self, Guest, Logs, Stop};
use crate::suite::Settings;
use crate::vm::GuestLoss;

/// A guest that is lost before the command has begun is replaced once: nothing was read or written yet.
const ATTEMPTS: u32 = 2;
/// Lines of the console that are shown of a kernel that crashed.
const CONSOLE_LINES: usize = 30;

pub(super) fn run(
    project: &Project,
    options: Options,
    kernels: Vec<KernelSpec>,
    command: &TestCommand,
) -> Result<ExitCode, Failure> {
    let stop = Stop::at_first_signal(|_| ()).map_err(no_signals)?;
    let options = Options { jobs: std::num::NonZero::new(1), ..options };
    let matrix = Matrix::new(project, options).stopped_by(stop.clone());
    let plan = Plan::new(kernels, Vec::new(), &Settings::default());
    let name = &plan.kernels[0].name;
    let steps = |step: String| {
        if std::io::stderr().is_terminal() {
            tell(step);
        }
    };
    matrix.accelerator(&plan.kernels, &steps)?;
    let (jobs, logs) = (matrix.jobs(), Logs::new(project.store.root()));
    let context = matrix.run_context(&plan, &jobs, &logs)?;
    let live = command.live(Some(name))?;
    let limit = command.settings.timeout;
    for attempt in 1.. {
        let step = move |event: &Event| {
            if let Event::Fetching { step, .. } = event {
                steps(step.clone());
            }
        };
        let Guest { mut machine, file_systems } = attended::start(&context, step)?;
        let memory_mib = machine.shape.memory_mib;
        let files = HostFiles::new(View::Everything)
            .map_err(|error| Failure::infrastructure(format!("cannot open `/`: {error}"), None))?;
        let mut user = User::new(Screen::none(), None, stop.clone())?;
        let session = CommandSession::new(&live, files, &file_systems.modules, limit);
        let finished = session.run(&mut machine, &mut user, &|| stop.at_once());
        drop(machine);
        let is_lost = matches!(&finished.ending, CommandEnding::Lost(loss) if *loss != GuestLoss::Stopped);
        if is_lost && !user.began && attempt < ATTEMPTS {
            continue;
        }
        let mut notes = user.notes;
        notes.extend(file_systems.trouble.map(|trouble| format!("its modules cannot be fetched: {trouble}")));
        return conclude(&finished, &End { kernel: name, memory_mib, notes, command });
    }
    Ok(ExitCode::from(TROUBLE))
}

/// What is known at the end beside how it came.
struct End<'a> {
    kernel: &'a str,
    memory_mib: u64,
    notes: Vec<String>,
    command: &'a TestCommand,
}

fn conclude(finished: &FinishedCommand, end: &End<'_>) -> Result<ExitCode, Failure> {
    let End { kernel, command, .. } = end;
    output::finish()
        .map_err(|error| Failure::infrastructure(format!("cannot write to standard output: {error}"), None))?;
    let (warnings, _) = run::complaints(finished, &command.words[0]);
    for warning in warnings {
        tell(format_args!("kernel `{kernel}` complained: {}", warning.headline));
    }
    if finished.ending == CommandEnding::Command(CommandEnd::Code { code: 0 }) {
        return Ok(ExitCode::SUCCESS);
    }
    end.notes.iter().for_each(|note| tell(format_args!("note: {note}")));
    let judged = run::command_verdict(finished, command.settings.timeout, end.memory_mib, &[]);
    let reason = judged.reason.unwrap_or_default();
    let say = |hint: Option<&str>| {
        tell(format_args!("error: `{}` on {kernel}: {reason}", command.words[0]));
        hint.into_iter().for_each(|hint| tell(format_args!("hint: {hint}")));
    };
    let code = match (judged.verdict, &finished.ending) {
        (Verdict::CommandFailed, CommandEnding::Command(CommandEnd::Code { code })) => {
            u8::try_from(*code).unwrap_or(u8::MAX)
        }
        (Verdict::CommandFailed, CommandEnding::Command(CommandEnd::Signal { signal })) => die_by(*signal),
        (Verdict::CommandFailed, CommandEnding::Command(CommandEnd::NotStarted { errno })) => {
            say(None);
            if *errno == libc::ENOENT { NOT_FOUND } else { CANNOT_RUN }
        }
        (Verdict::TimedOut, _) => {
            say(None);
            TIMED_OUT
        }
        (Verdict::KernelCrashed, _) => {
            let lines: Vec<&str> = finished.kernel_log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(CONSOLE_LINES)..];
            tail.iter().for_each(|line| tell(format_args!("  | {line}")));
            say(Some(
                "the crash was seen once and may be random; `corematrix exec` repeats it before it blames the \
    kernel",
            ));
            exit_code::PROGRAM_FAILED
        }
        (Verdict::HarnessLimit, _) => {
            say(Some("give the kernel more `memory` in `kernels.toml`"));
            TROUBLE
        }
        (Verdict::NotRun, _) => exit_code::INTERRUPTED,
        _ => {
            say(None);
            TROUBLE
        }
    };
    Ok(ExitCode::from(code))
}

/// Ends this process by the signal that ended the command, so that whoever waits sees the same; returns the code of shells if it lives.
fn die_by(signal: i32) -> u8 {
    // The dump would be of this process, which has done nothing wrong.
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    let _ = setrlimit(Resource::Core, limit);
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

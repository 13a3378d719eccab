//! `corematrix shell`: an interactive shell in one kernel, on the host's files.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::attended::{self, Screen, User};
use super::debug::DebugArgs;
use super::exec::{GivenArgs, environment};
use super::failure::Failure;
use super::guest_machine::GuestMachineArgs;
use super::{Common, MachineArgs, run, say};
use crate::event::Event;
use crate::exec::{CommandEnding, CommandSession, HostFiles, LeftError, OutputFiles};
use crate::matrix::{Matrix, Project};
use crate::plan::Plan;
use crate::protocol::live::{self, CommandEnd, LiveCommand};
use crate::record::exit_code;
use crate::run::{Guest, Logs, Stop};
use crate::suite::Settings;
use crate::vm::{Choice, GuestLoss};

#[derive(Debug, Args)]
pub(super) struct ShellArgs {
    /// Kernel: a name such as 6.12, or `latest`.
    #[arg(value_name = "KERNEL")]
    kernel: String,
    /// Make this object available in the guest; `$OBJECT` holds its path.
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    #[command(flatten)]
    guest: GuestMachineArgs,
    #[command(flatten)]
    given: GivenArgs,
    /// Copy the files that are written to `$OUT` into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Choose how guest code runs.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// Use no network: take only a kernel that is stored.
    #[arg(long)]
    offline: bool,
    /// Load these kernel modules, by name or by path of a `.ko` file [default: those of the manifest].
    #[arg(long, value_name = "MODULE", value_delimiter = ',')]
    modules: Vec<String>,
    /// Boot the guest; do not restore it from a snapshot.
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    debug: DebugArgs,
}

pub(super) fn run(common: &Common, args: &ShellArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let machine = MachineArgs {
        kernel: vec![args.kernel.clone()],
        accel: args.accel,
        offline: args.offline,
        modules: args.modules.clone(),
    };
    project.learn_builds(&machine.kernel, machine.offline, &say)?;
    let kernels = project.with_machines(project.kernels(&machine.kernel)?, &args.guest.options())?;
    if kernels.len() != 1 {
        let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let hint = Some(format!("choose one of {}", names.join(", ")));
        return Err(Failure::input(format!("`{}` matches several kernels", args.kernel), hint));
    }
    let object = args.object.as_deref().map(absolute_file).transpose()?;
    let given = args.given.look_up(object.iter().map(PathBuf::from).collect())?;
    let left =
        args.out.clone().map(OutputFiles::new).transpose().map_err(|error: LeftError| Failure::input(error, None))?;
    project.tools()?;
    let screen = Screen::open();
    // A terminal sends Ctrl-C to the guest; a signal from elsewhere ends it.
    let stop = Stop::at_first_signal(|line| eprintln!("{line}")).map_err(run::no_signals)?;

    let mut options = machine.options()?;
    (options.jobs, options.cold, options.debug) = (NonZero::new(1), args.cold, args.debug.options());
    let matrix = Matrix::new(&project, options).stopped_by(stop.clone());
    let plan = Plan::new(kernels, Vec::new(), &Settings::default());
    matrix.accelerator(&plan.kernels, &say)?;
    let (jobs, logs) = (matrix.jobs(), Logs::new(project.store.root()));
    let context = matrix.run_context(&plan, &jobs, &logs)?;
    let mut phases = args.debug.phases(&[plan.kernels[0].name.clone()], &[]);
    let tell = move |event: &Event| match (&mut phases, event) {
        (Some(phases), event) => phases.on(event),
        (None, Event::Fetching { step, .. }) => eprintln!("{step}"),
        (None, Event::Booting { .. }) => eprintln!("booting"),
        (None, Event::KernelNote { note, .. }) => eprintln!("note: {note}"),
        _ => {}
    };
    let Guest { mut machine, file_systems } = attended::start(&context, tell)?;
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
        // As shells say it.
        CommandEnding::Command(CommandEnd::Signal { signal }) => {
            Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))
        }
        CommandEnding::Command(CommandEnd::NotStarted { errno }) => {
            let error = std::io::Error::from_raw_os_error(errno);
            Err(Failure::infrastructure(format!("cannot start `{}` in the guest: {error}", command.words[0]), None))
        }
        CommandEnding::NoRoot(reason) => {
            let hint = file_systems.trouble.map(|trouble| format!("its modules cannot be fetched: {trouble}"));
            Err(Failure::infrastructure(reason, hint))
        }
        CommandEnding::Deadline => Err(Failure::infrastructure("the guest was killed", None)),
        CommandEnding::Lost(GuestLoss::Stopped) => Ok(ExitCode::from(exit_code::INTERRUPTED)),
        CommandEnding::Lost(loss) => {
            let reason = match loss {
                GuestLoss::Crashed(line) => format!("the kernel crashed: {line}"),
                GuestLoss::Silent => "the guest stopped responding".to_owned(),
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

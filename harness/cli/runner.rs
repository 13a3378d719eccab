//! `corematrix runner`: a test executable in a kernel, in the place where `cargo test`, `cargo nextest` and `go test -exec` would run it.

mod matrix;
mod one_kernel;
mod settings;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::guest_machine::GuestMachineArgs;
use super::{Common, MachineArgs};
use crate::exec::{Executable, UnfitProgram, View};
use crate::manifest::KernelSpec;
use crate::matrix::{Options, Project};
use crate::protocol::live::{self, LiveCommand};
use crate::record::exit_code;
use settings::RunnerSettings;

/// The command was killed since its time was up, as with `timeout`.
const TIMED_OUT: u8 = 124;
/// Failure of corematrix' own: nothing is known about the tests. This and the next two are as with `docker run`.
pub(super) const TROUBLE: u8 = 125;
/// The executable is there and cannot be run.
const CANNOT_RUN: u8 = 126;
/// There is no such executable.
const NOT_FOUND: u8 = 127;

/// What `--help` says at the end.
const EXIT_CODES: &str = "\
Exit codes on one kernel: the exit code of BINARY, or the signal that killed
it; otherwise:
  1    the kernel crashed
  124  BINARY exceeded its time limit
  125  infrastructure failure; nothing is known about the tests
  126  BINARY cannot be executed
  127  BINARY does not exist

Exit codes on several kernels:
  0    every test passed
  1    a test failed or has no result";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RunnerArgs {
    /// Test executable and its arguments, as appended by cargo or go.
    #[arg(value_name = "BINARY", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    guests: GuestMachineArgs,
    /// Limit the number of guests that run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Limit the run time of BINARY on each kernel, such as 90s or 5m; BINARY is then killed [default:
    /// $COREMATRIX_TIMEOUT, else no limit].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Write a report with the tests as programs, to a new subdirectory of this directory [default: $COREMATRIX_REPORT,
    /// else no report].
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Says something that is neither the tests' nor their harness'.
fn tell(what: impl fmt::Display) {
    for line in what.to_string().lines() {
        eprintln!("corematrix: {line}");
    }
}

/// A test executable that can be run, and how.
struct TestCommand {
    words: Vec<String>,
    executable: Executable,
    settings: RunnerSettings,
}

impl TestCommand {
    /// Whether the harness only lists its tests: one kernel knows them as well as another.
    fn lists(&self) -> bool {
        let lists = |word: &String| word == "--list" || word.trim_start_matches('-').starts_with("test.list");
        self.words.iter().skip(1).any(lists)
    }

    /// What the guest runs, in the working directory and with the whole environment: the tests are the user's own, and the guest has no
    /// network.
    fn live(&self, kernel: Option<&str>) -> Result<LiveCommand, Failure> {
        let folder = std::env::current_dir()
            .map_err(|error| Failure::input(format!("cannot use the working directory: {error}"), None))?;
        let folder = folder.to_str().map(str::to_owned);
        let folder = folder.ok_or_else(|| Failure::input("the name of the working directory is not UTF-8", None))?;
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !name.is_empty() && !name.contains('=') && name != live::KERNEL && name != "PATH")
            .collect();
        let path = std::env::join_paths(super::exec::search_path()).unwrap_or_default();
        environment.push(("PATH".to_owned(), path.to_string_lossy().into_owned()));
        environment.extend(kernel.map(|kernel| (live::KERNEL.to_owned(), kernel.to_owned())));
        Ok(LiveCommand { words: self.words.clone(), environment, folder, given: None, terminal: None, exercise: false })
    }
}

pub(super) fn run(common: &Common, args: &RunnerArgs) -> ExitCode {
    perform(common, args).unwrap_or_else(|failure| {
        tell(&failure);
        ExitCode::from(match failure.code {
            code @ exit_code::INTERRUPTED => code,
            _ => TROUBLE,
        })
    })
}

fn perform(common: &Common, args: &RunnerArgs) -> Result<ExitCode, Failure> {
    // Everything that follows the options is BINARY, and so is an option that does not exist.
    if args.words[0].starts_with('-') {
        let hint = "`corematrix runner --help` lists the options".to_owned();
        return Err(Failure::input(format!("unknown option `{}`", args.words[0]), Some(hint)));
    }
    let settings = RunnerSettings::of(common, args)?;
    let library_path = std::env::var_os("LD_LIBRARY_PATH");
    let found = Executable::find(&args.words[0], &super::exec::search_path(), &View::Everything, library_path.as_ref());
    let executable = match found {
        Ok(executable) => executable,
        Err(unfit) => return Ok(cannot_run(&unfit)),
    };
    let project = Project::load(&settings.manifest, &common.places()?)?;
    project.learn_builds(&settings.kernels, settings.offline, &super::say)?;
    let kernels = project.with_machines(project.kernels(&settings.kernels)?, &args.guests.options())?;
    project.tools()?;
    let machine = MachineArgs {
        kernel: Vec::new(),
        accel: args.machine.accel,
        offline: settings.offline,
        modules: args.machine.modules.clone(),
    };
    let options = Options { jobs: args.jobs, advice: false, ..machine.options()? };
    let command = TestCommand { words: args.words.clone(), executable, settings };
    let first = || -> Result<Vec<KernelSpec>, Failure> {
        Ok(vec![kernels.first().cloned().ok_or_else(|| Failure::input("no kernel to run on", None))?])
    };
    match kernels.len() {
        2.. if command.lists() => one_kernel::run(&project, options, first()?, &command),
        0 | 1 if command.settings.report.is_none() => one_kernel::run(&project, options, first()?, &command),
        _ => matrix::run(&project, options, kernels, &command),
    }
}

fn cannot_run(unfit: &UnfitProgram) -> ExitCode {
    tell(format_args!("error: {unfit}"));
    unfit.hint().into_iter().for_each(|hint| tell(format_args!("hint: {hint}")));
    ExitCode::from(if unfit.is_missing() { NOT_FOUND } else { CANNOT_RUN })
}

//! `corematrix exec`: a command of the user in every kernel of the matrix, on the host's files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::debug::DebugArgs;
use super::failure::Failure;
use super::guest_machine::GuestMachineArgs;
use super::run;
use super::{Common, MachineArgs, say};
use crate::checksum;
use crate::exec::{Executable, OutputFiles, View};
use crate::matrix::{Matrix, Project, Work};
use crate::object::{BpfObject, Inventory, ObjectError, Origin};
use crate::plan::Plan;
use crate::protocol::live::{self, LiveCommand};
use crate::record::exit_code;
use crate::report::{self, table};
use crate::run::{CommandJob, Stop};

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// Command to run in each guest, and its arguments.
    #[arg(value_name = "COMMAND", required = true, last = true)]
    words: Vec<String>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    guests: GuestMachineArgs,
    /// Limit the number of guests that run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Set the name of the command in the report [default: the name of its executable].
    #[arg(long)]
    name: Option<String>,
    /// Limit the run time of the command on each kernel, such as 90s or 5m; the command is then killed and counts as
    /// failed.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Generate activity in the guest while the command runs: forks, file writes, connections and so on.
    #[arg(long)]
    exercise: bool,
    #[command(flatten)]
    given: GivenArgs,
    /// Copy the files that the command writes to `$OUT` into this directory, in a subdirectory for each kernel.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the report to this directory [default: a new directory in `reports`; `reports/latest` then points to it].
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Boot every guest; neither restore nor save snapshots.
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    debug: DebugArgs,
}

/// What a guest sees of the host.
#[derive(Debug, Args)]
pub(super) struct GivenArgs {
    /// Give the command this directory as `$IN`, read-only.
    #[arg(long = "in", value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Show the guest only the executables and libraries of the host, and the named files: neither the working
    /// directory nor home directories.
    #[arg(long)]
    pub(super) minimal: bool,
}

/// What a guest sees, and where a command works in it.
pub(super) struct Given {
    pub(super) view: View,
    /// The working directory.
    pub(super) folder: String,
    /// The directory that the command finds as `$IN`.
    pub(super) given: Option<String>,
}

impl GivenArgs {
    /// Looks the directories up; `named` are other files that the guest is to see.
    pub(super) fn look_up(&self, named: Vec<PathBuf>) -> Result<Given, Failure> {
        let absolute = |folder: &Path| {
            let found = folder.canonicalize().and_then(|found| match found.is_dir() {
                true => Ok(found),
                false => Err(std::io::ErrorKind::NotADirectory.into()),
            });
            found.map_err(|error| {
                Failure::input(format!("cannot use the directory `{}`: {error}", folder.display()), None)
            })
        };
        let given = self.folder.as_deref().map(absolute).transpose()?;
        let text = |path: &Path| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Failure::input(format!("the name of `{}` is not UTF-8", path.display()), None)),
        };
        let folder = match (self.minimal, &given) {
            (true, Some(_)) => live::in_folder(),
            (true, None) => "/".to_owned(),
            (false, _) => text(&absolute(Path::new("."))?)?,
        };
        let view = match self.minimal {
            true => View::Programs(named.into_iter().chain(given.clone()).collect()),
            false => View::Everything,
        };
        Ok(Given { view, folder, given: given.as_deref().map(text).transpose()? })
    }
}

/// The environment of a command in a guest: what programs need to find their way, and nothing that may be a secret.
pub(super) fn environment(given: &Given, more: &[(&str, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = ["HOME", "LANG", "LC_ALL", "LOGNAME", "USER", "TZ"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    let folders: Vec<PathBuf> = search_path();
    let path = std::env::join_paths(folders).unwrap_or_default().to_string_lossy().into_owned();
    all.push(("PATH".to_owned(), path));
    all.push(("OUT".to_owned(), live::out_folder()));
    all.extend(given.given.is_some().then(|| ("IN".to_owned(), live::in_folder())));
    all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    all
}

/// Where programs are looked for: also where Debian has those of the administrator.
pub(super) fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for more in ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from) {
        if !folders.contains(&more) {
            folders.push(more);
        }
    }
    folders
}

pub(super) fn run(common: &Common, args: &ExecArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut options = args.machine.options()?;
    (options.jobs, options.cold, options.debug) = (args.jobs, args.cold, args.debug.options());
    project.learn_builds(&args.machine.kernel, args.machine.offline, &say)?;
    let kernels = project.with_machines(project.kernels(&args.machine.kernel)?, &args.guests.options())?;
    // What is named is shown, so that only what it needs can be hidden.
    let named = std::fs::canonicalize(&args.words[0]).into_iter().collect();
    let given = args.given.look_up(named)?;
    let path = Executable::find(&args.words[0], &search_path(), &given.view, None)
        .map_err(|unfit| Failure::input(&unfit, unfit.hint().map(str::to_owned)))?
        .path;
    if let Some(out) = &args.out {
        for kernel in &kernels {
            OutputFiles::new(out.join(&kernel.name)).map_err(|error| {
                Failure::input(error, Some("empty the directory, or choose another one with `--out`".to_owned()))
            })?;
        }
    }
    project.tools()?;
    let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(run::no_signals)?;
    let matrix = Matrix::new(&project, options).stopped_by(stop);

    let short = Path::new(&args.words[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = shell_words::join([&short].into_iter().chain(&args.words[1..]));
    let name = args.name.clone().unwrap_or(short);
    let mut work = Work::new(Plan::of_command(kernels, executable(&path, name), words), Vec::new());
    matrix.accelerator(&work.plan.kernels, &say)?;
    work.notices.extend(matrix.notices());
    let folder = run::report_folder(&project.folder, args.report.as_deref())?;
    let command = LiveCommand {
        words: args.words.clone(),
        environment: environment(&given, &[]),
        folder: given.folder,
        given: given.given,
        terminal: None,
        exercise: args.exercise,
    };
    let job = CommandJob {
        command,
        view: given.view,
        limit: Some(args.timeout),
        tests: None,
        out: args.out.clone(),
        report: folder.clone(),
    };
    let mut screen = run::Screen::new(&work, args.debug);
    let record = matrix.run_command(&work, &job, &folder, &mut |event| screen.on(event))?;
    drop(screen);
    println!("{}", table::after_run(&record, run::width()));
    report::write_all(&record, &folder).map_err(|error| run::report_failure(&error))?;
    if args.report.is_none() {
        run::point_latest(&folder);
    }
    println!("report: {}", folder.display());
    Ok(ExitCode::from(exit_code::of(&record)))
}

/// The executable, as the record has an object.
pub(super) fn executable(path: &Path, name: String) -> BpfObject {
    let bytes: Arc<[u8]> = std::fs::read(path).unwrap_or_default().into();
    let sha256 = checksum::of_bytes(&bytes);
    let origin = Origin { path: path.to_owned(), embedded: None };
    let inventory = Inventory::read(&[]).map_err(|error| ObjectError::Broken { place: origin.clone(), error });
    BpfObject { name, origin, bytes, sha256, inventory }
}

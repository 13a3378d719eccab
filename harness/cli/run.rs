//! `corematrix run`: objects x kernels, from the command line to the report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use time::OffsetDateTime;

use super::debug::{DebugArgs, Phases};
use super::failure::Failure;
use super::gate::{self, ReadTerms, Terms};
use super::guest_machine::ComparedMachineArgs;
use super::older_build::older_builds;
use super::threshold::Thresholds;
use super::{Common, MachineArgs, bundle, say, watch};
use crate::coverage::Unit;
use crate::event::Event;
use crate::matrix::{Matrix, Options, Project, Work};
use crate::privileges::capability;
use crate::protocol::attach::Reach;
use crate::record::LoadingPrivileges;
use crate::record::Partition;
use crate::record::exit_code;
use crate::record::{RunRecord, ToolRecord};
use crate::report::progress::Progress;
use crate::report::{self, ReportError, table};
use crate::run::{Isolation, Stop};

/// Where reports go unless `--out` says otherwise.
pub(super) const REPORTS: &str = "reports";
/// A link to the newest report.
pub(super) const LATEST: &str = "latest";
/// The table's width where standard output is no terminal.
const DEFAULT_WIDTH: usize = 120;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// BPF objects, directories, archives, executables or libraries that embed objects, images
    /// (`oci://REGISTRY/NAME@sha256:DIGEST`) or suite files; with `--watch` also sources.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    #[command(flatten)]
    pub(super) guests: ComparedMachineArgs,
    /// Limit the number of guests that run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Also keep the full verifier log of programs that load.
    #[arg(long)]
    full_logs: bool,
    /// Also attach every program that loads. A target function that was renamed or inlined fails only at attachment.
    #[arg(long)]
    attach: bool,
    /// Also run every program that can be attached or test-run, and count its runs. Implies `--attach`.
    #[arg(long)]
    exercise: bool,
    /// Compare the run time of each program with that in OLD, an older build, alternating both in the same guest.
    /// Implies `--exercise`. `--max-cost` sets a limit for the gate.
    #[arg(long, value_name = "OLD", conflicts_with = "watch")]
    against: Option<PathBuf>,
    /// Load with this loader: `libbpf`, `cilium-ebpf`, `aya` or the path of a loader; `all` compares all loaders that
    /// are built; may be repeated [default: the loader that a suite names or that the object is made for, else libbpf].
    #[arg(long, value_name = "LOADER")]
    pub(super) loader: Vec<String>,
    /// Load as a user other than root with only these capabilities: a list such as CAP_BPF,CAP_PERFMON, `none` or
    /// `all`.
    #[arg(long, value_name = "NAMES", conflicts_with_all = ["attach", "exercise", "token"])]
    capabilities: Option<String>,
    /// Load with a BPF token, as root of a user namespace without capabilities outside it (Linux 6.9 or later).
    #[arg(long, conflicts_with_all = ["attach", "exercise"])]
    token: bool,
    /// Find the fewest capabilities with which each program loads, and add them to the report.
    #[arg(long)]
    least_privileges: bool,
    /// Boot every guest; neither restore nor save snapshots.
    #[arg(long)]
    cold: bool,
    /// Use the result of an earlier run for each cell of which nothing that determines it has changed; reports show the date.
    #[arg(long, conflicts_with_all = ["cold", "against"])]
    reuse: bool,
    /// Let objects that are only loaded share guests, which prove that nothing is left behind (`shared`), or start a
    /// separate guest for each cell (`cell`): for objects that do not trust each other.
    #[arg(long, value_name = "WHAT", default_value = "shared", conflicts_with = "cold")]
    isolation: Isolation,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Write the report to this directory [default: a new directory in `reports`; `reports/latest` then points to it].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Keep running, and run an object again whenever it is rebuilt or touched. Ctrl-C stops; the exit code is that of
    /// the last results.
    #[arg(long, conflicts_with_all = ["gate", "baseline", "expect", "partition"])]
    watch: bool,
    /// Build with this command whenever a source changes [default: clang compiles the `*.bpf.c` sources among the
    /// inputs].
    #[arg(long, value_name = "COMMAND", requires = "watch")]
    pub(super) build: Option<String>,
    /// Run only part K of N of the objects; `corematrix merge` merges the reports of all parts.
    #[arg(long, value_name = "K/N", conflicts_with_all = ["gate", "baseline", "expect"])]
    pub(super) partition: Option<Partition>,
    /// Let the gate decide the exit code. Implied by `--baseline`, `--expect`, `--max-instructions`, `--max-cost` and
    /// `--fail-on-predicted`.
    #[arg(long)]
    gate: bool,
    #[command(flatten)]
    pub(super) terms: Terms,
    #[command(flatten)]
    pub(super) debug: DebugArgs,
}

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Failure> {
    if args.watch {
        return watch::run(common, args);
    }
    let mut terms =
        if args.gate || args.terms.are_given() { Some(args.terms.read(common, &args.inputs)?) } else { None };
    if let Some(terms) = &mut terms {
        terms.require_coverage(args.thresholds.floor());
    }
    let (record, folder) = perform(common, args, args.out.as_deref())?;
    println!("report: {}", folder.display());
    if let Some(baseline) = terms.as_ref().and_then(ReadTerms::baseline) {
        report::write_changes(&record, baseline, &folder).map_err(|error| report_failure(&error))?;
    }
    let Some(terms) = terms else { return Ok(code(args, &record, exit_code::of(&record))) };
    let report = terms.decide(&record);
    gate::conclude(&report, &record, &folder)?;
    Ok(ExitCode::from(report.exit_code()))
}

/// Runs what the arguments ask for, prints the table, and writes the report into `out` or a new directory. Returns the record and the
/// directory.
pub(super) fn perform(common: &Common, args: &RunArgs, out: Option<&Path>) -> Result<(RunRecord, PathBuf), Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let matrix = Matrix::new(&project, args.options()?);
    let mut work = matrix.plan_with(&args.machine.kernel, &args.inputs, &say)?;
    if let Some(file) = &args.against {
        let old = matrix.plan_with(&args.machine.kernel, std::slice::from_ref(file), &say)?;
        for (newer, older) in older_builds(file, &old.plan, &mut work.plan)? {
            newer.measure_against(older);
        }
    }
    let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
    let matrix = matrix.stopped_by(stop);
    matrix.accelerator(&work.plan.kernels, &say)?;
    work.notices.extend(matrix.notices());
    let folder = report_folder(&project.folder, out)?;
    if work.plan.objects.is_empty() && work.partition.is_some() {
        eprintln!("this part of the matrix has no objects");
    }
    let mut screen = Screen::new(&work, args.debug);
    let record = matrix.run(&work, &folder, &mut |event| screen.on(event))?;
    drop(screen);
    // Before the files: on a full disk the table is all that the user gets.
    println!("{}", table::after_run(&record, width()));
    report::write_all(&record, &folder).map_err(|error| report_failure(&error))?;
    bundle::leave(&record, &work.plan, &project, &folder);
    if out.is_none() {
        point_latest(&folder);
    }
    Ok((record, folder))
}

impl RunArgs {
    /// The privileges that everything is loaded with, if not those of root.
    fn privileges(&self) -> Result<Option<LoadingPrivileges>, Failure> {
        let words = match self.capabilities.as_deref() {
            None => return Ok(self.token.then_some(LoadingPrivileges::Token)),
            Some("all") => return Ok(Some(LoadingPrivileges::AllCapabilities)),
            Some("none") => "",
            Some(words) => words,
        };
        let mut names = Vec::new();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let name = capability(word).map_err(|unknown| Failure::input(&unknown, Some(unknown.hint())))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Some(LoadingPrivileges::Capabilities(names)))
    }

    /// How the matrix is run.
    pub(super) fn options(&self) -> Result<Options, Failure> {
        let mut options = self.machine.options()?;
        options.jobs = self.jobs;
        options.reach = match (self.exercise || self.against.is_some(), self.attach) {
            (true, _) => Reach::Exercise,
            (false, true) => Reach::Attach,
            (false, false) => Reach::Load,
        };
        options.full_logs = self.full_logs;
        options.cold = self.cold;
        options.reuse = self.reuse;
        options.isolation = self.isolation;
        options.partition = self.partition;
        options.loaders.clone_from(&self.loader);
        self.terms.expect.clone_into(&mut options.expect);
        options.machine = self.guests.options();
        options.privileges = self.privileges()?;
        options.least_privileges = self.least_privileges;
        options.debug = self.debug.options();
        Ok(options)
    }
}

/// The exit code of a run, saying what it falls short of. `judged` is the code without that.
pub(super) fn code(args: &RunArgs, record: &RunRecord, judged: u8) -> ExitCode {
    let broken = args.thresholds.floor().broken(record, &Unit::all(record));
    broken.iter().for_each(|line| eprintln!("error: {line}"));
    // Where not everything could be judged, that may be why.
    ExitCode::from(match judged {
        exit_code::GOOD if !broken.is_empty() => exit_code::PROGRAM_FAILED,
        code => code,
    })
}

pub(super) fn no_signals(error: std::io::Error) -> Failure {
    Failure::infrastructure(format!("cannot listen for signals: {error}"), None)
}

/// The live view of a run.
pub(super) struct Screen {
    progress: Progress,
    phases: Option<Phases>,
}

impl Screen {
    pub(super) fn new(work: &Work, debug: DebugArgs) -> Screen {
        let kernels: Vec<String> = work.plan.kernels.iter().map(|kernel| kernel.name.clone()).collect();
        let phases = debug.phases(&kernels, &work.plan.rows());
        let planned = work.plan.record(ToolRecord::default(), String::new());
        let progress = Progress::new(planned, work.expectations.clone(), std::io::stderr().is_terminal());
        Screen { progress, phases }
    }

    /// Shows an event.
    pub(super) fn on(&mut self, event: &Event) {
        match &mut self.phases {
            Some(phases) => phases.on(event),
            None => self.progress.on(event),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.progress.finish();
    }
}

/// Makes the report's directory; an old report in it is replaced file by file.
pub(super) fn report_folder(project: &Path, asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let stamp = OffsetDateTime::now_utc();
    let name = format!(
        "{:04}-{:02}-{:02}T{:02}{:02}{:02}Z",
        stamp.year(),
        u8::from(stamp.month()),
        stamp.day(),
        stamp.hour(),
        stamp.minute(),
        stamp.second()
    );
    let failure = |folder: &Path, error: std::io::Error| {
        let hint = "`--out DIR` chooses another directory".to_owned();
        Failure::infrastructure(
            format!("cannot create the report directory `{}`: {error}", folder.display()),
            Some(hint),
        )
    };
    if let Some(folder) = asked {
        std::fs::create_dir_all(folder).map_err(|error| failure(folder, error))?;
        return Ok(folder.to_owned());
    }
    let reports = project.join(REPORTS);
    std::fs::create_dir_all(&reports).map_err(|error| failure(&reports, error))?;
    // Two runs may begin in one second.
    let mut number = 1;
    loop {
        let folder = reports.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            Err(error) => return Err(failure(&folder, error)),
        }
    }
}

/// Points `reports/latest` to the report; a convenience, so failing to is no failure.
pub(super) fn point_latest(folder: &Path) {
    let (Some(reports), Some(name)) = (folder.parent(), folder.file_name()) else { return };
    let fresh = reports.join(format!(".{LATEST}-{}", std::process::id()));
    let _ = std::os::unix::fs::symlink(name, &fresh);
    let _ = std::fs::rename(&fresh, reports.join(LATEST));
}

pub(super) fn report_failure(error: &ReportError) -> Failure {
    let hint = error.hint();
    Failure::infrastructure(error, hint)
}

/// Columns of standard output.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(DEFAULT_WIDTH, |size| usize::from(size.ws_col)).max(40)
}

//! `corematrix run`: objects x kernels, from the command line to the report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;

use super::aids::AidArgs;
use super::failure::Failure;
use super::gate::{self, ReadTerms, Terms};
use super::setup::{Inputs, Setup};
use super::threshold::Thresholds;
use super::{Common, MachineArgs, acceleration, advice, bundle, exit_code, watch};
use crate::attach::Reach;
use crate::coverage::Unit;
use crate::event::Event;
use crate::plan::Plan;
use crate::record::{PartitionRecord, RunRecord, ToolRecord};
use crate::report::progress::Progress;
use crate::report::{self, ReportError, table};
use crate::run::{self, Bench, Collector, Jobs, Logs, RunError, Stop};
use crate::shard::Partition;
use crate::timestamp;
use crate::vm::{Proof, Toolchain};

/// Where reports go unless `--out` says otherwise.
pub(super) const REPORTS: &str = "reports";
/// A link to the newest report.
pub(super) const LATEST: &str = "latest";
/// The table's width where standard output is no terminal.
const DEFAULT_WIDTH: usize = 120;

/// How often a run without events looks at whether it should stop.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What to load: BPF objects, folders of them, executables or libraries that embed them, suite files; with `--watch` sources,
    /// too.
    #[arg(value_name = "OBJECT|BINARY|DIR|SUITE.toml", required = true)]
    pub(super) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    /// How many guests run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Keep the whole verifier log of programs that load, too.
    #[arg(long)]
    full_logs: bool,
    /// Attach every program that loads, too: a function that was renamed or inlined fails only there.
    #[arg(long)]
    attach: bool,
    /// Make every program run that can be attached or run, and count its runs; means `--attach`, too.
    #[arg(long)]
    exercise: bool,
    /// Boot every guest: restore none from a snapshot, and make none.
    #[arg(long)]
    cold: bool,
    #[command(flatten)]
    thresholds: Thresholds,
    /// The report's folder [default: a new one in `reports`, which `reports/latest` then points to].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Stay, and run an object again when it is rebuilt or touched. Ctrl-C ends; the exit code is that of the last table.
    #[arg(long, conflicts_with_all = ["gate", "baseline", "expect", "partition"])]
    watch: bool,
    /// Build by this command whenever a source changes; without it, clang compiles the sources (`*.bpf.c`) among the inputs.
    #[arg(long, value_name = "COMMAND", requires = "watch")]
    pub(super) build: Option<String>,
    /// Run only part K of N of the objects; `corematrix merge` makes one report of all parts.
    #[arg(long, value_name = "K/N", conflicts_with_all = ["gate", "baseline", "expect"])]
    pub(super) partition: Option<Partition>,
    /// Let the gate decide about the run: the exit code is the gate's. `--baseline` and `--expect` ask for it, too.
    #[arg(long)]
    gate: bool,
    #[command(flatten)]
    pub(super) terms: Terms,
    #[command(flatten)]
    aids: AidArgs,
}

/// What all runs of one command line have in common.
pub(super) struct Ground<'a> {
    pub(super) args: &'a RunArgs,
    pub(super) setup: &'a Setup,
    pub(super) tools: &'a Toolchain,
    pub(super) stop: &'a Stop,
    /// The report's folder.
    pub(super) folder: &'a Path,
    /// Bytes of snapshots that the store may keep.
    pub(super) snapshot_budget: u64,
    /// Which part of a matrix the plan is.
    pub(super) partition: Option<PartitionRecord>,
}

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Failure> {
    if args.watch {
        return watch::run(common, args);
    }
    let terms = if args.gate || args.terms.are_given() { Some(args.terms.read(common, &args.inputs)?) } else { None };
    let (record, folder) = perform(common, args, args.out.as_deref())?;
    println!("report: {}", folder.display());
    if let Some(baseline) = terms.as_ref().and_then(ReadTerms::baseline) {
        report::write_changes(&record, baseline, &folder).map_err(|error| report_failure(&error))?;
    }
    let Some(terms) = terms else { return Ok(code(args, &record, exit_code::of(&record))) };
    let report = terms.decide(&record);
    gate::conclude(&report, &record, &folder)?;
    Ok(code(args, &record, exit_code::of_gate(&report)))
}

/// Runs what the arguments ask for, prints the table, and writes the report into `out` or a new folder. Returns the record and the
/// folder.
pub(super) fn perform(common: &Common, args: &RunArgs, out: Option<&Path>) -> Result<(RunRecord, PathBuf), Failure> {
    let setup = Setup::load(common)?;
    let snapshot_budget = super::store::snapshot_budget()?;
    let kernels = setup.kernels(&args.machine)?;
    let Inputs { objects, notices, settings } = setup.objects(&args.inputs, args.machine.offline)?;
    let tools = super::doctor::tools(&setup)?;
    let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
    setup.hear(&stop);

    let mut plan = Plan::new(kernels, objects, &settings);
    let partition = args.partition.map(|part| plan.keep(part));
    let proof = acceleration::choose(&setup, tools, &plan.kernels, &args.machine, &stop)?;
    let folder = report_folder(&setup.project, out)?;
    let ground = Ground { args, setup: &setup, tools, stop: &stop, folder: &folder, snapshot_budget, partition };
    let record = run_plan(&ground, &plan, &proof, notices, &folder)?;
    // Before the files: on a full disk the table is all that the user gets.
    println!("{}", table::render(&record, width()));
    report::write_all(&record, &folder).map_err(|error| report_failure(&error))?;
    bundle::leave(&record, &plan, &setup, &folder);
    if out.is_none() {
        point_latest(&folder);
    }
    Ok((record, folder))
}

/// The exit code of a run, saying what it falls short of. `judged` is the code without that.
pub(super) fn code(args: &RunArgs, record: &RunRecord, judged: u8) -> ExitCode {
    let broken = args.thresholds.broken(record, &Unit::all(record));
    broken.iter().for_each(|line| eprintln!("error: {line}"));
    // Where not everything could be judged, that may be why.
    ExitCode::from(match judged {
        exit_code::GOOD if !broken.is_empty() => exit_code::PROGRAM_FAILED,
        code => code,
    })
}

/// Runs a plan to its end and completes the record. Until then it is saved in `live` again and again.
pub(super) fn run_plan(
    ground: &Ground<'_>,
    plan: &Plan,
    proof: &Proof,
    notices: Vec<String>,
    live: &Path,
) -> Result<RunRecord, Failure> {
    let &Ground { args, setup, tools, stop, folder, snapshot_budget, .. } = ground;
    let mut record = plan.record(tool_record(tools, proof), timestamp::now());
    record.notices = notices;
    record.partition.clone_from(&ground.partition);
    record.notices.extend(acceleration::notices(tools, proof, args.machine.accel));
    let (memory_mib, larger) = plan.guest_sizes();
    let logs = Logs::new(folder);
    let bench = Bench {
        plan,
        store: &setup.store,
        lock: &setup.lock,
        offline: args.machine.offline,
        tools,
        accelerator: proof.accelerator,
        jobs: &Jobs::choose(args.jobs.map(std::num::NonZero::get), memory_mib, larger),
        full_logs: args.full_logs,
        reach: match (args.exercise, args.attach) {
            (true, _) => Reach::Exercise,
            (false, true) => Reach::Attach,
            (false, false) => Reach::Load,
        },
        cold: args.cold || args.aids.aids().need_boot(),
        snapshot_budget,
        logs: &logs,
        stop,
        aids: args.aids.aids(),
    };
    let mut record = match plan.objects.is_empty() && record.partition.is_some() {
        true => {
            eprintln!("this part of the matrix has no objects");
            RunRecord { finished: Some(timestamp::now()), ..record }
        }
        false => execute(&bench, record, live, args.aids, |events| run::run(&bench, events))?,
    };
    // Who stopped the run waits for its end.
    if !record.interrupted {
        advice::advise(&mut record, plan, &setup.store);
    }
    Ok(record)
}

pub(super) fn no_signals(error: std::io::Error) -> Failure {
    Failure::infrastructure(format!("cannot listen for signals: {error}"), None)
}

/// Does the work on threads of its own while this one folds the events into the record and draws them.
pub(super) fn execute(
    bench: &Bench<'_>,
    record: RunRecord,
    folder: &Path,
    aids: AidArgs,
    work: impl FnOnce(&Sender<Event>) -> Result<(), RunError> + Send,
) -> Result<RunRecord, Failure> {
    let names = |record: &RunRecord| {
        let kernels: Vec<String> = record.kernels.iter().map(|kernel| kernel.name.clone()).collect();
        let objects: Vec<String> = record.objects.iter().map(|object| object.name.clone()).collect();
        let programs: Vec<usize> = record.objects.iter().map(|object| object.programs.len()).collect();
        (kernels, objects, programs)
    };
    let (kernels, objects, programs) = names(&record);
    let mut progress = Progress::new(&kernels, &objects, &programs, std::io::stderr().is_terminal());
    let mut phases = aids.phases(&kernels, &objects);
    for notice in &record.notices {
        progress.on(&Event::Notice(notice.clone()));
    }
    let mut collector = Collector::new(record, folder.to_owned()).map_err(|error| report_failure(&error))?;
    let (sender, events) = mpsc::channel();
    let mut unsaved = None;
    let ran = std::thread::scope(|scope| {
        let runner = scope.spawn(move || work(&sender));
        loop {
            match events.recv_timeout(POLL) {
                Ok(event) => {
                    match &mut phases {
                        Some(phases) => phases.on(&event),
                        None => progress.on(&event),
                    }
                    // A full disk must not end the run: what is known stays in memory, and the end tries once more.
                    if let Err(error) = collector.take(&event) {
                        unsaved.get_or_insert(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // At once, not at the end: a second signal may end this process by force.
            if bench.stop.requested() {
                collector.interrupt();
            }
        }
        runner.join()
    });
    progress.finish();
    if let Some(error) = unsaved {
        eprintln!("warning: {error}");
    }
    match ran {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Failure::infrastructure(error, None)),
        Err(_) => return Err(Failure::infrastructure("the runner panicked; this is a bug in corematrix", None)),
    }
    Ok(collector.finish(timestamp::now(), bench.stop.requested()))
}

pub(super) fn tool_record(tools: &Toolchain, proof: &Proof) -> ToolRecord {
    ToolRecord {
        corematrix: env!("CARGO_PKG_VERSION").to_owned(),
        libbpf: crate::probe::libbpf_version(),
        qemu: tools.qemu_version.clone(),
        virtme_ng: tools.virtme_version.clone(),
        accel: proof.accelerator.to_string(),
        accel_reason: proof.reason.clone(),
    }
}

/// Makes the report's folder; an old report in it is replaced file by file.
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
        let hint = "`--out DIR` chooses another folder".to_owned();
        Failure::infrastructure(format!("cannot make the report's folder `{}`: {error}", folder.display()), Some(hint))
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

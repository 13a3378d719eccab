//! `corematrix repro`: one cell of a run once more, here and now, with everything that the verifier can say.

pub(super) mod case;
mod run_place;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::Common;
use super::answer::{Print, ReproAnswer, ReproDifference, ReproducedProgram};
use super::cell_runner::{CellRunner, GuestArgs};
use super::explain::{index_of, project_folder};
use super::failure::Failure;
use super::run::{REPORTS, width};
use crate::bundle::{self, host_cpu};
use crate::coverage::Analysis;
use crate::explain::{KernelTypes, KnownTypes};
use crate::matrix::{MatrixTypes, TargetSearch, Work, all_types, kernel_probes, kernel_types};
use crate::object::ObjectTypes;
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::exit_code;
use crate::record::{KernelState, ProgramRecord, RunRecord};
use crate::report::explain::{CellFacts, recorded, render};
use crate::report::{paragraph, repro as text};
use crate::repro::{Conditions, InputDifference, ReproComparison, ReproOutcome, compare};
use crate::run_folder::RunFolder;
use crate::verifier::Moment;
use case::{GivenKernel, Recorded, ReproCase};

/// Longer programs are not verified once more with all states: the log would not fit into a guest.
const MOST_INSTRUCTIONS: u64 = 50_000;
/// Where the logs with all states are, in the directory of the others.
const STATES: &str = "states";

#[derive(Debug, Args)]
pub(super) struct ReproArgs {
    /// Cell of a run, bundle, or kernel and object [default program: every program that failed].
    ///
    /// One of: `RUN KERNEL OBJECT [PROGRAM]`; `RUN KERNEL/OBJECT[/PROGRAM]`; `BUNDLE [PROGRAM]`; or, without a run,
    /// `KERNEL INPUT [PROGRAM]`. RUN is a report directory, its `report.json`, or `latest`. INPUT is any input of
    /// `corematrix run` that holds one object.
    #[arg(value_name = "WHAT", required = true, num_args = 1..=4)]
    what: Vec<String>,
    /// Use this image for a kernel that its bundle does not contain: a bzImage, a vmlinux or an unpacked package.
    #[arg(long, value_name = "PATH")]
    kernel_path: Option<PathBuf>,
    /// Trust the server or registry that the bundle names, and fetch its kernel from there.
    #[arg(long)]
    trust_source: bool,
    /// Print JSON: the verdict of each program here and in the run, and the differences in environment.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    guests: GuestArgs,
}

pub(super) fn run(common: &Common, args: &ReproArgs) -> Result<ExitCode, Failure> {
    let case = ReproCase::find(
        common,
        &args.what,
        &GivenKernel { path: args.kernel_path.as_deref(), is_trusted: args.trust_source },
        args.guests.offline,
    )?;
    let mut runner = CellRunner::new(&case.project, &args.guests)?;
    let work = Work::new(case.plan(), Vec::new());
    let plan = &work.plan;
    let folder = scratch(&project_folder(common), &case.spec.name, &plan.objects[0].object.name)?;

    let here = runner.run(&work, (case.reach, false), &folder)?;
    let chosen = chosen(&case, &here)?;
    if args.json && runner.interrupted().is_none() {
        let found = compared(&case, &here, &chosen);
        answer(&case, &here, &found, &chosen).print()?;
        return Ok(ExitCode::from(code(&found)));
    }
    let deeper = deeper(plan, &here, &chosen).map(|plan| Work::new(plan, Vec::new()));
    let states = match &deeper {
        Some(deeper) if !here.interrupted => Some(runner.run(deeper, (Reach::Load, true), &folder.join(STATES))?),
        _ => None,
    };
    if let Some(code) = runner.interrupted() {
        return Ok(code);
    }
    Ok(ExitCode::from(tell(&case, plan, &here, states.as_ref(), &chosen, &folder)))
}

/// A directory for what is found, always the same for a cell; what an earlier try left there is gone.
fn scratch(project: &Path, kernel: &str, object: &str) -> Result<PathBuf, Failure> {
    let name = bundle::file_name(kernel, object);
    let folder = project
        .strip_prefix(".")
        .unwrap_or(project)
        .join(REPORTS)
        .join("repro")
        .join(name.trim_end_matches(bundle::SUFFIX));
    let made = match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir_all(folder.join(STATES)),
    };
    let hint = || Some("run it in a writable directory".to_owned());
    made.map_err(|error| Failure::infrastructure(format!("cannot create `{}`: {error}", folder.display()), hint()))?;
    Ok(folder)
}

/// The programs to look at: the one that was asked for, those that failed in the run, or those that fail here.
fn chosen(case: &ReproCase, here: &RunRecord) -> Result<Vec<usize>, Failure> {
    let programs = &here.cell(0, 0).programs;
    let names = programs.iter().map(|program| program.name.as_str());
    if let Some(program) = &case.program {
        return Ok(vec![index_of("program", program, names)?]);
    }
    let failed_then = |name: &str| case.recorded_program(name).is_some_and(|program| !program.verdict.is_pass());
    let is_chosen = |p: &usize| match case.recorded {
        Some(_) => failed_then(&programs[*p].name),
        None => !programs[*p].verdict.is_pass(),
    };
    let chosen: Vec<usize> = (0..programs.len()).filter(is_chosen).collect();
    Ok(if chosen.is_empty() { (0..programs.len()).collect() } else { chosen })
}

/// A plan of the programs that the verifier refused, for all its states; `None` if there are none.
fn deeper(plan: &Plan, here: &RunRecord, chosen: &[usize]) -> Option<Plan> {
    let is_wanted = |program: &ProgramRecord| {
        let steps = program.statistics.as_ref().and_then(|statistics| statistics.insns_processed);
        text::has_moment(program.verdict) && steps.unwrap_or_default() <= MOST_INSTRUCTIONS
    };
    let programs = chosen.iter().map(|&p| &here.cell(0, 0).programs[p]);
    let names: Vec<&str> = programs.filter(|program| is_wanted(program)).map(|program| &*program.name).collect();
    let mut plan = plan.clone();
    let object = plan.objects.first_mut().filter(|_| !names.is_empty())?;
    object.programs.retain(|program| names.contains(&program.name.as_str()));
    object.analysis = Arc::new(Analysis::of(&object.loaded, &names));
    Some(plan)
}

/// How the chosen programs ended here, and in the run.
fn compared(case: &ReproCase, here: &RunRecord, chosen: &[usize]) -> Vec<ReproComparison> {
    let programs = &here.cell(0, 0).programs;
    chosen.iter().map(|&p| compare(case.recorded_program(&programs[p].name), &programs[p])).collect()
}

/// What is different here from the run.
fn differences(case: &ReproCase, here: &RunRecord) -> Vec<InputDifference> {
    let conditions = |record: &'_ RunRecord, object: usize, kernel: usize| {
        (record.objects[object].sha256.clone(), record.kernels[kernel].identity.clone(), record.tool.clone())
    };
    let cpu = host_cpu();
    let now = conditions(here, 0, 0);
    let now = Conditions { object: &now.0, kernel: now.1.as_ref(), tool: &now.2, cpu: cpu.as_deref() };
    let Some(Recorded { record, object, kernel, cpu, .. }) = &case.recorded else { return Vec::new() };
    let then = conditions(record, *object, *kernel);
    let then = Conditions { object: &then.0, kernel: then.1.as_ref(), tool: &then.2, cpu: cpu.as_deref() };
    then.differences(&now)
}

fn answer(case: &ReproCase, here: &RunRecord, found: &[ReproComparison], chosen: &[usize]) -> ReproAnswer {
    let cell = here.cell(0, 0);
    let word = |outcome: ReproOutcome| {
        let word = match outcome {
            ReproOutcome::Same => "same",
            ReproOutcome::Differs => "differs",
            ReproOutcome::Unjudged => "unjudged",
        };
        word.to_owned()
    };
    let program = |(one, &p): (&ReproComparison, &usize)| ReproducedProgram {
        program: one.program.clone(),
        outcome: word(one.outcome()),
        verdict: one.here.verdict,
        cause: one.here.cause,
        reason: cell.programs[p].reason.clone(),
        recorded_verdict: one.recorded.as_ref().map(|fate| fate.verdict),
        recorded_cause: one.recorded.as_ref().and_then(|fate| fate.cause),
    };
    let difference =
        |one: InputDifference| ReproDifference { what: one.what.to_owned(), recorded: one.recorded, here: one.here };
    ReproAnswer {
        object: cell.object.clone(),
        kernel: cell.kernel.clone(),
        outcome: word(found.iter().map(ReproComparison::outcome).max().unwrap_or(ReproOutcome::Unjudged)),
        run: case.recorded.as_ref().map(|recorded| recorded.title.clone()),
        programs: found.iter().zip(chosen).map(program).collect(),
        differences: differences(case, here).into_iter().map(difference).collect(),
    }
}

/// Prints what was found and returns the exit code.
fn tell(
    case: &ReproCase,
    plan: &Plan,
    here: &RunRecord,
    states: Option<&RunRecord>,
    chosen: &[usize],
    folder: &Path,
) -> u8 {
    let width = width();
    let programs = &here.cell(0, 0).programs;
    let found = compared(case, here, chosen);
    // The cell among the others of its run, so that advice knows all kernels.
    let (shown, object, kernel) = case.shown(here);
    let mut missing = Vec::new();
    kernel_types(&shown, &case.project.store, &mut missing);
    let has_all = missing.is_empty();
    let (kernels, _) = all_types(&shown, &case.project.store, &mut Vec::new());
    let matrix: Vec<KernelTypes<'_>> = kernels.iter().map(MatrixTypes::borrowed).collect();
    let probes = kernel_probes(&shown, &case.project.store);
    let types = ObjectTypes::read(&plan.objects[0].loaded);
    let elsewhere = TargetSearch::new(&case.project.store);
    let facts = CellFacts {
        record: &shown,
        object,
        kernel,
        matrix: &matrix,
        known: &KnownTypes::default(),
        prove: &|_| None,
        probes: &probes,
        types: types.as_ref(),
        inventory: plan.objects[0].object.inventory.as_ref().ok(),
        log: &|path| RunFolder::new(folder).log(path),
        elsewhere: &|name| elsewhere.find(name),
        missing: &[],
    };
    for (&p, one) in chosen.iter().zip(&found) {
        println!("{}", render(&facts, &[p], width));
        let advice = case.recorded_program(&programs[p].name).and_then(recorded);
        if let (false, Some(advice), ReproOutcome::Same) = (has_all, advice, one.outcome()) {
            println!("Explained with the BTF of all kernels of the run:\n{}", indented(&advice));
        }
        show_moment(&programs[p], states, folder, width);
    }
    let differences = differences(case, here);
    let run = case.recorded.as_ref().map(|recorded| recorded.title.as_str());
    print!("{}", text::conclusion(&found, &differences, run, width));
    if let Some((reason, hint)) = kernel_trouble(&here.kernels[0].state) {
        print!("{}", paragraph(&format!("kernel `{}`: {reason}", here.kernels[0].name), 2, width));
        let own = case.recorded.as_ref().filter(|_| case.from_bundle).and_then(|recorded| recorded.image());
        let own = own.map(|image| format!("or name its image with `--kernel-path`; its sha256 is {image}"));
        let hints = [hint.map(str::to_owned), own].into_iter().flatten();
        hints.for_each(|hint| print!("{}", paragraph(&format!("hint: {hint}"), 2, width)));
    }
    code(&found)
}

/// Where the verifier stood when it refused a program.
fn show_moment(program: &ProgramRecord, states: Option<&RunRecord>, folder: &Path, width: usize) {
    if !text::has_moment(program.verdict) {
        return;
    }
    let deep = states.and_then(|states| states.cell(0, 0).programs.iter().find(|one| one.name == program.name));
    // With all states it has to be the same failure.
    let deep = deep.filter(|deep| (deep.verdict, deep.cause) == (program.verdict, program.cause));
    let log = |file: Option<&String>, folder: PathBuf| RunFolder::new(&folder).log(file?).ok();
    let exact = deep.and_then(|deep| log(deep.log_file.as_ref(), folder.join(STATES)));
    let is_exact = exact.is_some();
    let log = exact.or_else(|| log(program.log_file.as_ref(), folder.to_owned()));
    if let Some(moment) = log.and_then(|log| Moment::read(&log)) {
        println!("{}", text::moment(&moment, is_exact, width));
    }
    let files = [(program.log_file.as_ref(), ""), (deep.and_then(|deep| deep.log_file.as_ref()), STATES)];
    for (file, below) in files {
        if let Some(file) = file {
            let what = if below.is_empty() { "verifier log" } else { "with all states" };
            println!("{what}: {}", folder.join(below).join(file).display());
        }
    }
    println!();
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect()
}

fn kernel_trouble(state: &KernelState) -> Option<(&str, Option<&str>)> {
    match state {
        KernelState::Pending | KernelState::Ready => None,
        KernelState::Predicted { reason, hint, .. } => Some((reason.as_deref()?, hint.as_deref())),
        KernelState::Unavailable { reason, hint }
        | KernelState::BootFailed { reason, hint, .. }
        | KernelState::HarnessFailed { reason, hint, .. } => Some((reason, hint.as_deref())),
    }
}

/// The failure that is reproduced is still a failure.
fn code(found: &[ReproComparison]) -> u8 {
    match found.iter().map(ReproComparison::outcome).max() {
        None | Some(ReproOutcome::Unjudged) => exit_code::INFRASTRUCTURE,
        Some(ReproOutcome::Differs) => exit_code::NOT_REPRODUCED,
        Some(ReproOutcome::Same) if found.iter().all(|one| one.here.verdict.is_pass()) => exit_code::GOOD,
        Some(ReproOutcome::Same) => exit_code::PROGRAM_FAILED,
    }
}

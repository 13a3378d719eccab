//! `corematrix privileges`: the fewest capabilities with which objects load, kernel by kernel.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answer::{LeastOnKernel, LeastPrivilegesOf, ObjectPrivileges, Print};
use super::cell_runner::line;
use super::failure::Failure;
use super::run::{no_signals, width};
use super::{Common, MachineArgs, say};
use crate::event::Event;
use crate::matrix::{Inputs, Matrix, Project, Work};
use crate::plan::Plan;
use crate::record::{Need, RunRecord, exit_code};
use crate::report::privileges::{Row, rows, tables};
use crate::run::Stop;
use crate::suite::Settings;

#[derive(Debug, Args)]
pub(super) struct PrivilegesArgs {
    /// BPF objects, directories, archives, executables that embed objects, images or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Limit the number of guests that run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, args: &PrivilegesArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut options = args.machine.options()?;
    (options.advice, options.jobs) = (false, args.jobs);
    project.learn_builds(&args.machine.kernel, args.machine.offline, &say)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let mut inputs = project.inputs(&args.inputs, args.machine.offline, &say)?;
    project.assign_loaders(&mut inputs, &[])?;
    let Inputs { objects, notices, settings, .. } = inputs;
    notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    // How their own loaders load them, but for what is looked for.
    let Settings { mut loading, types, mut loaders, .. } = settings;
    loading.iter_mut().for_each(|(_, loading)| loading.privileges = None);
    loaders.iter_mut().for_each(|(_, assigned)| assigned.loaders.truncate(1));
    let settings = Settings { loading, types, loaders, least_privileges: true, ..Settings::default() };
    project.tools()?;
    let plan = Plan::new(kernels, objects, &settings);
    let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
    let matrix = Matrix::new(&project, options).stopped_by(stop);
    matrix.accelerator(&plan.kernels, &say)?;
    let folder = tempfile::Builder::new().prefix("corematrix-privileges-").tempdir();
    let folder =
        folder.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
    let work = Work::new(plan, Vec::new());
    let mut observe = |event: &Event| {
        if let Some(line) = line(event, &work.plan) {
            eprintln!("{line}");
        }
    };
    let record = matrix.run(&work, folder.path(), &mut observe)?;
    match args.json {
        true => answer(&record).print()?,
        false => print!("{}", tables(&record, width())),
    }
    tell_failures(&record);
    Ok(ExitCode::from(code(&record)))
}

/// Says on standard error what was not found since something else is wrong.
fn tell_failures(record: &RunRecord) {
    for cell in &record.cells {
        for program in cell.programs.iter().filter(|program| !program.verdict.was_loaded()) {
            let reason = program.reason.as_deref().unwrap_or_default();
            let (object, kernel) = (&cell.object, &cell.kernel);
            eprintln!("{kernel}: {object}/{}: {} as root: {reason}", program.name, program.verdict);
        }
    }
}

/// That of the run as root, unless something could not be found out.
fn code(record: &RunRecord) -> u8 {
    let found = record.cells.iter().filter_map(|cell| cell.privileges.as_ref());
    let mut needs = found.flat_map(|all| all.programs.iter().map(|one| &one.least.needs).chain([&all.object.needs]));
    match exit_code::of(record) {
        exit_code::GOOD if needs.any(|need| matches!(need, Need::Unknown(_))) => exit_code::INFRASTRUCTURE,
        code => code,
    }
}

fn answer(record: &RunRecord) -> super::answer::PrivilegesAnswer {
    let of_row = |row: Row<'_>| {
        let kernels = record.kernels.iter().zip(&row.on);
        let on = kernels.filter_map(|(kernel, least)| {
            Some(LeastOnKernel { kernel: kernel.name.clone(), least: (*least)?.clone() })
        });
        LeastPrivilegesOf { program: row.program.map(str::to_owned), words: row.words, kernels: on.collect() }
    };
    let of_object = |object: usize| ObjectPrivileges {
        object: record.objects[object].name.clone(),
        rows: rows(record, object).into_iter().map(of_row).collect(),
    };
    let objects = (0..record.objects.len()).map(of_object).collect();
    super::answer::PrivilegesAnswer { objects }
}

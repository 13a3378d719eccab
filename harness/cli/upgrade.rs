//! `corematrix upgrade`: an object is loaded over the pinned and filled maps of an older build of it, on each kernel.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answer::Print;
use super::failure::Failure;
use super::older_build::older_builds;
use super::run::{Screen, no_signals, point_latest, report_failure, report_folder, width};
use super::{Common, MachineArgs, say};
use crate::matrix::{Matrix, Options, Project};
use crate::plan::Plan;
use crate::report::{self, UpgradeReport};
use crate::run::Stop;

#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    /// Build that runs now: an object, or any input of `corematrix run`.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Build that replaces it; several objects are paired by name.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    machine: MachineArgs,
    /// Pin every map by its name, not only maps that declare pinning, as loaders with bpftool's `pinmaps` or
    /// `bpf_object__pin_maps` do.
    #[arg(long)]
    pin_all: bool,
    /// Limit the number of guests that run at once [default: one for each core, as memory allows].
    #[arg(long)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Boot every guest; neither restore nor save snapshots.
    #[arg(long)]
    cold: bool,
    /// Write the report to this directory [default: a new directory in `reports`; `reports/latest` then points to it].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, args: &UpgradeArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let options = Options { jobs: args.jobs, cold: args.cold, ..args.machine.options()? };
    let matrix = Matrix::new(&project, options);
    let plan = |input: &PathBuf| matrix.plan_with(&args.machine.kernel, std::slice::from_ref(input), &say);
    let (old, mut work) = (plan(&args.old)?, plan(&args.new)?);
    pair(&old.plan, &mut work.plan, args)?;
    let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
    let matrix = matrix.stopped_by(stop);
    matrix.accelerator(&work.plan.kernels, &say)?;
    work.notices.extend(matrix.notices());
    let folder = report_folder(&project.folder, args.out.as_deref())?;
    let mut screen = Screen::new(&work, super::debug::DebugArgs::default());
    let record = matrix.run(&work, &folder, &mut |event| screen.on(event))?;
    drop(screen);
    let upgrade = UpgradeReport::of(&record);
    match args.json {
        true => upgrade.print()?,
        false => print!("{}", upgrade.render(width())),
    }
    report::write_all(&record, &folder).map_err(|error| report_failure(&error))?;
    if args.out.is_none() {
        point_latest(&folder);
    }
    eprintln!("report: {}", folder.display());
    Ok(ExitCode::from(upgrade.exit_code(&record)))
}

/// Gives each newer object its older build.
fn pair(old: &Plan, new: &mut Plan, args: &UpgradeArgs) -> Result<(), Failure> {
    let mut pins = false;
    for (newer, older) in older_builds(&args.old, old, new)? {
        pins |= newer.upgrades(older, args.pin_all);
    }
    if pins {
        return Ok(());
    }
    let hint = "`--pin-all` pins every map by its name, as `bpf_object__pin_maps` does";
    Err(Failure::input(format!("`{}` pins no map, so no data survives", args.old.display()), Some(hint.to_owned())))
}

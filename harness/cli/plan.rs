//! `corematrix plan`: what a run would do and in which parts, without booting anything.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{Common, MachineArgs, say};
use crate::matrix::{Inputs, Project};
use crate::plan::Plan;
use crate::plan::{Schedule, ScheduleFormat};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// What a run would load: BPF objects, folders of them, executables or libraries that embed them, suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// How to write it.
    #[arg(long, value_enum, default_value = "json")]
    format: ScheduleFormat,
    /// In how many parts at most; an object is never divided.
    #[arg(long, value_name = "N", default_value = "4")]
    partitions: NonZeroUsize,
}

pub(super) fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let mut inputs = project.inputs(&args.inputs, args.machine.offline, &say)?;
    project.assign_loaders(&mut inputs, &[])?;
    let Inputs { objects, settings, .. } = inputs;
    let schedule = Schedule::new(&Plan::new(kernels, objects, &settings), args.partitions.get());
    let text = schedule.render(args.format);
    print!("{}", text.map_err(|error| Failure::infrastructure(format!("cannot write the plan: {error}"), None))?);
    Ok(ExitCode::SUCCESS)
}

//! `corematrix plan`: what a run would do and in which parts, without booting anything.

mod minimal;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{Common, MachineArgs, say};
use crate::matrix::{Inputs, Project};
use crate::plan::Plan;
use crate::plan::{Schedule, ScheduleFormat};
use crate::record::exit_code;
use minimal::Minimal;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// BPF objects, directories, executables or libraries that embed objects, or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Show the smallest set of kernels that covers every predicted behaviour of the objects, among the stored kernels
    /// and those of `--btf`.
    #[arg(long, conflicts_with = "partitions")]
    minimal: bool,
    /// Add the BTF of more kernels: a BTF or ELF file, a directory, a pattern, or an archive in the layout of BTFHub;
    /// may be repeated.
    #[arg(long, value_name = "FILE|DIR|PATTERN", requires = "minimal")]
    btf: Vec<PathBuf>,
    /// Set the output format [default: json; text with `--minimal`].
    #[arg(long, value_enum)]
    format: Option<ScheduleFormat>,
    /// Set the maximum number of parts; an object is never split.
    #[arg(long, value_name = "N", default_value = "4")]
    partitions: NonZeroUsize,
}

pub(super) fn run(common: &Common, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    project.without_btf(&kernels).iter().for_each(|line| say(format!("note: {line}")));
    let mut inputs = project.inputs(&args.inputs, args.machine.offline, &say)?;
    project.assign_loaders(&mut inputs, &[])?;
    let Inputs { objects, settings, .. } = inputs;
    if args.minimal {
        let minimal = Minimal::of(&project, &objects, &args.btf)?;
        print!("{}", minimal.render(args.format).map_err(unwritable)?);
        return Ok(ExitCode::from(if minimal.is_partial() { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }));
    }
    let schedule = Schedule::new(&Plan::new(kernels, objects, &settings), args.partitions.get());
    let text = schedule.render(args.format.unwrap_or(ScheduleFormat::Json));
    print!("{}", text.map_err(unwritable)?);
    Ok(ExitCode::SUCCESS)
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::infrastructure(format!("cannot write the plan: {error}"), None)
}

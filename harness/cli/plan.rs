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
    /// What a run would load: BPF objects, folders of them, executables or libraries that embed them, suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Show instead the fewest kernels to boot that show everything that types predict of the objects, of the kernels in the store and
    /// of those that `--btf` names.
    #[arg(long, conflicts_with = "partitions")]
    minimal: bool,
    /// Types of more kernels: a BTF or ELF file, a folder of them, or an archive laid out as BTFHub's, with or without a pattern; may be
    /// repeated.
    #[arg(long, value_name = "FILE|DIR|PATTERN", requires = "minimal")]
    btf: Vec<PathBuf>,
    /// How to write it [default: json; text with --minimal].
    #[arg(long, value_enum)]
    format: Option<ScheduleFormat>,
    /// In how many parts at most; an object is never divided.
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

//! `corematrix predict`: the matrix without boots, from the types of kernels alone.

mod json;
mod known_types;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answer::Print;
use super::failure::Failure;
use super::{Common, say};
use crate::matrix::{Inputs, Project};
use crate::predict::{PredictedMatrix, Subject};
use crate::record::{PredictedOutcome, exit_code};
pub(super) use known_types::{TypesAtHand, known_types};

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// BPF objects, directories, archives, executables that embed objects, images or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    /// Read kernel BTF from a BTF or ELF file, a directory of such files, or an archive in the layout of BTFHub. A
    /// pattern such as `archive/ubuntu/20.04/x86_64/*` selects files; may be repeated [default: the stored kernels].
    #[arg(long, value_name = "FILE|DIR|PATTERN")]
    btf: Vec<PathBuf>,
    /// Print JSON, with every kernel.
    #[arg(long)]
    json: bool,
    /// Use no network: take images and BTF from the store.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(common: &Common, args: &PredictArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let Inputs { objects, notices, .. } = project.inputs(&args.inputs, args.offline, &say)?;
    notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let mut subjects = Vec::new();
    for object in &objects {
        let subject = Subject::of(object)
            .map_err(|reason| Failure::input(format!("`{}` cannot be read: {reason}", object.origin), None))?;
        subjects.push(subject);
    }
    let kernels = known_types(&project, &args.btf)?;
    let types = TypesAtHand::of(&project.store, subjects.iter());
    let matrix = PredictedMatrix::of(&subjects, kernels, |kernel| types.read(kernel));
    match args.json {
        true => json::whole(&subjects, &matrix).print()?,
        false => print!("{}", table::whole(&subjects, &matrix)),
    }
    let unread = matrix.cells.iter().filter(|cells| cells.is_err()).count();
    if unread > 0 {
        return Ok(ExitCode::from(exit_code::INFRASTRUCTURE));
    }
    let mut outcomes = matrix.cells.iter().flatten().flatten().flat_map(|cell| &cell.programs);
    let all_resolve = outcomes.all(PredictedOutcome::resolves);
    Ok(ExitCode::from(if all_resolve { exit_code::GOOD } else { exit_code::PROGRAM_FAILED }))
}

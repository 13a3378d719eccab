//! `corematrix predict`: the matrix without boots, from the types of kernels alone.

mod json;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{Common, say};
use crate::matrix::{Inputs, Project};
use crate::predict::{PredictedKernel, PredictedMatrix, PredictedOutcome, Subject};
use crate::record::exit_code;
use crate::source::BtfFile;

/// The group of the kernels of the store.
const STORE: &str = "store";

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// What to predict for: BPF objects, folders, archives, executables that embed objects, images, suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    /// Types of kernels: a BTF or ELF file, a folder of them, or an archive laid out as BTFHub's, with or without a pattern such as
    /// `archive/ubuntu/20.04/x86_64/*`; may be repeated [default: the kernels of the store].
    #[arg(long, value_name = "FILE|DIR|PATTERN")]
    btf: Vec<PathBuf>,
    /// Write every kernel as JSON.
    #[arg(long)]
    json: bool,
    /// Do not use the network.
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
    let kernels = kernels(&project, &args.btf)?;
    let types = |kernel: &PredictedKernel| project.store.type_table(&kernel.types).map_err(|error| error.to_string());
    let matrix = PredictedMatrix::of(&subjects, kernels, types);
    match args.json {
        true => println!("{:#}", json::whole(&subjects, &matrix)),
        false => print!("{}", table::whole(&subjects, &matrix)),
    }
    let unread = matrix.cells.iter().filter(|cells| cells.is_err()).count();
    if unread > 0 {
        return Ok(ExitCode::from(exit_code::INFRASTRUCTURE));
    }
    let mut outcomes = matrix.cells.iter().flatten().flatten().flat_map(|cell| &cell.programs);
    let all_resolve = outcomes.all(|outcome| *outcome == PredictedOutcome::Resolves);
    Ok(ExitCode::from(if all_resolve { exit_code::GOOD } else { exit_code::PROGRAM_FAILED }))
}

/// The kernels of the places that were named, or those of the store.
fn kernels(project: &Project, places: &[PathBuf]) -> Result<Vec<PredictedKernel>, Failure> {
    let mut kernels = Vec::new();
    for place in places {
        let hint = "name raw BTF, an ELF file with `.BTF`, or a folder of such files".to_owned();
        let files = BtfFile::list(place).map_err(|error| Failure::input(error, Some(hint)))?;
        let kernel = |file: BtfFile| PredictedKernel { group: file.group, release: file.release, types: file.path };
        kernels.extend(files.into_iter().map(kernel));
    }
    if places.is_empty() {
        let mut known = project.store.kernels();
        known.sort_by_cached_key(|(_, kernel)| crate::source::age(&kernel.identity.release));
        for (_, kernel) in known {
            let Some(types) = kernel.types().map(ToOwned::to_owned) else { continue };
            kernels.push(PredictedKernel { group: STORE.to_owned(), release: kernel.identity.release, types });
        }
        if kernels.is_empty() {
            let hint = "`corematrix run` fetches kernels; `--btf` names the types of others".to_owned();
            return Err(Failure::infrastructure("the store has no kernel with types", Some(hint)));
        }
    }
    Ok(kernels)
}

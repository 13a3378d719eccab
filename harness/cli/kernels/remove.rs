//! `corematrix kernels rm`: take kernels out of the store.

use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::super::Common;
use super::super::failure::Failure;
use super::super::failure::store_failure;
use crate::matrix::Project;
use crate::nearest::nearest;

#[derive(Debug, Args)]
pub(in super::super) struct RemoveArgs {
    /// Names of kernels, as declared when they were fetched.
    #[arg(required = true, value_name = "KERNEL")]
    names: Vec<String>,
}

pub(in super::super) fn run(common: &Common, args: &RemoveArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let folders = project.store.folders().map_err(store_failure)?;
    let known: Vec<&str> = folders.iter().filter_map(|folder| folder.kernel.as_deref()).collect();
    for name in &args.names {
        if !known.contains(&name.as_str()) {
            let hint = match nearest(name, known.iter().copied(), 1).first() {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`corematrix store` lists stored kernels".to_owned(),
            };
            return Err(Failure::input(format!("kernel `{name}` is not stored"), Some(hint)));
        }
    }
    for folder in folders.iter().filter(|folder| folder.kernel.as_ref().is_some_and(|name| args.names.contains(name))) {
        let bytes = folder.bytes();
        project.store.remove_folder(folder).map_err(store_failure)?;
        println!("removed {}: {}", folder.name, ByteSize(bytes));
    }
    println!("pins are kept: the next run fetches the same kernels");
    Ok(ExitCode::SUCCESS)
}

//! `corematrix list`: objects and programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::answer::{ListedObject, ObjectList, Print};
use super::failure::Failure;
use super::{Common, say};
use crate::matrix::{Inputs, Project};
use crate::object::listing;

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Objects.
    Objects,
    /// Objects, with their programs and maps.
    Programs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// What to list.
    what: What,
    /// BPF objects, directories, archives, executables, images (`oci://REGISTRY/NAME@sha256:DIGEST`) or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml")]
    inputs: Vec<PathBuf>,
    /// Use no network: take images from the store.
    #[arg(long)]
    offline: bool,
    /// Print JSON; programs are always included.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(common: &Common, args: &ListArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    match (args.what, args.inputs.is_empty()) {
        (_, true) => {
            let hint = "name objects, directories, archives, executables that embed objects, images, or suite files";
            return Err(Failure::input("no inputs to list", Some(hint.to_owned())));
        }
        (what, false) => {
            let Inputs { objects, notices, .. } = project.inputs(&args.inputs, args.offline, &say)?;
            match args.json {
                true => ObjectList { objects: objects.iter().map(ListedObject::of).collect() }.print()?,
                false => println!("{}", listing::describe(&objects, what == What::Programs)),
            }
            notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

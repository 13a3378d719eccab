//! `corematrix list`: kernels, objects, programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::Common;
use super::failure::Failure;
use super::setup::{Inputs, Setup};
use crate::object::listing;

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The kernels of the manifest, and what is pinned for each.
    Kernels,
    /// The objects in the inputs.
    Objects,
    /// The objects with their programs and maps.
    Programs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// What to list.
    what: What,
    /// Objects, folders, executables or suites.
    #[arg(value_name = "OBJECT|BINARY|DIR|SUITE.toml")]
    inputs: Vec<PathBuf>,
    /// Do without the network.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(common: &Common, args: &ListArgs) -> Result<ExitCode, Failure> {
    let setup = Setup::load(common)?;
    match (args.what, args.inputs.is_empty()) {
        (What::Kernels, true) => println!("{}", kernels(&setup)),
        (What::Kernels, false) => {
            return Err(Failure::input("`list kernels` takes no inputs", Some("leave them out".to_owned())));
        }
        (_, true) => {
            let hint = "name objects, folders, executables that embed objects, or suite files";
            return Err(Failure::input("no inputs to list", Some(hint.to_owned())));
        }
        (what, false) => {
            let Inputs { objects, notices, .. } = setup.objects(&args.inputs, args.offline)?;
            println!("{}", listing::describe(&objects, what == What::Programs));
            notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn kernels(setup: &Setup) -> String {
    let mut table = Builder::default();
    table.push_record(["kernel", "matrix", "source", "pinned release"]);
    for spec in &setup.manifest.kernels {
        let member = match (setup.manifest.matrix.contains(&spec.name), spec.optional) {
            (true, true) => "optional",
            (true, false) => "yes",
            (false, _) => "",
        };
        let pinned = setup.lock.kernel(&spec.name).map_or_else(String::new, |locked| locked.release);
        table.push_record([spec.name.clone(), member.to_owned(), spec.source.to_string(), pinned]);
    }
    table.build().with(Style::blank()).to_string()
}

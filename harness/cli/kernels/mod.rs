//! `corematrix kernels`: the kernels of the manifest and the store: what they are, where they come from, what they can do.

mod add;
mod catalogue;
mod diff;
mod list;
mod outdated;
mod probe;
mod pull;
mod remove;
mod show;
mod update;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct KernelsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the kernels of the manifest: what is pinned, and what the store has.
    List(list::ListArgs),
    /// Show all that is known of a kernel.
    Show(show::ShowArgs),
    /// Fetch kernels into the store, and pin them.
    Pull(pull::PullArgs),
    /// List the kernels of distributions that can be added, or chosen by --kernel, by name.
    Catalogue(catalogue::CatalogueArgs),
    /// Declare a kernel in the manifest.
    Add(add::AddArgs),
    /// Pin the kernels that are not yet, or check that all are.
    Lock(pull::LockArgs),
    /// Show which pinned kernels have moved on, without fetching anything.
    Outdated(outdated::OutdatedArgs),
    /// Pin the newest of each kernel, after showing what it has different.
    Update(update::UpdateArgs),
    /// Check that the store's files are what was put there; with --boot also that the kernels boot.
    Verify(verify::VerifyArgs),
    /// Remove kernels from the store.
    Rm(remove::RemoveArgs),
    /// Ask kernels which helpers, map types, program types and attach types they have; each is booted once and remembered.
    Probe(probe::ProbeArgs),
    /// Show what differs between two kernels: config options, types, and the fields of those that are named.
    Diff(diff::DiffArgs),
}

pub(super) fn run(common: &Common, args: &KernelsArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::List(args) => list::run(common, args),
        Verb::Show(args) => show::run(common, args),
        Verb::Pull(args) => pull::run(common, args),
        Verb::Catalogue(args) => catalogue::run(common, args),
        Verb::Add(args) => add::run(common, args),
        Verb::Lock(args) => pull::lock(common, args),
        Verb::Outdated(args) => outdated::run(common, args),
        Verb::Update(args) => update::run(common, args),
        Verb::Verify(args) => verify::run(common, args),
        Verb::Rm(args) => remove::run(common, args),
        Verb::Probe(args) => probe::run(common, args),
        Verb::Diff(args) => diff::run(common, args),
    }
}

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
    /// List declared kernels, and which of them are pinned and stored.
    List(list::ListArgs),
    /// Show everything that is known about a kernel.
    Show(show::ShowArgs),
    /// Fetch kernels into the store, and pin them in the lock file.
    Pull(pull::PullArgs),
    /// List the distribution kernels that `kernels add` and `--kernel` accept by name.
    Catalogue(catalogue::CatalogueArgs),
    /// Declare a kernel in the manifest.
    Add(add::AddArgs),
    /// Pin kernels that are not pinned yet, or check that all are pinned.
    Lock(pull::LockArgs),
    /// Show which pinned kernels have newer versions, without fetching them.
    Outdated(outdated::OutdatedArgs),
    /// Pin the newest version of each kernel, and show how it differs from the pinned one.
    Update(update::UpdateArgs),
    /// Check the checksums of stored kernels and, with `--boot`, that the kernels boot.
    Verify(verify::VerifyArgs),
    /// Remove kernels from the store.
    Rm(remove::RemoveArgs),
    /// Probe kernels for helpers, map types, program types and attach types. Each kernel is booted once; the results
    /// are stored.
    Probe(probe::ProbeArgs),
    /// Show the differences between two kernels: config options, types, and fields of named types.
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

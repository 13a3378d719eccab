//! `corematrix btf`: what the types of kernels show, without booting any.

mod find;
mod history;
mod known_kernels;
mod min;
mod vmlinux_h;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Common;
use super::failure::Failure;
pub(super) use known_kernels::KnownKernels;

#[derive(Debug, Args)]
pub(super) struct BtfArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show which kernels have a type, field, enumerator, function or variable, with its offset and type on each.
    Find(find::FindArgs),
    /// Show the history of a type, field, enumerator, function or variable across all known kernels.
    History(history::HistoryArgs),
    /// Write the minimal BTF that objects need, for loaders on kernels without BTF.
    Min(min::MinArgs),
    /// Write the types of a kernel as a C header (`vmlinux.h`).
    VmlinuxH(vmlinux_h::VmlinuxHArgs),
}

pub(super) fn run(common: &Common, args: &BtfArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::Find(args) => find::run(common, args),
        Verb::History(args) => history::run(common, args),
        Verb::Min(args) => min::run(common, args),
        Verb::VmlinuxH(args) => vmlinux_h::run(common, args),
    }
}

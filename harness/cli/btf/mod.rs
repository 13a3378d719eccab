//! `corematrix btf`: what the types of kernels tell, without booting any.

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
    /// Show which kernels have a type, field, enumerator, function or variable, where it lies and what it is there.
    Find(find::FindArgs),
    /// Show a type, field, enumerator, function or variable through all kernels of which there are types.
    History(history::HistoryArgs),
    /// Write as little BTF as objects need, for loaders on kernels that have none.
    Min(min::MinArgs),
    /// Write the types of a kernel as one C header to compile BPF programs with.
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

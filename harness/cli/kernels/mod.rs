//! `corematrix kernels`: what can be told of kernels themselves.

mod diff;
mod probe;

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
    /// Ask kernels which helpers, map types, program types and attach types they have; each is booted once and remembered.
    Probe(probe::ProbeArgs),
    /// Show what differs between two kernels: config options, types, and the fields of those that are named.
    Diff(diff::DiffArgs),
}

pub(super) fn run(common: &Common, args: &KernelsArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::Probe(args) => probe::run(common, args),
        Verb::Diff(args) => diff::run(common, args),
    }
}

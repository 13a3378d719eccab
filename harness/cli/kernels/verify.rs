//! `corematrix kernels verify`: whether what the store has is what was put there, and boots.

use std::process::ExitCode;

use clap::Args;

use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::super::say;
use super::super::{Common, MachineArgs};
use crate::matrix::{Matrix, Project};
use crate::record::exit_code;
use crate::run;
use crate::vm::{GuestLink, Machine, MachineSpec};

#[derive(Debug, Args)]
pub(in super::super) struct VerifyArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Boot each kernel, too.
    #[arg(long)]
    boot: bool,
}

pub(in super::super) fn run(common: &Common, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let folders = project.store.folders().map_err(store_failure)?;
    let mut bad = false;
    for spec in &kernels {
        let own: Vec<_> = folders.iter().filter(|folder| folder.kernel.as_ref() == Some(&spec.name)).collect();
        if own.is_empty() {
            println!("{}: not in the store", spec.name);
            bad |= !spec.optional;
            continue;
        }
        for folder in own {
            match &folder.damaged_files()[..] {
                [] => println!("{}: {}: sound", spec.name, folder.name),
                damaged => {
                    bad = true;
                    println!("{}: {}: damaged: {}", spec.name, folder.name, damaged.join(", "));
                    println!("  hint: `corematrix kernels rm {}` removes it; the next run fetches it anew", spec.name);
                }
            }
        }
    }
    if args.boot {
        bad |= !boot_all(&project, args)?;
    }
    Ok(ExitCode::from(if bad { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

/// Boots the kernels one after the other; whether all that are needed did.
fn boot_all(project: &Project, args: &VerifyArgs) -> Result<bool, Failure> {
    let tools = project.tools()?;
    let mut all = true;
    let kernels = project.kernels(&args.machine.kernel)?;
    let matrix = Matrix::new(project, args.machine.options()?);
    let accelerator = matrix.accelerator(&kernels, &say)?.accelerator;
    for spec in &kernels {
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        let stored = match project.store.kernel(spec, &project.lock, args.machine.offline, &step) {
            Ok(stored) => stored,
            Err(error) => {
                println!("{}: not booted: {}", spec.name, error.reason());
                all &= spec.optional && error.is_unavailable();
                continue;
            }
        };
        let at_once = || matrix.stop.at_once();
        let machine = MachineSpec::new(tools, spec, &stored, accelerator, &at_once);
        let proof = Machine::boot(&machine).and_then(|mut guest| {
            let proof = run::prove(&mut guest, &machine, &project.store)?;
            guest.shut_down();
            Ok(proof)
        });
        match proof.map_err(|failure| failure.reason().to_owned()) {
            Ok(proof) => {
                println!("{}: {} boots ({accelerator})", spec.name, stored.identity.release);
                proof.rows().iter().for_each(|(name, value)| println!("  {name:<20} {value}"));
            }
            Err(reason) => {
                all = false;
                println!("{}: {} does not boot: {reason}", spec.name, stored.identity.release);
            }
        }
    }
    Ok(all)
}

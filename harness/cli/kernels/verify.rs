//! `corematrix kernels verify`: whether what the store has is what was put there, and boots.

use std::process::ExitCode;

use clap::Args;

use super::super::answer::{BootedKernel, Print, VerifiedFolder, VerifiedKernel, VerifiedKernels};
use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::super::say;
use super::super::{Common, MachineArgs};
use crate::manifest::KernelSpec;
use crate::matrix::{Matrix, Project};
use crate::record::exit_code;
use crate::run;
use crate::vm::{Accelerator, GuestLink, GuestShape, Machine, MachineSpec};

#[derive(Debug, Args)]
pub(in super::super) struct VerifyArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Also boot each kernel.
    #[arg(long)]
    boot: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    project.learn_builds(&args.machine.kernel, args.machine.offline || !args.boot, &say)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let folders = project.store.folders().map_err(store_failure)?;
    let of = |spec: &KernelSpec| {
        let own = folders.iter().filter(|folder| folder.kernel.as_ref() == Some(&spec.name));
        let versions =
            own.map(|folder| VerifiedFolder { name: folder.name.clone(), damaged_files: folder.damaged_files() });
        VerifiedKernel { name: spec.name.clone(), optional: spec.optional, versions: versions.collect() }
    };
    let mut answer = VerifiedKernels { kernels: Vec::new(), boots: Vec::new() };
    let mut bad = false;
    for kernel in kernels.iter().map(of) {
        bad |= kernel.versions.is_empty() && !kernel.optional;
        bad |= kernel.versions.iter().any(|version| !version.damaged_files.is_empty());
        if !args.json {
            tell(&kernel);
        }
        answer.kernels.push(kernel);
    }
    if args.boot {
        bad |= !boot_all(&project, args, &mut answer.boots)?;
    }
    if args.json {
        answer.print()?;
    }
    Ok(ExitCode::from(if bad { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

fn tell(kernel: &VerifiedKernel) {
    let name = &kernel.name;
    if kernel.versions.is_empty() {
        println!("{name}: not stored");
    }
    for version in &kernel.versions {
        match &version.damaged_files[..] {
            [] => println!("{name}: {}: intact", version.name),
            damaged => {
                println!("{name}: {}: damaged: {}", version.name, damaged.join(", "));
                println!("  hint: `corematrix kernels rm {name}` removes it; the next run fetches it again");
            }
        }
    }
}

fn tell_boot(kernel: &BootedKernel, accelerator: Accelerator) {
    let (name, release) = (&kernel.name, kernel.release.as_deref().unwrap_or_default());
    let reason = kernel.reason.as_deref().unwrap_or_default();
    match kernel.boots {
        Some(true) => println!("{name}: {release} boots ({accelerator})"),
        Some(false) => println!("{name}: {release} does not boot: {reason}"),
        None => println!("{name}: not booted: {reason}"),
    }
}

/// Boots the kernels one after the other; whether all that are needed did.
fn boot_all(project: &Project, args: &VerifyArgs, boots: &mut Vec<BootedKernel>) -> Result<bool, Failure> {
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
                all &= spec.optional && error.is_unavailable();
                let reason = Some(error.reason());
                let kernel = BootedKernel { reason, ..BootedKernel::untried(&spec.name) };
                if !args.json {
                    tell_boot(&kernel, accelerator);
                }
                boots.push(kernel);
                continue;
            }
        };
        let at_once = || matrix.stop.at_once();
        let shape = GuestShape::of(spec);
        let machine = MachineSpec::new(tools, spec, (&stored, &shape), accelerator, &at_once);
        let proof = Machine::boot(&machine).and_then(|mut guest| {
            let proof = run::prove(&mut guest, &machine, &project.store)?;
            guest.shut_down();
            Ok(proof)
        });
        let mut kernel =
            BootedKernel { release: Some(stored.identity.release.clone()), ..BootedKernel::untried(&spec.name) };
        kernel.boots = Some(proof.is_ok());
        all &= proof.is_ok();
        let rows = match proof {
            Ok(proof) => proof.rows(),
            Err(failure) => {
                kernel.reason = Some(failure.reason().to_owned());
                Vec::new()
            }
        };
        if !args.json {
            tell_boot(&kernel, accelerator);
            rows.iter().for_each(|(name, value)| println!("  {name:<20} {value}"));
        }
        kernel.facts = rows.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
        boots.push(kernel);
    }
    Ok(all)
}

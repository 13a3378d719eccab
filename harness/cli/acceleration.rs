//! Chooses the accelerator of a run by booting a kernel of the matrix.

use super::MachineArgs;
use super::setup::Setup;
use crate::manifest::KernelSpec;
use crate::plan::Plan;
use crate::run::Stop;
use crate::store::StoredKernel;
use crate::vm::{self, Accelerator, BootFailure, Choice, Deadlines, Machine, MachineSpec, Proof, Toolchain};

/// Where the store remembers whether KVM works.
const MEMORY: &str = "kvm.json";

/// Chooses; boots the first kernel of the plan that can be had if KVM has yet to be proven.
pub(super) fn choose(setup: &Setup, tools: &Toolchain, plan: &Plan, args: &MachineArgs, stop: &Stop) -> Proof {
    let memory = setup.store.root().join(MEMORY);
    vm::choose(args.accel, tools, Some(&memory), || {
        eprintln!("proving KVM by booting a kernel");
        let step = |step: String| eprintln!("  {step}");
        // Those that the matrix needs are the likely ones to be had.
        let needed = plan.kernels.iter().filter(|spec| !spec.optional);
        let kernel = needed.chain(plan.kernels.iter().filter(|spec| spec.optional)).find_map(|spec| {
            let stored = setup.store.kernel(spec, &setup.lock, args.offline, &step).ok()?;
            Some((spec, stored))
        });
        let (spec, stored) = kernel.ok_or("no kernel of the matrix can be had to prove it with")?;
        boot_once(tools, spec, &stored, Accelerator::Kvm, stop)
    })
}

/// Boots a kernel and ends it again.
pub(super) fn boot_once(
    tools: &Toolchain,
    spec: &KernelSpec,
    stored: &StoredKernel,
    accelerator: Accelerator,
    stop: &Stop,
) -> Result<(), String> {
    let stop = || stop.at_once();
    let machine = Machine::boot(&MachineSpec {
        tools,
        kernel: stored,
        memory_mib: spec.memory_mib,
        append: &spec.append,
        accelerator,
        deadline: Deadlines::scaled(spec.boot_timeout, spec.program_timeout, accelerator).boot,
        stop: &stop,
    });
    match machine {
        Ok(machine) => {
            machine.shut_down();
            Ok(())
        }
        Err(BootFailure::Kernel { reason, .. } | BootFailure::Harness { reason, .. }) => Err(reason),
        Err(BootFailure::Stopped) => Err("stopped by the user".to_owned()),
    }
}

/// What the user should know about the accelerator.
pub(super) fn notices(tools: &Toolchain, proof: &Proof, asked: Choice) -> Vec<String> {
    let mut notices = Vec::new();
    if proof.accelerator == Accelerator::Tcg {
        if asked == Choice::Auto {
            notices.push(format!("running under emulation: {}", proof.reason));
        }
        notices.extend(tools.emulation_warning());
    }
    notices
}

//! Chooses the accelerator of a run by booting a kernel of the matrix.

use super::MachineArgs;
use super::setup::Setup;
use crate::manifest::KernelSpec;
use crate::plan::Plan;
use crate::run::Stop;
use crate::store::StoredKernel;
use crate::vm::{self, Accelerator, BootFailure, Choice, GuestLink, Machine, MachineSpec, NoProof, Proof, Toolchain};

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
        let undecided = || NoProof::Undecided("no kernel of the matrix can be had to prove it with".to_owned());
        let (spec, stored) = kernel.ok_or_else(undecided)?;
        prove_kvm(tools, spec, &stored, stop)
    })
}

/// Boots a kernel under KVM. One that does not boot without KVM either proves nothing.
pub(super) fn prove_kvm(
    tools: &Toolchain,
    spec: &KernelSpec,
    stored: &StoredKernel,
    stop: &Stop,
) -> Result<(), NoProof> {
    let boot = |accelerator| boot_once(tools, spec, stored, accelerator, stop);
    match boot(Accelerator::Kvm) {
        Ok(()) => Ok(()),
        Err(BootFailure::Stopped) => Err(NoProof::Undecided("stopped by the user".to_owned())),
        // No room, no program: trouble that has nothing to do with KVM.
        Err(BootFailure::Harness { reason, passing: false, .. } | BootFailure::Unfit { reason, .. }) => {
            Err(NoProof::Undecided(reason))
        }
        Err(BootFailure::Kernel { reason, .. } | BootFailure::Harness { reason, .. }) => match boot(Accelerator::Tcg) {
            Ok(()) => Err(NoProof::Failed(reason)),
            Err(_) => {
                Err(NoProof::Undecided(format!("kernel `{}` boots neither with it nor without: {reason}", spec.name)))
            }
        },
    }
}

/// Boots a kernel and ends it again.
pub(super) fn boot_once(
    tools: &Toolchain,
    spec: &KernelSpec,
    stored: &StoredKernel,
    accelerator: Accelerator,
    stop: &Stop,
) -> Result<(), BootFailure> {
    let stop = || stop.at_once();
    let machine = Machine::boot(&MachineSpec::new(tools, spec, stored, accelerator, &stop));
    machine.map(|mut machine| machine.shut_down())
}

/// What kept a kernel from booting, in words.
pub(super) fn reason(failure: BootFailure) -> String {
    failure.reason().to_owned()
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

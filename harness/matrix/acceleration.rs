//! Chooses the accelerator of a run by booting a kernel of the matrix.

use super::error::MatrixError;
use super::project::Project;
use super::{KVM_MEMORY, Options};
use crate::manifest::KernelSpec;
use crate::run::Stop;
use crate::store::StoredKernel;
use crate::vm::{
    self, Accelerator, AcceleratorFailure, BootFailure, Choice, GuestLink, GuestShape, KvmMemory, Machine, MachineSpec,
    ProvenAccelerator, Toolchain,
};

/// Chooses; boots the first of these kernels that the store can get if KVM has yet to be proven.
///
/// # Errors
/// If KVM was asked for and cannot be used.
pub(super) fn choose(
    project: &Project,
    kernels: &[KernelSpec],
    options: &Options,
    stop: &Stop,
    say: &dyn Fn(String),
) -> Result<ProvenAccelerator, MatrixError> {
    let tools = project.tools()?;
    let memory = KvmMemory { file: &project.store.root().join(KVM_MEMORY), anew: false };
    let proof = vm::choose(options.accelerator, tools, memory, |patience| {
        say("checking KVM with a test boot".to_owned());
        let step = |step: String| say(format!("  {step}"));
        // Those that the matrix needs are the likely ones to be available.
        let needed = kernels.iter().filter(|spec| !spec.optional);
        let kernel = needed.chain(kernels.iter().filter(|spec| spec.optional)).find_map(|spec| {
            let stored = project.store.kernel(spec, &project.lock, options.offline, &step).ok()?;
            Some((spec, stored))
        });
        let undecided = || undecided("no kernel of the matrix is available for a test boot".to_owned(), None);
        let (spec, stored) = kernel.ok_or_else(undecided)?;
        prove_kvm(tools, spec, &stored, patience, stop)
    });
    Ok(proof?)
}

/// Boots a kernel under KVM, which may take `patience` times as long as usual. One that does not boot without KVM either proves nothing.
///
/// # Errors
/// Whether KVM failed, or nothing is known.
pub fn prove_kvm(
    tools: &Toolchain,
    spec: &KernelSpec,
    stored: &StoredKernel,
    patience: u32,
    stop: &Stop,
) -> Result<(), AcceleratorFailure> {
    let boot = |accelerator, patience| boot_once(tools, spec, stored, (accelerator, patience), stop);
    match boot(Accelerator::Kvm, patience) {
        Ok(()) => Ok(()),
        Err(BootFailure::Stopped) => Err(undecided("stopped by the user".to_owned(), None)),
        // No room, no program: failures that have nothing to do with KVM.
        Err(BootFailure::Harness { reason, hint, passing: false, .. }) => Err(undecided(reason, hint)),
        Err(BootFailure::Unfit { reason, hint }) => Err(undecided(reason, Some(hint))),
        Err(BootFailure::Kernel { reason, .. } | BootFailure::Harness { reason, .. }) => {
            match boot(Accelerator::Tcg, 1) {
                Ok(()) => Err(AcceleratorFailure::Failed(reason)),
                Err(failure) => {
                    let reason =
                        format!("kernel `{}` does not boot, neither with KVM nor without: {reason}", spec.name);
                    Err(undecided(reason, failure.hint().map(str::to_owned)))
                }
            }
        }
    }
}

fn undecided(reason: String, hint: Option<String>) -> AcceleratorFailure {
    AcceleratorFailure::Undecided { reason, hint }
}

/// Boots a kernel and ends it again. It may take so many times as long as usual.
///
/// # Errors
/// Why it did not boot.
pub fn boot_once(
    tools: &Toolchain,
    spec: &KernelSpec,
    stored: &StoredKernel,
    (accelerator, patience): (Accelerator, u32),
    stop: &Stop,
) -> Result<(), BootFailure> {
    let stop = || stop.at_once();
    let shape = GuestShape::of(spec);
    let mut spec = MachineSpec::new(tools, spec, (stored, &shape), accelerator, &stop);
    spec.deadlines.boot = spec.deadlines.boot.saturating_mul(patience);
    Machine::boot(&spec).map(|mut machine| machine.shut_down())
}

/// What the user should know about the accelerator.
pub(super) fn notices(tools: &Toolchain, proof: &ProvenAccelerator, asked: Choice) -> Vec<String> {
    let mut notices = Vec::new();
    if proof.accelerator == Accelerator::Tcg {
        if asked == Choice::Auto {
            let advice = proof.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
            notices.push(format!("running under emulation: {}{advice}", proof.reason));
        }
        notices.extend(tools.emulation_warning());
    }
    notices
}

//! [`prove`]: asks a guest what is active in it, and keeps that as the proof that its kernel boots.

use crate::protocol::facts::KernelFacts;
use crate::protocol::{GuestMessage, HostMessage};
use crate::store::{ProofOfBoot, Store};
use crate::timestamp;
use crate::vm::{BootFailure, GuestLink, GuestLoss, Machine, MachineSpec};

/// Asks the guest what is active in it, and keeps the answer in the store. `spec` is what the machine was made with.
///
/// # Errors
/// [`BootFailure`] if the guest does not answer, or is not what the store says; the machine is of no use then.
pub fn prove(machine: &mut Machine, spec: &MachineSpec<'_>, store: &Store) -> Result<ProofOfBoot, BootFailure> {
    let asked = machine
        .send(&HostMessage::TellFacts, &[], spec.deadlines.boot, spec.stop)
        .and_then(|()| machine.receive(spec.deadlines.boot, spec.stop));
    let facts = match asked {
        Ok((GuestMessage::Facts(facts), _)) => *facts,
        Ok((other, _)) => return Err(lost(GuestLoss::Harness(format!("it sent {}", other.name())), machine)),
        Err(loss) => return Err(lost(loss, machine)),
    };
    expect_build_id(spec.kernel.build_id.as_deref(), &facts, machine)?;
    let restored = machine.woken.is_some();
    let proof = ProofOfBoot {
        booted: timestamp::now(),
        hello_ms: (!restored).then(|| u64::try_from(machine.to_hello.as_millis()).unwrap_or(u64::MAX)),
        qemu: spec.tools.qemu_version.clone(),
        virtme_ng: spec.tools.virtme_version.clone(),
        accelerator: spec.accelerator.to_string(),
        append: spec.shape.append.clone(),
        facts,
    };
    // Not being able to keep it costs a question the next time and nothing else.
    let _ = store.save_proof(&spec.kernel.identity, proof.clone());
    Ok(proof)
}

/// Two builds may have one release.
fn expect_build_id(stored: Option<&str>, facts: &KernelFacts, machine: &Machine) -> Result<(), BootFailure> {
    match (stored, facts.build_id.as_deref()) {
        (Some(stored), Some(running)) if stored != running => Err(BootFailure::Kernel {
            reason: format!("the guest runs a kernel with build id `{running}`, but its image has `{stored}`"),
            hint: Some("the store entry is damaged: remove its directory; the next run creates it again".to_owned()),
            console: machine.console_tail(),
        }),
        _ => Ok(()),
    }
}

fn lost(loss: GuestLoss, machine: &Machine) -> BootFailure {
    let console = machine.console_tail();
    let silent = |what: &str| format!("the guest did not report its release and build id: {what}");
    match loss {
        GuestLoss::Crashed(line) => BootFailure::Kernel { reason: silent(&line), hint: None, console },
        GuestLoss::Silent => BootFailure::Kernel { reason: silent("no response in time"), hint: None, console },
        GuestLoss::Harness(line) => BootFailure::Harness { reason: silent(&line), hint: None, console, passing: true },
        GuestLoss::Stopped => BootFailure::Stopped,
    }
}

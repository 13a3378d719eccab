//! [`attach_under_lockdown`]: a program that a setting of its machine keeps from loading or from attaching; [`unavailable`]: a machine
//! that is not as it was wanted.

use super::{Case, Diagnosis};
use crate::record::{AttachOutcome, Cause, Evidence, MachineRecord, ProgramRecord, Verdict};

const CONFIDENTIALITY: &str = "confidentiality";
/// Helpers that no program gets under this lockdown (`bpf_tracing_func_proto`), as `enum bpf_func_id` has them.
const READ_KERNEL: [&str; 4] =
    ["bpf_probe_read", "bpf_probe_read_str", "bpf_probe_read_kernel", "bpf_probe_read_kernel_str"];
/// The helper that no program gets under any lockdown.
const WRITE_USER: &str = "bpf_probe_write_user";
/// The kernel's own `ENOTSUPP`: what it cannot compile it does not run either.
const ENOTSUPP: i32 = 524;
/// What kernels say of a tail call in a function.
const MIXED: &str = "mixing of tail_calls and bpf-to-bpf calls is not supported";
/// The release of Linux whose JIT can do that.
const TAIL_CALLS_MIXED: (u32, u32) = (5, 10);

/// The diagnosis, or that a setting of the machine is the cause of the failure, where the kernel's words and the setting leave no doubt.
pub(super) fn unless_forbidden(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    let Some(machine) = case.machine.filter(|_| diagnosis.verdict != Verdict::Loaded) else { return diagnosis };
    by_lockdown(case, machine, &diagnosis).or_else(|| without_jit(case, machine, &diagnosis)).unwrap_or(diagnosis)
}

/// The kernel gives a helper to no one while it is locked down, and calls it unknown.
fn by_lockdown(case: &Case<'_>, machine: &MachineRecord, diagnosis: &Diagnosis) -> Option<Diagnosis> {
    let level = machine.lockdown.as_deref()?;
    if !matches!(diagnosis.cause, Some(Cause::UnknownHelper | Cause::ForbiddenHelper)) {
        return None;
    }
    let evidence = diagnosis.evidence.as_ref()?;
    let helper = evidence.subject.as_deref()?.split('#').next()?;
    let does = match helper {
        _ if level == CONFIDENTIALITY && READ_KERNEL.contains(&helper) => "reading kernel memory",
        WRITE_USER => "writing to the memory of processes",
        _ => return None,
    };
    // What the kernel does not have is no matter of its lockdown.
    let enumerator = helper.replacen("bpf_", "BPF_FUNC_", 1);
    if case.kernel.has_enumerator("bpf_func_id", &enumerator) == Some(false) {
        return None;
    }
    let reason = format!("kernel lockdown (`{level}`) forbids {does}: {}", evidence.line);
    let evidence = Evidence { subject: Some(format!("lockdown={level}")), ..evidence.clone() };
    Some(Diagnosis::of(Verdict::VerifierRejected, Cause::MachineSetting, evidence).because(reason))
}

/// What only machine code can do fails where the JIT is off, or where it gives a program up.
fn without_jit(case: &Case<'_>, machine: &MachineRecord, diagnosis: &Diagnosis) -> Option<Diagnosis> {
    let value = |name: &str| machine.sysctls.get(name).map(String::as_str);
    // Without a JIT kernels that can do it say what older ones say that cannot.
    let can_mix = case.kernel.release().is_some_and(|release| release >= TAIL_CALLS_MIXED);
    let mixes = can_mix && value(JIT_ENABLE) == Some("0");
    let is_jit = |line: &str| line.contains("non-JITed") || (mixes && line.contains(MIXED));
    let said = diagnosis.evidence.iter().map(|evidence| evidence.line.as_str()).chain(case.log.lines());
    let line = said.clone().find(|line| is_jit(line)).map(str::to_owned);
    let silent = || (case.outcome.errno == ENOTSUPP).then(|| super::errno::words(ENOTSUPP));
    let line = line.or_else(silent)?;
    let (setting, why) = match (value(JIT_ENABLE), value(JIT_HARDEN)) {
        (Some("0"), _) => (format!("{JIT_ENABLE}=0"), "the JIT is off"),
        (_, Some("2")) => (format!("{JIT_HARDEN}=2"), "constant blinding makes it too large for the JIT"),
        _ => return None,
    };
    let place = diagnosis.evidence.as_ref().and_then(|evidence| evidence.source.clone());
    let evidence = Evidence { line: line.clone(), subject: Some(setting.clone()), source: place };
    let diagnosis = Diagnosis::of(Verdict::VerifierRejected, Cause::MachineSetting, evidence);
    Some(diagnosis.because(format!("{why} (`{setting}`): {line}")))
}

/// The switch of the JIT.
pub const JIT_ENABLE: &str = "net.core.bpf_jit_enable";
/// The sysctl that has the JIT blind constants.
pub const JIT_HARDEN: &str = "net.core.bpf_jit_harden";

/// Names the lockdown where a program could not be attached for lack of permission: our loader lacks none of its own.
pub fn attach_under_lockdown(machine: Option<&MachineRecord>, record: &mut ProgramRecord) {
    let level = machine.and_then(|machine| machine.lockdown.as_deref()).filter(|level| *level == CONFIDENTIALITY);
    let failed = record.attach.as_ref().is_some_and(|attach| attach.outcome == AttachOutcome::Failed);
    let of_tracefs = || record.reason.as_deref().is_some_and(|reason| reason.contains("failed to create tracepoint"));
    let denied = match record.errno {
        Some(libc::EPERM | libc::EACCES) => true,
        // Under this lockdown tracefs is empty.
        Some(libc::ENOENT) => of_tracefs(),
        _ => false,
    };
    let (Some(level), true, true, Some(Cause::Unrecognised)) = (level, failed, denied, record.cause) else { return };
    let said = record.reason.take().unwrap_or_default();
    record.cause = Some(Cause::MachineSetting);
    record.reason = Some(format!("kernel lockdown (`{level}`) forbids kernel probes and tracing: {said}"));
    if let Some(evidence) = &mut record.evidence {
        evidence.subject = Some(format!("lockdown={level}"));
    }
}

/// A machine that is not as it was wanted does not show anything about the object.
pub fn unavailable(reason: String) -> Diagnosis {
    Diagnosis::of(Verdict::HarnessLimit, Cause::MachineUnavailable, Evidence::line(reason))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::refused;
    use super::*;

    fn locked(level: &str) -> MachineRecord {
        MachineRecord { lockdown: Some(level.to_owned()), ..MachineRecord::default() }
    }

    fn with(name: &str, value: &str) -> MachineRecord {
        let sysctls = [(name.to_owned(), value.to_owned())].into();
        MachineRecord { sysctls, ..MachineRecord::default() }
    }

    fn judged(machine: Option<&MachineRecord>, log: &str, errno: i32) -> (Option<Cause>, String) {
        let diagnosis = refused(machine, log, errno);
        (diagnosis.cause, diagnosis.reason.unwrap_or_default())
    }

    #[test]
    fn lockdown_and_not_the_kernel_lacks_the_helper() {
        let log = "5: (85) call bpf_probe_read_kernel#113\nprogram of this type cannot use helper bpf_probe_read_kernel#113\n";
        let (cause, reason) = judged(Some(&locked("confidentiality")), log, libc::EINVAL);
        assert_eq!(cause, Some(Cause::MachineSetting));
        assert!(reason.starts_with("kernel lockdown (`confidentiality`) forbids reading kernel memory: "), "{reason}");
        // Integrity lets it read.
        assert_eq!(judged(Some(&locked("integrity")), log, libc::EINVAL).0, Some(Cause::ForbiddenHelper));
        assert_eq!(judged(None, log, libc::EINVAL).0, Some(Cause::ForbiddenHelper));
        let other = "5: (85) call bpf_loop#181\nunknown func bpf_loop#181\n";
        assert_ne!(judged(Some(&locked("confidentiality")), other, libc::EINVAL).0, Some(Cause::MachineSetting));
        let write = "5: (85) call bpf_probe_write_user#36\nunknown func bpf_probe_write_user#36\n";
        assert_eq!(judged(Some(&locked("integrity")), write, libc::EINVAL).0, Some(Cause::MachineSetting));
    }

    #[test]
    fn what_needs_machine_code_names_the_setting_that_forbids_it() {
        let log = "calling kernel functions are not allowed in non-JITed programs\nprocessed 8 insns\n";
        let (cause, reason) = judged(Some(&with(JIT_ENABLE, "0")), log, libc::EINVAL);
        assert_eq!(cause, Some(Cause::MachineSetting));
        assert!(reason.starts_with("the JIT is off (`net.core.bpf_jit_enable=0`): calling kernel"), "{reason}");
        let (cause, reason) = judged(Some(&with(JIT_HARDEN, "2")), "processed 8 insns\n", ENOTSUPP);
        assert_eq!(cause, Some(Cause::MachineSetting));
        assert!(reason.starts_with("constant blinding makes it too large for the JIT"), "{reason}");
        // Blinding for those without CAP_BPF does not touch what the loader loads.
        assert_ne!(judged(Some(&with(JIT_HARDEN, "1")), log, libc::EINVAL).0, Some(Cause::MachineSetting));
    }
}

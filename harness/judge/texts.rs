//! [`of_verifier`] and [`of_libbpf`]: the cause that a text stands for. The verifier's are in `complaints.rs`, libbpf 1.7's here.

use super::complaints::{CLASSES, COMPLAINTS};
use crate::record::Cause;
use crate::record::Verdict;
use crate::verifier::VerifierFailure;

/// Warnings of libbpf. One may follow from another in any order, so the more specific rows come first. Those about maps are in `map.rs`.
const LIBBPF: &[(&[&str], Verdict, Cause)] = &[
    (&["target program `", "does not load: "], Verdict::HarnessLimit, Cause::TargetNotLoaded),
    (&["kernel BTF is missing"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["failed to find valid kernel BTF"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["Error loading vmlinux BTF"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["BTF is mandatory, can't proceed"], Verdict::MissingBtf, Cause::MissingBtf),
    // The next need something that only the object's own loader knows.
    (&["missing BPF prog type"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["no BTF-based attach target is specified"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["attach program FD is not set"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["SEC(\"struct_ops\") program isn't referenced anywhere"], Verdict::HarnessLimit, Cause::NeedsLoader),
    // The kernel's package ships no config, which on a real machine is there.
    (&["failed to open system Kconfig"], Verdict::HarnessLimit, Cause::KernelConfigMissing),
    (&["extern 'CONFIG_", "(strong): not resolved"], Verdict::RelocationFailed, Cause::KernelConfigMissing),
    (&["extern (kcfg)"], Verdict::RelocationFailed, Cause::KernelConfigMissing),
    (&["struct_ops init_kern"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["failed to find kernel BTF type ID of"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["is not found in vmlinux BTF"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["extern (func ksym)"], Verdict::RelocationFailed, Cause::MissingKfunc),
    (&["extern (var ksym)"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["extern (ksym)"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["extern '", "(strong): not resolved"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["unrecognized CO-RE relocation"], Verdict::RelocationFailed, Cause::ObjectTooNew),
    (&["nsupported BTF_KIND"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized kind "], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["map '", "unknown field '"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized extern"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["bad relo type"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized ELF section"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["doesn't support anonymous types"], Verdict::RelocationFailed, Cause::ObjectBroken),
    (&[": relo #"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["target candidate search failed"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["failed to perform CO-RE relocations"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["failed to relocate"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["elf: "], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["corrupted"], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["non-native endianness"], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["is not found in prog's BTF"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["The target program doesn't have BTF"], Verdict::HarnessLimit, Cause::TargetNotLoaded),
    (&["permission error while running as root"], Verdict::HarnessError, Cause::Harness),
];

/// The cause that the verifier's complaint stands for, and the line that says so.
pub(super) fn of_verifier(failure: &VerifierFailure) -> Option<(Cause, &str)> {
    // A caller that breaks a global function's contract: what is wrong with which argument differs from kernel to kernel.
    if let Some(line) = failure.said.iter().find(|line| line.contains("Caller passes invalid args into func#")) {
        return Some((Cause::UnsupportedCallForm, line));
    }
    // The only argument that is checked for what it means: it becomes the return value of the hook.
    let sets_return_value = failure.insn_text.as_ref().is_some_and(|text| text.contains("call bpf_set_retval#"));
    if sets_return_value && failure.message == "R1 is not a scalar" {
        return Some((Cause::ReturnValue, &failure.message));
    }
    // What is said first is the most specific; the lines behind it only follow from it.
    let of_line = |line: &'_ String| {
        COMPLAINTS.iter().copied().flatten().find(|(pieces, _)| fits(line, pieces)).map(|(_, cause)| *cause)
    };
    if let Some(found) = failure.said.iter().find_map(|line| Some((of_line(line)?, line.as_str()))) {
        return Some(found);
    }
    let summary = &failure.explanation.as_ref()?.summary;
    let (_, cause) = CLASSES.iter().find(|(class, _)| summary.starts_with(class))?;
    Some((*cause, &failure.message))
}

/// The verdict and cause that libbpf's warnings stand for, and the one that says so.
pub(super) fn of_libbpf(warnings: &[String]) -> Option<(Verdict, Cause, &str)> {
    LIBBPF.iter().find_map(|(pieces, verdict, cause)| {
        let line = warnings.iter().find(|line| fits(line, pieces))?;
        Some((*verdict, *cause, line.as_str()))
    })
}

pub(super) fn fits(line: &str, pieces: &[&str]) -> bool {
    let mut rest = line;
    pieces.iter().all(|piece| match rest.split_once(piece) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

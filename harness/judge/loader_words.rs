//! What loaders other than libbpf say when they refuse an object or a program before the kernel sees it.

use super::Diagnosis;
use crate::record::{Cause, Evidence, Verdict};

/// Before the name of a map that the object is given.
const REPLACEMENT: &str = "using replacement map ";

/// Pieces of the words of cilium/ebpf and aya, the more specific first.
const WORDS: &[(&[&str], Verdict, Cause)] = &[
    (&["MEMLOCK"], Verdict::HarnessError, Cause::Harness),
    (&["no BTF found for kernel"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["load kernel spec"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["/sys/kernel/btf/vmlinux"], Verdict::MissingBtf, Cause::MissingBtf),
    // Words of our own profile of aya.
    (&["becomes a recursive call"], Verdict::VerifierRejected, Cause::Unrecognised),
    (&["must provide btf_id"], Verdict::VerifierRejected, Cause::Unrecognised),
    (&["unspecified type"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["type is unspecified"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["pin type ", "not supported"], Verdict::MapCreationFailed, Cause::InvalidMapDefinition),
    (&[REPLACEMENT], Verdict::MapCreationFailed, Cause::IncompatibleMap),
    (&["requires InnerMap"], Verdict::MapCreationFailed, Cause::InvalidMapDefinition),
    (&["unsatisfied program reference"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["program without type"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["kfunc"], Verdict::RelocationFailed, Cause::MissingKfunc),
    (&["CO-RE"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["error relocating"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["nsupported BTF kind"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["nknown kind"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["struct_ops kern type", "not found"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["attach ", "not found"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["attach ", "not supported"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["unknown BTF type"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["map create"], Verdict::MapCreationFailed, Cause::Unrecognised),
    (&["failed to create map"], Verdict::MapCreationFailed, Cause::Unrecognised),
];

/// What it means that a loader refused; its words are the reason in any case.
pub(super) fn refused(words: &str) -> Diagnosis {
    let known = WORDS.iter().find(|(pieces, ..)| super::texts::fits(words, pieces));
    let (verdict, cause) =
        known.map_or((Verdict::FailedToOpen, Cause::Unrecognised), |(_, verdict, cause)| (*verdict, *cause));
    let evidence = Evidence::line(words);
    let evidence = match subject(cause, words) {
        Some(subject) => evidence.about(subject),
        None => evidence,
    };
    let diagnosis = Diagnosis::of(verdict, cause, evidence);
    match cause {
        Cause::NeedsLoader => diagnosis.because(format!("{words}; set `type` in a `[[program]]` table of a suite")),
        _ => diagnosis,
    }
}

/// The map or kfunc that the words name.
fn subject(cause: Cause, words: &str) -> Option<&str> {
    match cause {
        Cause::IncompatibleMap => words.split_once(REPLACEMENT)?.1.split(':').next(),
        Cause::MissingKfunc => words.split_once("kfunc \"")?.1.split('"').next(),
        _ => None,
    }
}

/// What it means that a loader would not open an object.
pub fn not_opened(warnings: &[String]) -> Diagnosis {
    refused(warnings.first().map_or("the loader gave no reason", String::as_str))
}

/// What it means that a loader has no way to load a program.
pub(super) fn unsupported(words: &str) -> Diagnosis {
    Diagnosis::of(Verdict::HarnessLimit, Cause::NeedsLoader, Evidence::line(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_loaders_are_the_reason_whatever_they_mean() {
        let words = "program p: apply CO-RE relocations: load kernel spec: no BTF found for kernel version 5.4";
        let diagnosis = refused(words);
        assert_eq!((diagnosis.verdict, diagnosis.reason.as_deref()), (Verdict::MissingBtf, Some(words)));
        let diagnosis = refused("something that nobody has seen");
        assert_eq!((diagnosis.verdict, diagnosis.cause), (Verdict::FailedToOpen, Some(Cause::Unrecognised)));
        let words = "using replacement map m: MaxEntries: 32 changed to 0: map spec is incompatible with existing map";
        let map = refused(words);
        assert_eq!((map.verdict, map.cause), (Verdict::MapCreationFailed, Some(Cause::IncompatibleMap)));
        assert_eq!(map.evidence.and_then(|evidence| evidence.subject).as_deref(), Some("m"));
        let kfunc = refused("program p: fixing up kfuncs: kfunc \"bpf_gone\": not supported");
        assert_eq!(kfunc.cause, Some(Cause::MissingKfunc));
        assert_eq!(kfunc.evidence.and_then(|evidence| evidence.subject).as_deref(), Some("bpf_gone"));
        let target = refused("program p: attach Tracing/TraceFEntry: find target: vfs_nothing: not found");
        assert_eq!(target.cause, Some(Cause::MissingAttachTarget));
    }
}

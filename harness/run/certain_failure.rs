//! [`is_certain`]: whether a failure follows from the object and the kernel's BTF, so that nothing else can have caused it.

use super::prediction::{attaches_by_btf, is_of_types};
use crate::object::Mend;
use crate::plan::PlannedObject;
use crate::record::{Cause, PredictedOutcome, ProgramRecord, Verdict, WholeLoad};

/// Whether a program would fail like this in any guest of the kernel: the guest reported what BTF predicts, `predicted`,
/// or a map of the object whose definition no kernel accepts. `prog_type` is the program's.
pub(super) fn is_certain(
    planned: &PlannedObject,
    record: &ProgramRecord,
    predicted: Option<&PredictedOutcome>,
    (prog_type, whole): (Option<&str>, Option<&WholeLoad>),
) -> bool {
    let Some(cause) = record.cause else { return false };
    match (record.verdict, cause) {
        (Verdict::AttachTargetMissing, Cause::MissingAttachTarget) => {
            matches!(predicted, Some(PredictedOutcome::MissingTarget { .. })) && attaches_by_btf(prog_type)
        }
        (Verdict::RelocationFailed, cause) if is_of_types(cause) => {
            matches!(predicted, Some(PredictedOutcome::RejectedIfReached { .. } | PredictedOutcome::Refused { .. }))
        }
        (Verdict::RelocationFailed, Cause::MissingKfunc) => {
            matches!(predicted, Some(PredictedOutcome::MissingKfunc { .. }))
        }
        (Verdict::HarnessLimit, Cause::IncompleteMapDefinition)
        | (Verdict::MapCreationFailed, Cause::InvalidMapDefinition) => {
            whole.is_some_and(|whole| !whole.left_out.is_empty() && has_flawed_maps_alone(planned, whole))
        }
        _ => false,
    }
}

/// Whether the object as a whole would not go through in any guest of the kernel: for a map that has no proper definition, or for a program that
/// cannot be relocated. Each failure of `programs` is certain.
pub(super) fn is_certain_whole(planned: &PlannedObject, whole: &WholeLoad, programs: &[ProgramRecord]) -> bool {
    let refused_definition = || whole.reason.as_ref().is_some_and(|reason| reason.ends_with("-EINVAL"));
    let unrelocated = || programs.iter().any(|program| program.verdict == Verdict::RelocationFailed);
    has_flawed_maps_alone(planned, whole)
        && if whole.left_out.is_empty() { unrelocated() } else { refused_definition() }
}

/// Whether each map that could not be created has a definition that no kernel accepts.
fn has_flawed_maps_alone(planned: &PlannedObject, whole: &WholeLoad) -> bool {
    let maps = planned.object.inventory.as_ref().map(|inventory| inventory.maps.as_slice()).unwrap_or_default();
    let is_flawed = |name: &String| {
        maps.iter().any(|map| map.name == *name && map.flaws().iter().any(|flaw| flaw.mend != Mend::Machine))
    };
    whole.left_out.iter().all(is_flawed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::{BpfObject, Inventory, Origin};
    use crate::plan::Plan;
    use crate::record::ObjectProgram;
    use crate::suite::Settings;

    /// An object with maps that no kernel creates (`no_size`), and with others (`of_tasks`).
    fn planned() -> PlannedObject {
        let bytes = include_bytes!("../../tests/fixtures/maps/definitions.bpf.o");
        let origin = Origin { path: "x.bpf.o".into(), embedded: None };
        let inventory = Ok(Inventory::read(bytes).unwrap());
        let object =
            BpfObject { name: "x".into(), origin, bytes: bytes.as_slice().into(), sha256: String::new(), inventory };
        Plan::new(Vec::new(), vec![object], &Settings::default()).objects.remove(0)
    }

    fn failed(verdict: Verdict, cause: Cause) -> ProgramRecord {
        let program = ObjectProgram { name: "p".into(), section: "fentry/f".into() };
        ProgramRecord { verdict, cause: Some(cause), ..ProgramRecord::not_run(&program, "") }
    }

    fn left_out(maps: &[&str], reason: &str) -> WholeLoad {
        let left_out = maps.iter().map(|map| (*map).to_owned()).collect();
        WholeLoad { prepared: false, reason: Some(reason.to_owned()), left_out, expected: None }
    }

    #[test]
    fn failure_is_certain_where_btf_predicts_it() {
        let planned = planned();
        let missing = PredictedOutcome::MissingTarget { target: "f".into(), why: None };
        let rejected = PredictedOutcome::RejectedIfReached { missing: vec!["struct s.a".into()], unfit: Vec::new() };
        let kfunc = PredictedOutcome::MissingKfunc { reason: "`f` is missing".into() };
        let is_certain = |verdict, cause, predicted, prog_type| {
            is_certain(&planned, &failed(verdict, cause), predicted, (Some(prog_type), None))
        };
        let target = (Verdict::AttachTargetMissing, Cause::MissingAttachTarget);
        assert!(is_certain(target.0, target.1, Some(&missing), "tracing"));
        // A kprobe's function is looked for by the kernel.
        assert!(!is_certain(target.0, target.1, Some(&missing), "kprobe"));
        assert!(!is_certain(target.0, target.1, Some(&rejected), "tracing"));
        assert!(!is_certain(target.0, target.1, None, "tracing"));
        assert!(is_certain(Verdict::RelocationFailed, Cause::MissingField, Some(&rejected), "kprobe"));
        assert!(!is_certain(
            Verdict::RelocationFailed,
            Cause::MissingField,
            Some(&PredictedOutcome::Resolves),
            "kprobe"
        ));
        assert!(is_certain(Verdict::RelocationFailed, Cause::MissingKfunc, Some(&kfunc), "tracing"));
        // Who rejects is the verifier.
        for (verdict, cause) in [
            (Verdict::VerifierRejected, Cause::MissingField),
            (Verdict::VerifierRejected, Cause::MissingAttachTarget),
            (Verdict::RelocationFailed, Cause::MissingKsym),
            (Verdict::TimedOut, Cause::MissingField),
        ] {
            for predicted in [&missing, &rejected, &kfunc] {
                assert!(!is_certain(verdict, cause, Some(predicted), "tracing"), "{verdict} {cause:?}");
            }
        }
    }

    #[test]
    fn failure_of_a_map_is_certain_where_its_definition_alone_explains_it() {
        let planned = planned();
        let of_map = failed(Verdict::HarnessLimit, Cause::IncompleteMapDefinition);
        let is_certain = |whole: &WholeLoad| is_certain(&planned, &of_map, None, (None, Some(whole)));
        let refused = "map 'no_size': failed to create: -EINVAL";
        let whole = left_out(&["no_size", "no_entries"], refused);
        assert!(is_certain(&whole) && is_certain_whole(&planned, &whole, &[]));
        // Another map is in it, which a kernel may have.
        let whole = left_out(&["no_size", "of_tasks"], refused);
        assert!(!is_certain(&whole) && !is_certain_whole(&planned, &whole, &[]));
        assert!(!is_certain(&left_out(&[], refused)));
        // What is left of memory is up to others.
        assert!(!is_certain_whole(&planned, &left_out(&["no_size"], "map 'no_size': failed to create: -ENOMEM"), &[]));
    }

    #[test]
    fn whole_object_fails_for_certain_with_a_program_that_cannot_be_relocated() {
        let planned = planned();
        let whole = left_out(&[], "failed to relocate");
        assert!(is_certain_whole(&planned, &whole, &[failed(Verdict::RelocationFailed, Cause::MissingField)]));
        assert!(!is_certain_whole(
            &planned,
            &whole,
            &[failed(Verdict::AttachTargetMissing, Cause::MissingAttachTarget)]
        ));
        assert!(!is_certain_whole(&planned, &whole, &[]));
    }
}

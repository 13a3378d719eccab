//! [`compare`], [`is_refuted`]: what a guest reported of relocations and programs, against what the types of its kernel say.

use std::sync::Arc;

use super::cell_view::CellView;
use crate::core_relo::{ObjectSide, Resolver, Target, TypeTable};
use crate::plan::PlannedObject;
use crate::record::{Cause, PredictedOutcome, ProgramRecord, RelocationOutcome, RelocationRecord};

/// Marks the relocations that came to something else than BTF predicts.
///
/// What libbpf took from another module than those that the cell has loaded is not compared: the drivers of the guest's data channel have
/// types, too.
pub(super) fn compare(planned: &PlannedObject, kernel: CellView<'_, '_>, records: &mut [RelocationRecord]) {
    // Another library has rules of its own, and so has libbpf when it replaces one.
    if planned.loader.is_some() || records.is_empty() {
        return;
    }
    match planned.own_raw_types() {
        Some(raw) => {
            let Ok(types) = TypeTable::new(raw.to_vec()) else { return };
            mark(&planned.loaded, &Target { kernel: Arc::new(types), modules: Vec::new() }, records);
        }
        None => {
            if let Some(target) = kernel.target() {
                mark(&planned.loaded, &target, records);
            }
        }
    }
}

fn mark(object: &[u8], target: &Target, records: &mut [RelocationRecord]) {
    let Ok(side) = ObjectSide::read(object) else { return };
    if side.relocations.len() != records.len() {
        return;
    }
    for (record, predicted) in records.iter_mut().zip(Resolver::all(&side, target)) {
        let is_known = |module: &str| target.modules.iter().any(|(known, _)| known == module);
        let of_module = |module: &str| !module.is_empty() && module != "vmlinux" && !is_known(module);
        if record.candidates.iter().any(|candidate| of_module(&candidate.module)) {
            continue;
        }
        if is_answer(&record.outcome) && !agree(&record.outcome, &predicted.outcome) {
            record.predicted = Some(predicted.outcome);
        }
    }
}

/// Whether a program of this type came to something else than BTF predicts. Only what BTF decides is looked at: a program that resolves may
/// fail for many a reason.
pub(super) fn is_refuted(predicted: &PredictedOutcome, record: &ProgramRecord, prog_type: Option<&str>) -> bool {
    if record.verdict.was_loaded() {
        return predicted.is_failure();
    }
    let of_types = record.cause.is_some_and(is_of_types);
    let of_target = record.cause == Some(Cause::MissingAttachTarget) && attaches_by_btf(prog_type);
    predicted.resolves() && (of_types || of_target)
}

/// Whether the cause is a type, field or enumerator that the kernel's BTF lacks.
pub(super) fn is_of_types(cause: Cause) -> bool {
    matches!(cause, Cause::MissingField | Cause::MissingType | Cause::MissingEnumValue)
}

/// Whether libbpf looks for what programs of this type attach to in the kernel's BTF. For other types the kernel searches its symbols.
pub(super) fn attaches_by_btf(prog_type: Option<&str>) -> bool {
    matches!(prog_type, Some("tracing" | "lsm"))
}

/// Whether libbpf said the outcome of it.
fn is_answer(outcome: &RelocationOutcome) -> bool {
    use RelocationOutcome::{Ambiguous, Failed, NoMatch, Poisoned, Resolved};
    matches!(outcome, Resolved { .. } | NoMatch { .. } | Poisoned | Ambiguous { .. } | Failed { .. })
}

/// The words of a failure may differ.
fn agree(observed: &RelocationOutcome, predicted: &RelocationOutcome) -> bool {
    use RelocationOutcome::{Ambiguous, Failed};
    match (observed, predicted) {
        (Ambiguous { .. }, Ambiguous { .. }) | (Failed { .. }, Failed { .. }) => true,
        _ => observed == predicted,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    #[test]
    fn only_what_differs_is_marked() {
        let object = include_bytes!("../../tests/fixtures/explain/object.o");
        let side = ObjectSide::read(object).unwrap();
        // The object's own types as a kernel's: everything is found.
        let kernel = Arc::new(TypeTable::new(side.types.raw().to_vec()).unwrap());
        let target = Target { kernel, modules: Vec::new() };
        let record = |(relocation, found): (usize, crate::core_relo::Resolution)| RelocationRecord {
            relocation,
            local: found.local,
            candidates: found.candidates,
            outcome: found.outcome,
            verifier_insns: Vec::new(),
            predicted: None,
        };
        let mut records: Vec<_> = Resolver::all(&side, &target).into_iter().enumerate().map(record).collect();
        mark(object, &target, &mut records);
        assert!(records.iter().all(|record| record.predicted.is_none()));
        let expected = records[1].outcome.clone();
        records[0].outcome = RelocationOutcome::NotReached;
        records[1].outcome = RelocationOutcome::Poisoned;
        mark(object, &target, &mut records);
        let marked: Vec<_> = records.iter().map(|record| record.predicted.clone()).collect();
        assert_eq!(marked.iter().flatten().collect::<Vec<_>>(), [&expected]);
        assert_eq!(marked[1], Some(expected));
    }
}

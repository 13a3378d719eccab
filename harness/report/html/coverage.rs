//! [`coverage`]: guards with what each kernel proves of their sides, and source lines with the kernels that they are left on.

use serde_json::{Value, json};

use super::shared::Shared;
use crate::coverage::{ProofLevel, Unit};
use crate::record::GuardRecord;
use crate::record::RunRecord;
use crate::report::coverage::{any_ran, sign, source, unproven};

const LEVELS: [ProofLevel; 3] = [ProofLevel::Resolved, ProofLevel::Verified, ProofLevel::Executed];

/// Everything about coverage that a record has; `None` if no object has guards or source lines.
pub(super) fn coverage(record: &RunRecord, shared: &mut Shared) -> Option<Value> {
    let has_any = |o: &usize| {
        let coverage = &record.objects[*o].coverage;
        !coverage.guards.is_empty() || !coverage.lines.lines.is_empty()
    };
    let objects: Vec<Value> =
        (0..record.objects.len()).filter(has_any).map(|o| object_data(record, o, shared)).collect();
    if objects.is_empty() {
        return None;
    }
    let units = Unit::all(record);
    let total: usize = units.iter().map(|unit| unit.sides(record).len()).sum();
    let counts = LEVELS.map(|level| units.iter().map(|unit| unit.count(record, level)).sum::<usize>());
    let missing = units.iter().flat_map(|unit| {
        // What kernels outside of the run have is in the store, not in the record.
        unproven::list(record, unit, None, &[], &[])
            .into_iter()
            .map(|found| json!({ "o": unit.object, "guard": found.guard, "side": found.side, "words": found.words }))
    });
    Some(json!({ "total": total, "counts": counts, "unproven": missing.collect::<Vec<_>>(), "objects": objects }))
}

fn object_data(record: &RunRecord, o: usize, shared: &mut Shared) -> Value {
    let object = &record.objects[o];
    let kernels = 0..record.kernels.len();
    let is_base = record.base(o) == o;
    let unit = Unit { object: o, rows: if is_base { record.family(o) } else { vec![o] } };
    let guards: Vec<Value> = object
        .coverage
        .guards
        .iter()
        .enumerate()
        .map(|(number, guard)| guard_data(record, o, number, guard, shared))
        .collect();
    let lines = object.coverage.lines.lines.iter().enumerate().map(|(number, line)| {
        let signs: String = kernels.clone().map(|kernel| source::sign_on(record, o, kernel, number)).collect();
        json!([line.file, line.line, shared.text(line.text.as_str()), shared.text(signs)])
    });
    let lines: Vec<Value> = lines.collect();
    json!({
        "o": o,
        "total": unit.sides(record).len(),
        "counts": LEVELS.map(|level| unit.count(record, level)),
        "ran": any_ran(record, o),
        "guards": guards,
        "files": object.coverage.lines.files,
        "lines": lines,
    })
}

fn guard_data(record: &RunRecord, o: usize, number: usize, guard: &GuardRecord, shared: &mut Shared) -> Value {
    let side = |(side, taken): (usize, &crate::record::SideRecord)| {
        let signs: Vec<&str> = (0..record.kernels.len()).map(|kernel| sign(record, o, kernel, number, side)).collect();
        json!({ "when": taken.when, "insns": taken.insns, "signs": shared.text(signs.join(" ")), "lines": taken.lines })
    };
    json!({
        "kind": guard.kind,
        "asked": guard.asked,
        "place": guard.place(),
        "function": guard.function,
        "programs": guard.programs,
        "undecided": guard.undecided,
        "switch": !guard.asks_kernel(),
        "sides": guard.sides.iter().enumerate().map(side).collect::<Vec<_>>(),
    })
}

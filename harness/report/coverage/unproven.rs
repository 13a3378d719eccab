//! [`render`]: the sides of guards that no kernel of a run has proven, each with what would prove it.

use super::super::text::paragraph;
use crate::coverage::{GuardKind, GuardRecord, Level, Liveness, Unit, proven};
use crate::explain::{self, KernelTypes, LocalSpec};
use crate::object::ObjectTypes;
use crate::record::RunRecord;

/// The unproven sides of one object with its shapes. `kernels` are all whose types are at hand, those of the run among them.
pub fn render(
    record: &RunRecord,
    unit: &Unit,
    types: Option<&ObjectTypes>,
    kernels: &[KernelTypes<'_>],
    width: usize,
) -> String {
    let told = &record.objects[unit.object];
    // A guard that is inlined several times is told once, with its count.
    let mut told_of: Vec<(String, String, usize)> = Vec::new();
    for (number, side) in unit.sides(record) {
        if !unit.proven(record, number, side, Level::Verified).is_empty() {
            continue;
        }
        let guard = &told.coverage.guards[number];
        let title = format!("{}: {} {} {}", told.name, guard.place(), guard.name(), guard.sides[side].when);
        let mut text = String::new();
        if unit.proven(record, number, side, Level::Resolved).is_empty() {
            text += &paragraph(&what_would(guard, side, types, kernels), 4, width);
        }
        for &row in &unit.rows {
            let resolved = proven(record, row, number, side, Level::Resolved);
            let shape = record.objects[row].shape.as_ref();
            let with = shape.map_or_else(String::new, |shape| format!(" with shape {}", shape.name));
            for (why, names) in obstacles(record, row, number, &resolved) {
                text += &paragraph(&format!("resolved on {}{with}, but {why}", names.join(", ")), 4, width);
            }
        }
        match told_of.iter_mut().find(|known| (&known.0, &known.1) == (&title, &text)) {
            Some((_, _, times)) => *times += 1,
            None => told_of.push((title, text, 1)),
        }
    }
    let blocks = told_of.into_iter().map(|(title, text, times)| {
        let head = paragraph(&format!("{title}{}", super::inlined(times)), 0, width);
        format!("{head}{text}")
    });
    blocks.collect()
}

/// Why the kernels that pick a side do not prove it, each reason with its kernels.
fn obstacles<'a>(
    record: &'a RunRecord,
    object: usize,
    number: usize,
    kernels: &[usize],
) -> Vec<(String, Vec<&'a str>)> {
    let guard = &record.objects[object].coverage.guards[number];
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for &kernel in kernels {
        let cell = record.cell(object, kernel);
        let with = || guard.programs.iter().filter_map(|&program| cell.programs.get(program));
        let refused: Vec<String> = with()
            .filter(|program| !program.verdict.was_loaded())
            .map(|program| format!("`{}` was not loaded ({})", program.name, program.verdict))
            .collect();
        let why = match cell.coverage.guards.get(number).map(|proof| proof.verified) {
            Some([Liveness::Dead, Liveness::Dead]) => {
                "the guard itself is not reached there: what comes before decides".to_owned()
            }
            _ if !refused.is_empty() => refused.join(", "),
            _ => "line info and log do not tell which instructions are left".to_owned(),
        };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&record.kernels[kernel].name),
            None => reasons.push((why, vec![&record.kernels[kernel].name])),
        }
    }
    reasons
}

/// `needs a kernel that does not have struct task_struct.__state; such are 5.10`
fn what_would(guard: &GuardRecord, side: usize, types: Option<&ObjectTypes>, kernels: &[KernelTypes<'_>]) -> String {
    let with = if side == 0 { "that has" } else { "that does not have" };
    let needs = match guard.kind {
        kind if kind.is_existence() || kind == GuardKind::Ksym => format!("needs a kernel {with} `{}`", guard.asked),
        GuardKind::Rodata => return format!("needs a shape where `{}` {}", guard.asked, guard.sides[side].when),
        _ => return format!("needs a kernel where {} `{}` {}", guard.kind, guard.asked, guard.sides[side].when),
    };
    if guard.kind == GuardKind::TypeMatches {
        return needs;
    }
    let presence = match guard.kind {
        GuardKind::Ksym => Some(explain::ksym(&guard.asked, kernels, "")),
        _ => types.zip(guard.relocation).and_then(|(types, relocation)| {
            let spec = LocalSpec::of(types.relocations.get(relocation)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, kernels, "")
        }),
    };
    let Some(told) = presence else { return needs };
    let fitting = told.presence.iter().filter(|on| on.presence.is_present() == (side == 0));
    let names: Vec<&str> = fitting.map(|on| on.kernel.as_str()).collect();
    match names.is_empty() {
        true => format!("{needs}; none of the {} kernels whose types are in the store is one", kernels.len()),
        false => format!("{needs}; such are {}", names.join(", ")),
    }
}

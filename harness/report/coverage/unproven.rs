//! [`render`]: the sides of guards that no kernel of a run has proven, each with what would prove it.

use super::super::text::paragraph;
use crate::coverage::{GuardKind, GuardRecord, Level, proven, sides};
use crate::explain::{self, KernelTypes, LocalSpec};
use crate::object::ObjectTypes;
use crate::record::RunRecord;

/// The unproven sides of one object. `kernels` are all whose types are at hand, those of the run among them.
pub fn render(
    record: &RunRecord,
    object: usize,
    types: Option<&ObjectTypes>,
    kernels: &[KernelTypes<'_>],
    width: usize,
) -> String {
    let told = &record.objects[object];
    let mut text = String::new();
    for (number, side) in sides(&told.coverage.guards) {
        if !proven(record, object, number, side, Level::Verified).is_empty() {
            continue;
        }
        let guard = &told.coverage.guards[number];
        let title = format!("{}: {} {} {}", told.name, guard.place(), guard.name(), guard.sides[side].when);
        text += &paragraph(&title, 0, width);
        let resolved = proven(record, object, number, side, Level::Resolved);
        let names: Vec<&str> = resolved.iter().map(|&kernel| record.kernels[kernel].name.as_str()).collect();
        text += &paragraph(
            &if names.is_empty() {
                what_would(guard, side, types, kernels)
            } else {
                let names = names.join(", ");
                format!(
                    "{names} picks this side, but there no program with it was loaded, or it was not reached or cannot be told apart"
                )
            },
            4,
            width,
        );
    }
    text
}

/// `needs a kernel without struct task_struct.__state; of the store, 5.10 is one`
fn what_would(guard: &GuardRecord, side: usize, types: Option<&ObjectTypes>, kernels: &[KernelTypes<'_>]) -> String {
    let with = if side == 0 { "that has" } else { "that does not have" };
    let needs = match guard.kind {
        kind if kind.is_existence() || kind == GuardKind::Ksym => format!("needs a kernel {with} `{}`", guard.asked),
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

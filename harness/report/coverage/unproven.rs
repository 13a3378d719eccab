//! [`render`]: the sides of guards that no kernel of a run has proven, each with what would prove it.

use super::super::text::paragraph;
use super::kernel_value::{RecordedConfig, holds, of_config, of_types};
use crate::coverage::{ProofLevel, Unit, proven};
use crate::explain::{self, KernelTypes, KnownTypes, LocalSpec};
use crate::object::ObjectTypes;
use crate::record::RunRecord;
use crate::record::{GuardKind, GuardRecord, Liveness};

/// A side that no kernel of a run has proven.
pub struct Unproven {
    /// The guard, as an index into the object's list.
    pub guard: usize,
    /// Its side.
    pub side: usize,
    /// What would prove it, or what is in the way on the kernels that pick it; a line each.
    pub words: Vec<String>,
}

/// The unproven sides of one object with its shapes. `kernels` are all whose types are available, those of the run among them,
/// and `configs` what else is known about kernels.
pub fn list(
    record: &RunRecord,
    unit: &Unit,
    types: Option<&ObjectTypes>,
    kernels: &[KernelTypes<'_>],
    configs: &[RecordedConfig],
) -> Vec<Unproven> {
    let mut found = Vec::new();
    for (number, side) in unit.sides(record) {
        if !unit.proven(record, number, side, ProofLevel::Verified).is_empty() {
            continue;
        }
        let guard = &record.objects[unit.object].coverage.guards[number];
        let mut words = Vec::new();
        if unit.proven(record, number, side, ProofLevel::Resolved).is_empty() {
            words.push(what_would(guard, side, types, kernels, configs));
            words.extend(super::in_modules(record, &unit.rows, number).filter(|_| side == 0));
        }
        for &row in &unit.rows {
            let resolved = proven(record, row, number, side, ProofLevel::Resolved);
            let shape = record.objects[row].shape.as_ref();
            let with = shape.map_or_else(String::new, |shape| format!(" with shape {}", shape.name));
            for (why, names) in obstacles(record, row, number, &resolved) {
                words.push(format!("resolved on {}{with}, but {why}", names.join(", ")));
            }
        }
        found.push(Unproven { guard: number, side, words });
    }
    found
}

/// As [`list`], as text.
pub fn render(
    record: &RunRecord,
    unit: &Unit,
    types: Option<&ObjectTypes>,
    kernels: &[KernelTypes<'_>],
    configs: &[RecordedConfig],
    width: usize,
) -> String {
    let object_record = &record.objects[unit.object];
    // A guard that is inlined several times is shown once, with its count.
    let mut told_of: Vec<(String, String, usize)> = Vec::new();
    for Unproven { guard, side, words } in list(record, unit, types, kernels, configs) {
        let guard = &object_record.coverage.guards[guard];
        let title = format!("{}: {} {} {}", object_record.name, guard.place(), guard.name(), guard.sides[side].when);
        let text: String = words.iter().map(|line| paragraph(line, 4, width)).collect();
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
        let loading = &record.objects[object].loading;
        let refused: Vec<String> = with()
            .filter(|program| !program.verdict.was_loaded() && !loading.leaves_out(&program.name))
            .map(|program| format!("`{}` was not loaded ({})", program.name, program.verdict))
            .collect();
        let why = match cell.coverage.guards.get(number).map(|proof| proof.verified) {
            Some([Liveness::Dead, Liveness::Dead]) => {
                "the guard itself is not reached there: earlier code decides".to_owned()
            }
            _ if !refused.is_empty() => refused.join(", "),
            _ => "line info and verifier log do not show which instructions remain".to_owned(),
        };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&record.kernels[kernel].name),
            None => reasons.push((why, vec![&record.kernels[kernel].name])),
        }
    }
    reasons
}

/// `needs a kernel that does not have struct task_struct.__state; such are 5.10`
fn what_would(
    guard: &GuardRecord,
    side: usize,
    types: Option<&ObjectTypes>,
    kernels: &[KernelTypes<'_>],
    configs: &[RecordedConfig],
) -> String {
    let with = if side == 0 { "with" } else { "without" };
    let when = &guard.sides[side].when;
    let needs = match guard.kind {
        kind if kind.is_existence() || kind == GuardKind::Ksym => format!("needs a kernel {with} `{}`", guard.asked),
        GuardKind::Rodata => return format!("needs a shape where `{}` {when}", guard.asked),
        GuardKind::Kconfig => format!("needs a kernel where `{}` {when}", guard.asked),
        _ => format!("needs a kernel where {} `{}` {when}", guard.kind, guard.asked),
    };
    let spec = types.zip(guard.relocation).and_then(|(types, relocation)| {
        let spec = LocalSpec::of(types.relocations.get(relocation)?, &types.btf)?;
        Some((types, spec))
    });
    // By kernel, whether it would prove the side.
    let answers: Vec<(&str, bool)> = match guard.kind {
        GuardKind::TypeMatches | GuardKind::Signed => return needs,
        GuardKind::Kconfig => {
            let known = |config: &'_ RecordedConfig| of_config(&guard.asked, when, config);
            configs.iter().filter_map(|config| Some((config.name.as_str(), known(config)?))).collect()
        }
        GuardKind::ByteSz | GuardKind::TypeSize | GuardKind::EnumvalValue => {
            let Some((_, spec)) = spec else { return needs };
            let known = |kernel: &KernelTypes<'_>| holds(when, of_types(guard.kind, &spec, kernel.btf)?);
            kernels.iter().filter_map(|kernel| Some((kernel.name, known(kernel)?))).collect()
        }
        kind => {
            let presence = match kind {
                GuardKind::Ksym => {
                    let asked = explain::Ksym { name: &guard.asked, local: types.map(|types| &types.btf) };
                    Some(explain::ksym(&asked, kernels, ""))
                }
                _ => spec.and_then(|(types, spec)| {
                    explain::relocation(&spec, &types.btf, kernels, &KnownTypes::default(), "")
                }),
            };
            let Some(explanation) = presence else { return needs };
            let fits = explanation.presence.iter().map(|on| on.presence.is_present() == (side == 0));
            let names = kernels.iter().map(|kernel| kernel.name);
            let by_name = |name: &str| explanation.presence.iter().zip(fits.clone()).find(|(on, _)| on.kernel == name);
            names.filter_map(|name| Some((name, by_name(name)?.1))).collect()
        }
    };
    let names: Vec<&str> = answers.iter().filter(|(_, fits)| *fits).map(|(name, _)| *name).collect();
    match (names.is_empty(), answers.len()) {
        (true, 0) => needs,
        (true, known) => format!("{needs}; none of the {known} stored kernels with BTF is such a kernel"),
        (false, _) => format!("{needs}, such as {}", names.join(", ")),
    }
}

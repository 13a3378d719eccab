//! [`of_cell`]: what is silently wrong in an object that a kernel has loaded; [`changed_arguments`]: what may be why one did not
//! load; [`settle`]: what only the whole run can show.

use std::collections::BTreeMap;

use super::evidence::CellEvidence;
use crate::coverage::ObjectFacts;
use crate::explain::{self, ChangedArgument, KernelTypes, LocalSpec};
use crate::judge::{KernelView, never_attaches};
use crate::object::{ObjectTypes, ProgramInfo};
use crate::plan::PlannedObject;
use crate::record::{AttachOutcome, ExternRecord, Verdict};
use crate::record::{CellRecord, DangerRecord, ObjectRecord, ProgramRecord, RunRecord};
use crate::record::{Danger, DangerEffect};
use crate::record::{RelocationOutcome, RelocationRecord};

/// Where an object reads something else than it thinks: fields that were resolved and differ, sizes of types that are missing,
/// enumerators that are compiled in, and arguments of attach targets. None where the object's types cannot be read.
pub(super) fn of_cell(
    planned: &PlannedObject,
    kernel: KernelTypes<'_>,
    evidence: &CellEvidence,
    records: &[RelocationRecord],
) -> Vec<DangerRecord> {
    let Some(types) = ObjectTypes::read(&planned.loaded) else { return Vec::new() };
    let asked = planned.relocations();
    let relocated = KernelTypes { btf: planned.own_types().unwrap_or(kernel.btf), ..kernel };
    let outcome = |relocation: usize| records.get(relocation).map(|record| &record.outcome);
    let mut fields = explain::dangers(&types, asked, relocated);
    fields.retain(|(relocation, _)| matches!(outcome(*relocation), Some(RelocationOutcome::Resolved { .. })));
    let mut sizes = explain::unguarded_sizes(&types, asked);
    sizes.retain(|relocation| matches!(outcome(*relocation), Some(RelocationOutcome::NoMatch { new: 0, .. })));
    let sizes = sizes.into_iter().map(|relocation| (relocation, Danger::SizeOfMissing));

    let programs = |function: &str| {
        let is_program = planned.programs.iter().any(|program| program.name == function);
        evidence.programs_of(function, is_program)
    };
    let of_relocation = |(relocation, difference): (usize, Danger)| {
        let subject = LocalSpec::of(&types.relocations[relocation], &types.btf).map(|spec| spec.to_string());
        DangerRecord {
            relocation: Some(relocation),
            function: asked[relocation].function.clone(),
            programs: programs(&asked[relocation].function),
            source: asked[relocation].source.clone(),
            subject: subject.unwrap_or_default(),
            words: difference.to_string(),
            difference,
        }
    };
    let of_constant = |constant: explain::Constant| DangerRecord {
        relocation: None,
        programs: programs(&constant.function),
        function: constant.function,
        source: Some(constant.source),
        subject: constant.name,
        words: constant.danger.to_string(),
        difference: constant.danger,
    };
    let constants = explain::constants(&types, asked, relocated);
    let facts =
        ObjectFacts { loaded: &BTreeMap::new(), relocations: records, externs: evidence.externs(), release: None };
    let mut arguments = Vec::new();
    for (number, program) in planned.programs.iter().enumerate() {
        let reads = planned.analysis.context_reads(number, Some(&facts));
        let changed = explain::arguments(&types, (&program.name, &program.section), &reads, kernel);
        arguments.extend(changed.into_iter().map(|argument| DangerRecord {
            relocation: None,
            function: program.name.clone(),
            programs: vec![program.name.clone()],
            source: Some(argument.source),
            subject: argument.target,
            words: argument.danger.to_string(),
            difference: argument.danger,
        }));
    }
    let of_fields = fields.into_iter().chain(sizes).map(of_relocation);
    of_fields.chain(constants.into_iter().map(of_constant)).chain(arguments).collect()
}

/// The programs that this kernel loads and can never attach as their sections say. Only loading was asked for, so that is no verdict.
pub(super) fn of_forms(planned: &PlannedObject, kernel: &dyn KernelView) -> Vec<DangerRecord> {
    let programs = planned.object.inventory.iter().flat_map(|inventory| &inventory.programs);
    let danger = |program: &ProgramInfo| {
        let difference = Danger::CannotAttach { lacks: never_attaches(program, kernel)?.reason? };
        Some(DangerRecord {
            relocation: None,
            function: program.name.clone(),
            programs: vec![program.name.clone()],
            source: None,
            subject: program.name.clone(),
            words: difference.to_string(),
            difference,
        })
    };
    programs.filter_map(danger).collect()
}

/// The symbols whose addresses the kernel does not show: libbpf takes the 0 that stands for them.
pub(super) fn of_symbols(planned: &PlannedObject, externs: &[ExternRecord]) -> Vec<DangerRecord> {
    let users = planned.extern_users();
    let is_hidden = |one: &&ExternRecord| one.kind == "ksym" && one.resolved.as_deref() == Some("0x0");
    let danger = |one: &ExternRecord| {
        let programs = users.get(&one.name).cloned().unwrap_or_default();
        DangerRecord {
            relocation: None,
            function: programs.first().cloned().unwrap_or_default(),
            programs,
            source: None,
            subject: one.name.clone(),
            words: Danger::HiddenAddress.to_string(),
            difference: Danger::HiddenAddress,
        }
    };
    externs.iter().filter(is_hidden).map(danger).collect()
}

/// The arguments that a program, an index, takes for something else than they are on a kernel that refused it.
pub(super) fn changed_arguments(
    planned: &PlannedObject,
    program: usize,
    kernel: KernelTypes<'_>,
) -> Vec<ChangedArgument> {
    let Some(types) = ObjectTypes::read(&planned.loaded) else { return Vec::new() };
    let planned_program = &planned.programs[program];
    let reads = planned.analysis.context_reads(program, None);
    explain::arguments(&types, (&planned_program.name, &planned_program.section), &reads, kernel)
}

/// Looks at the dangers of the whole run, once its verdicts are known. What no program that loads has a part in is dropped: a
/// failure is not silent. And where a program loads that other kernels refuse for a relocation, the cell gets a danger: nothing
/// guards the access, or what guards it does not know of those kernels.
///
/// Only the relocation that a program failed on counts. What else it could not have reached is not known.
pub(super) fn settle(record: &mut RunRecord) {
    let kernels = record.kernels.len();
    let objects = record.objects.iter().zip(record.cells.chunks_mut(kernels.max(1)));
    for (object, cells) in objects {
        for cell in &mut *cells {
            let CellRecord { dangers, programs, .. } = cell;
            // What was attached can be attached, regardless of what is known about the kernel.
            let counts = |danger: &DangerRecord, program: &ProgramRecord| {
                let attached = program.attach.as_ref().is_some_and(|attach| attach.outcome == AttachOutcome::Attached);
                program.verdict == Verdict::Loaded
                    && !(attached && danger.difference.effect() == DangerEffect::CannotAttach)
            };
            dangers.retain(|danger| {
                let mut mine = programs.iter().filter(|program| danger.programs.contains(&program.name));
                danger.programs.is_empty() || mine.any(|program| counts(danger, program))
            });
        }
        for p in 0..object.programs.len() {
            for (relocation, subject, failing) in failures(object, cells, p) {
                let difference = Danger::MissingElsewhere { kernels: failing };
                let asked = object.relocations.get(relocation);
                let danger = DangerRecord {
                    relocation: Some(relocation),
                    function: asked.map_or_else(String::new, |asked| asked.function.clone()),
                    programs: vec![object.programs[p].name.clone()],
                    source: asked.and_then(|asked| asked.source.clone()),
                    subject,
                    words: difference.to_string(),
                    difference,
                };
                let passing = cells
                    .iter_mut()
                    .filter(|cell| cell.programs.get(p).is_some_and(|program| program.verdict == Verdict::Loaded));
                passing.for_each(|cell| cell.dangers.push(danger.clone()));
            }
        }
    }
}

/// The relocations that program `p` of the object failed on, each with what it asks for and the kernels.
fn failures(object: &ObjectRecord, cells: &[CellRecord], p: usize) -> Vec<(usize, String, Vec<String>)> {
    let mut found: Vec<(usize, String, Vec<String>)> = Vec::new();
    for cell in cells {
        let Some(program) = cell.programs.get(p).filter(|program| program.verdict == Verdict::RelocationFailed) else {
            continue;
        };
        let Some(relocation) = cell.relocation_in_question(object, program) else { continue };
        let record = cell.relocations.iter().find(|record| record.relocation == relocation);
        // libbpf puts where the field is behind its name: `struct inode.i_ctime (0:1 @ offset 8)`.
        let subject = record.map(|record| record.local.split(" (").next().unwrap_or_default().to_owned());
        match found.iter_mut().find(|(known, ..)| *known == relocation) {
            Some((.., kernels)) => kernels.push(cell.kernel.clone()),
            None => found.push((relocation, subject.unwrap_or_default(), vec![cell.kernel.clone()])),
        }
    }
    found
}

#[cfg(test)]
mod tests;

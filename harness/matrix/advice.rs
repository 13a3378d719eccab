//! [`advise`]: puts what a failure means, and what to do about it, into the record as data, so that reports need neither the kernels'
//! types nor the objects afterwards.

use std::collections::HashMap;

use super::kernel_types::{MatrixTypes, kernel_probes, kernel_types};
use super::known_types::KnownPlaces;
use super::project::Project;
use super::target_search::TargetSearch;
use crate::explain::KernelTypes;
use crate::object::ObjectTypes;
use crate::plan::Plan;
use crate::record::Verdict;
use crate::record::{Cause, ChangedBy, RunRecord};
use crate::report::explain::{CellFacts, explanation, hints};

/// Fills in the advice of every program that failed, as far as the store has the types of the run's kernels.
pub(super) fn advise(record: &mut RunRecord, plan: &Plan, project: &Project) {
    let failed = |verdict: Verdict| !verdict.is_pass() && verdict != Verdict::NotRun;
    if !record.cells.iter().flat_map(|cell| &cell.programs).any(|program| failed(program.verdict)) {
        return;
    }
    let (before, store) = (record.clone(), &project.store);
    let kernels = kernel_types(&before, store, &mut Vec::new());
    let matrix: Vec<KernelTypes<'_>> = kernels.iter().map(MatrixTypes::borrowed).collect();
    let mut places = KnownPlaces::beyond(&kernels, store);
    places.add_store();
    // What an archive lacks is no news of this run.
    places.add_archives(project);
    let known = places.open();
    let probes = kernel_probes(&before, store);
    let elsewhere = TargetSearch::new(store);
    let no_log = |_: &str| Err(std::io::ErrorKind::Unsupported.into());
    for (object, planned) in plan.objects.iter().enumerate() {
        let cells = (0..before.kernels.len()).map(|kernel| before.cell(object, kernel));
        if !cells.flat_map(|cell| &cell.programs).any(|program| failed(program.verdict)) {
            continue;
        }
        let types = ObjectTypes::read(&planned.loaded);
        for kernel in 0..before.kernels.len() {
            let facts = CellFacts {
                record: &before,
                object,
                kernel,
                matrix: &matrix,
                known: &known,
                prove: &|_| None,
                probes: &probes,
                types: types.as_ref(),
                inventory: planned.object.inventory.as_ref().ok(),
                log: &no_log,
                elsewhere: &|name| elsewhere.find(name),
                missing: &[],
            };
            // Programs of one object often fail for one reason.
            let mut told = HashMap::new();
            for (p, program) in before.cell(object, kernel).programs.iter().enumerate() {
                if !failed(program.verdict) {
                    continue;
                }
                let line = program.evidence.as_ref().map(|evidence| &evidence.line);
                let story = (program.cause, line, &program.section);
                let (explained, hinted) = told.entry(story).or_insert_with(|| {
                    let explained = explanation(&facts, program).map(Box::new);
                    let hinted = if explained.is_none() { hints(&facts, program) } else { Vec::new() };
                    (explained, hinted)
                });
                let advised = &mut record.cells[object * before.kernels.len() + kernel].programs[p];
                advised.explanation.clone_from(explained);
                // What BTF shows is in libbpf's terms. Other loaders have their own, which name the program.
                let of_loader = before.objects[object].loader.is_some();
                advised.hints = if of_loader { hints(&facts, program) } else { hinted.clone() };
            }
        }
    }
}

/// Adds what the run itself proves of settings: where a program fails on another machine and loads on the kernel's own, the machine is
/// the cause.
pub(super) fn prove_settings(record: &mut RunRecord) {
    let kernels = record.kernels.len();
    for change in record.machine_changes() {
        let ChangedBy::Verdict { before, after } = change.what else { continue };
        if !before.is_pass() || !after.is_failure() {
            continue;
        }
        let Some(shape) = &record.objects[change.rows.row].shape else { continue };
        let hint = format!(
            "without {}, the same program loads on {}",
            shape.machine.in_words(),
            record.kernels[change.kernel].name
        );
        let cell = &mut record.cells[change.rows.row * kernels + change.kernel];
        let Some(program) = cell.programs.iter_mut().find(|program| program.name == change.program) else { continue };
        program.hints.insert(0, hint);
        // What is known better stays: the kernel's words name what the machine changed.
        if program.cause == Some(Cause::Unrecognised) {
            program.cause = Some(Cause::MachineSetting);
        }
    }
}

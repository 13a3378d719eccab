//! [`advise`]: puts what a failure means, and what to do about it, into the record as data, so that reports need neither the kernels'
//! types nor the objects afterwards.

use std::collections::HashMap;

use rayon::prelude::*;

use super::kernel_types::{MatrixTypes, kernel_probes, kernel_types};
use super::known_types::KnownPlaces;
use super::project::Project;
use super::target_search::TargetSearch;
use crate::explain::KernelTypes;
use crate::object::ObjectTypes;
use crate::plan::{Plan, PlannedObject};
use crate::record::{Cause, ChangedBy, Explanation, ProgramRecord, RunRecord, Verdict};
use crate::report::explain::{CellFacts, explanation, hints};

/// What is said of a program that failed.
struct Advice {
    /// Its cell, by its number in the record.
    cell: usize,
    /// Its number in the cell.
    program: usize,
    explanation: Option<Box<Explanation>>,
    hints: Vec<String>,
}

/// Fills in the advice of every program that failed, as far as the store has the types of the run's kernels.
pub(super) fn advise(record: &mut RunRecord, plan: &Plan, project: &Project) {
    if !record.cells.iter().flat_map(|cell| &cell.programs).any(has_failed) {
        return;
    }
    let store = &project.store;
    let kernels = kernel_types(record, store, &mut Vec::new());
    let matrix: Vec<KernelTypes<'_>> = kernels.iter().map(MatrixTypes::borrowed).collect();
    let mut places = KnownPlaces::beyond(&kernels, store);
    places.add_store();
    // What an archive lacks is no news of this run.
    places.add_archives(project);
    let known = places.open();
    let probes = kernel_probes(record, store);
    let elsewhere = TargetSearch::new(store);
    let before: &RunRecord = record;
    let of_object = |(object, planned): (usize, &PlannedObject)| {
        let cells = (0..before.kernels.len()).map(|kernel| before.cell(object, kernel));
        if !cells.flat_map(|cell| &cell.programs).any(has_failed) {
            return Vec::new();
        }
        let types = ObjectTypes::read(&planned.loaded);
        let of_kernel = |kernel: usize| {
            of_cell(&CellFacts {
                record: before,
                object,
                kernel,
                matrix: &matrix,
                known: &known,
                prove: &|_| None,
                probes: &probes,
                types: types.as_ref(),
                inventory: planned.object.inventory.as_ref().ok(),
                log: &|_| Err(std::io::ErrorKind::Unsupported.into()),
                elsewhere: &|name| elsewhere.find(name),
                missing: &[],
            })
        };
        (0..before.kernels.len()).flat_map(of_kernel).collect::<Vec<Advice>>()
    };
    let advice: Vec<Vec<Advice>> = plan.objects.par_iter().enumerate().map(of_object).collect();
    for Advice { cell, program, explanation, hints } in advice.into_iter().flatten() {
        let advised = &mut record.cells[cell].programs[program];
        (advised.explanation, advised.hints) = (explanation, hints);
    }
}

fn has_failed(program: &ProgramRecord) -> bool {
    !program.verdict.is_pass() && program.verdict != Verdict::NotRun
}

/// What is said of the programs of a cell.
fn of_cell(facts: &CellFacts<'_>) -> Vec<Advice> {
    let (record, cell) = (facts.record, facts.object * facts.record.kernels.len() + facts.kernel);
    // What BTF shows is in libbpf's terms. Other loaders have their own, which name the program.
    let of_loader = record.objects[facts.object].loader.is_some();
    // Programs of one object often fail for one reason.
    let mut told = HashMap::new();
    let failed = record.cells[cell].programs.iter().enumerate().filter(|(_, program)| has_failed(program));
    let advice = failed.map(|(number, program)| {
        let line = program.evidence.as_ref().map(|evidence| &evidence.line);
        let story = (program.cause, line, &program.section);
        let (explained, hinted) = told.entry(story).or_insert_with(|| {
            let explained = explanation(facts, program).map(Box::new);
            let hinted = if explained.is_none() { hints(facts, program) } else { Vec::new() };
            (explained, hinted)
        });
        let hints = if of_loader { hints(facts, program) } else { hinted.clone() };
        Advice { cell, program: number, explanation: explained.clone(), hints }
    });
    advice.collect()
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

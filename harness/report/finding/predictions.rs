//! [`of_predictions`]: relocations that came to something else than the types of their kernel say; and [`of_predicted_failures`]: what types
//! say of programs on kernels that were not booted.

use std::collections::BTreeMap;

use super::super::table::names;
use super::super::text::one_line;
use super::{Finding, FindingKind, FindingLevel};
use crate::record::{KernelState, PredictedOutcome, RelocationOutcome, RunRecord};

/// Each relocation once, with the kernels on which it is so. What the guest reported counts; the prediction is what is wrong.
pub(super) fn of_predictions(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let mut found: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for &k in shown {
        for relocation in &record.cell(o, k).relocations {
            let Some(predicted) = &relocation.predicted else { continue };
            let story = format!(
                "relocation `{}`: result {}; prediction from the kernel's BTF: {}",
                relocation.local,
                words(&relocation.outcome),
                words(predicted)
            );
            found.entry((relocation.relocation, story)).or_default().push(k);
        }
    }
    let programs = record.objects[o].programs.len();
    for (&k, p) in shown.iter().flat_map(|k| (0..programs).map(move |p| (k, p))) {
        let Some(program) = record.cell(o, k).programs.get(p) else { continue };
        let Some(predicted) = &program.predicted else { continue };
        let words = predicted.words();
        let story =
            format!("result of `{}`: {}; prediction from the kernel's BTF: {words}", program.name, program.verdict);
        found.entry((usize::MAX, story)).or_default().push(k);
    }
    let finding = |((_, story), kernels): ((usize, String), Vec<usize>)| {
        Finding::of_cells((FindingLevel::Warning, FindingKind::Prediction), Some(o), kernels, &story)
    };
    found.into_iter().map(finding).collect()
}

/// Programs that are predicted to fail alike on kernels that were not booted.
pub(super) fn of_predicted_failures(record: &RunRecord, o: usize) -> Vec<Finding> {
    let mut found: Vec<(&PredictedOutcome, Vec<usize>, Vec<String>)> = Vec::new();
    for p in 0..record.objects[o].programs.len() {
        let mut mine: Vec<(&PredictedOutcome, Vec<usize>)> = Vec::new();
        for k in 0..record.kernels.len() {
            let Some(outcome) = record.predicted_failure(o, k, p) else { continue };
            match mine.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, kernels)) => kernels.push(k),
                None => mine.push((outcome, vec![k])),
            }
        }
        let name = one_line(&record.objects[o].programs[p].name);
        for (outcome, kernels) in mine {
            match found.iter_mut().find(|(known, on, _)| *known == outcome && *on == kernels) {
                Some((_, _, programs)) => programs.push(name.clone()),
                None => found.push((outcome, kernels, vec![name.clone()])),
            }
        }
    }
    let finding = |(outcome, kernels, programs): (&PredictedOutcome, Vec<usize>, Vec<String>)| {
        let on: Vec<&str> = kernels.iter().map(|&k| record.kernels[k].name.as_str()).collect();
        let story = format!("{} on {}: predicted: {}", names(&programs), on.join(", "), outcome.words());
        // Where types only stand in for a kernel no one asked for them.
        let is_asked_for = |&k: &usize| matches!(record.kernels[k].state, KernelState::Predicted { reason: None, .. });
        let level = if kernels.iter().any(is_asked_for) { FindingLevel::Warning } else { FindingLevel::Note };
        Finding {
            level,
            kind: FindingKind::PredictedFailure,
            object: Some(o),
            programs,
            kernels,
            subject: outcome.reason(),
            story: one_line(&story),
            place: None,
        }
    };
    found.into_iter().map(finding).collect()
}

fn words(outcome: &RelocationOutcome) -> String {
    match outcome {
        RelocationOutcome::Resolved { new, .. } => format!("{new}"),
        RelocationOutcome::NoMatch { new, .. } => format!("no match, {new}"),
        RelocationOutcome::Poisoned => "no match, poisoned".to_owned(),
        RelocationOutcome::Ambiguous { reason } | RelocationOutcome::Failed { reason } => {
            format!("a failure ({reason})")
        }
        _ => "nothing".to_owned(),
    }
}

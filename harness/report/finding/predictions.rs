//! [`of_predictions`]: relocations that came to something else than the types of their kernel say.

use std::collections::BTreeMap;

use super::super::text::one_line;
use super::{Finding, FindingKind, FindingLevel};
use crate::record::{RelocationOutcome, RunRecord};

/// Each relocation once, with the kernels on which it is so. What the guest reported counts; the prediction is what is wrong.
pub(super) fn of_predictions(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let mut found: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for &k in shown {
        for relocation in &record.cell(o, k).relocations {
            let Some(predicted) = &relocation.predicted else { continue };
            let story = format!(
                "relocation `{}` came to {}, and the types of the kernel say {}",
                relocation.local,
                words(&relocation.outcome),
                words(predicted)
            );
            found.entry((relocation.relocation, story)).or_default().push(k);
        }
    }
    let finding = |((_, story), kernels): ((usize, String), Vec<usize>)| Finding {
        level: FindingLevel::Warning,
        kind: FindingKind::Prediction,
        object: Some(o),
        programs: Vec::new(),
        kernels,
        subject: None,
        story: one_line(&story),
        place: None,
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

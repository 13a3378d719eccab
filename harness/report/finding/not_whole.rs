//! [`of_object`]: objects that cannot be read, or do not load as a whole although each program loads.

use super::super::table::kernels;
use super::{Finding, FindingKind, FindingLevel};
use crate::record::RunRecord;

/// The findings of an object itself.
pub(super) fn of_object(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let finding = |level: FindingLevel, story: String, kernels: Vec<usize>| {
        Finding::of_cells((level, FindingKind::Object), Some(o), kernels, &story)
    };
    if let Some(reason) = &record.objects[o].broken {
        return vec![finding(FindingLevel::Error, format!("the object cannot be read: {reason}"), shown.to_vec())];
    }
    let mut reasons: Vec<(&str, Option<String>, Vec<usize>)> = Vec::new();
    for &k in shown {
        let cell = record.cell(o, k);
        let whole = cell.failed_whole();
        let Some(whole) = whole.filter(|_| cell.programs.iter().all(|program| program.verdict.is_pass())) else {
            continue;
        };
        let reason = whole.reason.as_deref().unwrap_or("no reason was recorded");
        let excuse = record.whole_excuse(o, k);
        match reasons.iter_mut().find(|known| (known.0, &known.1) == (reason, &excuse)) {
            Some((_, _, affected)) => affected.push(k),
            None => reasons.push((reason, excuse, vec![k])),
        }
    }
    let described = |(reason, excuse, affected): (&str, Option<String>, Vec<usize>)| {
        let on = kernels(record, shown, &affected);
        let level = if excuse.is_some() { FindingLevel::Note } else { FindingLevel::Error };
        let excuse = excuse.map_or(String::new(), |excuse| format!("; {excuse}"));
        finding(level, format!("each program loads, but not the object as a whole {on}: {reason}{excuse}"), affected)
    };
    reasons.into_iter().map(described).collect()
}

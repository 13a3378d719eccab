//! What a run did not observe itself: cells that it took from earlier runs. Every format says of them when that was.

use std::collections::BTreeSet;

use super::finding::{Finding, FindingKind, FindingLevel};
use super::text::{counted, one_line};
use crate::record::RunRecord;

/// How many cells are from earlier runs, and when these observed them; `None` if none is.
pub fn sentence(record: &RunRecord) -> Option<String> {
    let dates: Vec<&str> = record.cells.iter().filter_map(|cell| cell.observed.as_deref()).collect();
    let when = span(dates.iter().copied().collect())?;
    let all = counted(record.cells.len(), "cell");
    let were = if dates.len() == 1 { "was" } else { "were" };
    Some(format!("{} of {all} {were} not run again (`--reuse`): observed {when}", dates.len()))
}

/// Says in findings which cells they rest on that are of earlier runs, and adds one of its own.
pub fn tell(record: &RunRecord, found: &mut Vec<Finding>) {
    for finding in found.iter_mut() {
        if let Some(object) = finding.object {
            finding.story += &note(record, object, &finding.kernels);
        }
    }
    found.extend(sentence(record).map(|story| Finding {
        level: FindingLevel::Note,
        kind: FindingKind::Reused,
        object: None,
        programs: Vec::new(),
        kernels: Vec::new(),
        subject: None,
        story,
        place: None,
    }));
}

/// Which of an object's cells on these kernels are of earlier runs, and when those observed them, to be put behind what they say.
fn note(record: &RunRecord, object: usize, kernels: &[usize]) -> String {
    let observed = |k: &usize| record.cell(object, *k).observed.as_deref().map(|date| (*k, date));
    let reused: Vec<(usize, &str)> = kernels.iter().filter_map(observed).collect();
    let Some(when) = span(reused.iter().map(|(_, date)| *date).collect()) else { return String::new() };
    if reused.len() == kernels.len() {
        return format!(" (observed {when})");
    }
    let names: Vec<String> = reused.iter().map(|(k, _)| one_line(&record.kernels[*k].name)).collect();
    format!(" (on {} observed {when})", names.join(", "))
}

/// A date, or the first and the last of several.
fn span(dates: BTreeSet<&str>) -> Option<String> {
    let (first, last) = (one_line(dates.first()?), one_line(dates.last()?));
    Some(if first == last { first } else { format!("from {first} to {last}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn dates_are_said_of_what_is_reused_and_of_nothing_else() {
        let mut record = sample::record();
        assert_eq!(sentence(&record), None);
        assert_eq!(note(&record, 0, &[0, 2]), "");
        let all = record.cells.len();
        record.cells[2].observed = Some("2026-11-21T10:00:00Z".to_owned());
        assert_eq!(
            sentence(&record).unwrap(),
            format!("1 of {all} cells was not run again (`--reuse`): observed 2026-11-21T10:00:00Z")
        );
        let name = &record.kernels[2].name;
        assert_eq!(note(&record, 0, &[0, 2]), format!(" (on {name} observed 2026-11-21T10:00:00Z)"));
        assert_eq!(note(&record, 0, &[2]), " (observed 2026-11-21T10:00:00Z)");
        assert_eq!(note(&record, 1, &[2]), "");
        record.cells[0].observed = Some("2026-11-20T10:00:00Z".to_owned());
        assert_eq!(note(&record, 0, &[0, 2]), " (observed from 2026-11-20T10:00:00Z to 2026-11-21T10:00:00Z)");
        assert!(sentence(&record).unwrap().starts_with(&format!("2 of {all} cells were not run again")));
    }
}

//! [`counts`]: how far programs came beyond being loaded.

use std::collections::BTreeMap;

use super::super::text::{one_line, paragraph};
use crate::record::ExerciseRecord;
use crate::record::RunRecord;
use crate::record::{AttachOutcome, AttachRecord};

/// Reasons that are named; the rest is in `report.json`.
const MOST_REASONS: usize = 4;

/// How many programs could be attached, over all kernels; nothing if no one asked.
pub fn counts(record: &RunRecord, width: usize) -> String {
    let attached = || record.cells.iter().flat_map(|cell| &cell.programs).filter_map(|program| program.attach.as_ref());
    if attached().next().is_none() {
        return String::new();
    }
    let with = |outcome: AttachOutcome| attached().filter(move |attach| attach.outcome == outcome);
    let [attached, failed] = [AttachOutcome::Attached, AttachOutcome::Failed].map(|outcome| with(outcome).count());
    let mut text = format!("Of those loaded: {attached} attached");
    if failed > 0 {
        text += &format!(", {failed} failed to attach");
    }
    let untried: Vec<&AttachRecord> = with(AttachOutcome::NotPossible).collect();
    if !untried.is_empty() {
        text += &format!(", {} not tried ({})", untried.len(), reasons(&untried));
    }
    paragraph(&text, 0, width) + &runs(record, width)
}

/// How many of the programs that the guest tried to make run did; nothing if no one asked.
fn runs(record: &RunRecord, width: usize) -> String {
    let exercised: Vec<&ExerciseRecord> =
        record.cells.iter().flat_map(|cell| &cell.programs).filter_map(|program| program.exercise.as_ref()).collect();
    if exercised.is_empty() {
        return String::new();
    }
    let ran = exercised.iter().filter(|exercise| exercise.ran()).count();
    let tested = exercised.iter().filter(|exercise| exercise.ran() && exercise.test_run.is_some()).count();
    let in_tests = if tested > 0 { format!(" ({tested} in test runs)") } else { String::new() };
    let idle = match exercised.len() - ran {
        0 => String::new(),
        idle => format!(", {idle} did not run"),
    };
    paragraph(&format!("Of those exercised: {ran} ran{in_tests}{idle}"), 0, width)
}

/// The most frequent reasons first.
fn reasons(untried: &[&AttachRecord]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for attach in untried {
        *counts.entry(attach.reason.as_deref().unwrap_or("no reason was recorded")).or_default() += 1;
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = ranked.iter().take(MOST_REASONS).map(|(reason, count)| format!("{count}: {}", one_line(reason)));
    let mut named: Vec<String> = named.collect();
    if ranked.len() > MOST_REASONS {
        named.push("others in report.json".to_owned());
    }
    named.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;
    use crate::record::sample;

    #[test]
    fn what_was_not_tried_says_why() {
        let programs = [("a", "kprobe/x"), ("b", "kprobe"), ("c", "kprobe"), ("d", "kprobe/y"), ("e", "x")];
        let kernels = vec![sample::kernel("6.1")];
        let mut record =
            sample::assemble(kernels, vec![sample::object("o", &programs)], |_, _, _| (Verdict::Loaded, None));
        assert_eq!(counts(&record, 100), "");
        let nowhere = Some("its section names no target");
        let fates = [
            (AttachOutcome::Attached, None),
            (AttachOutcome::NotPossible, nowhere),
            (AttachOutcome::NotPossible, nowhere),
            (AttachOutcome::Failed, Some("`y` is gone")),
        ];
        for (program, (outcome, reason)) in record.cells[0].programs.iter_mut().zip(fates) {
            let (to, reason) = ("the target of its section".to_owned(), reason.map(str::to_owned));
            program.attach = Some(AttachRecord { outcome, to, reason, errno: None, took_us: 9 });
        }
        insta::assert_snapshot!(counts(&record, 100).trim_end(), @"Of those loaded: 1 attached, 1 failed to attach, 2 not tried (2: its section names no target)");
    }
}

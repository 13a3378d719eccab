//! [`changes`]: what differs from an earlier run, what is worse first.

use serde::Serialize;
use serde_json::{Value, json};

use crate::compare::{Change, differences, growth};
use crate::record::Blame;
use crate::record::RunRecord;
use crate::report::Baseline;
use crate::report::comparison::grouped;

/// Growth of the verifier's work below this is shown as a change, and as neither better nor worse: the percentage of the gate.
const GROWTH: f64 = crate::gate::GateLimits::INSTRUCTIONS_PERCENT;

/// What a change means to the one who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Tendency {
    /// Something that worked does not, or is no longer judged.
    Worse,
    /// It is another failure, or another matrix.
    Other,
    /// Something works that did not.
    Better,
}

/// The differences, those alike on several kernels once.
pub(super) fn changes(baseline: &Baseline<'_>, record: &RunRecord) -> Value {
    let found = differences(baseline.record, record);
    let mut groups: Vec<((Tendency, bool), Value)> = Vec::new();
    for (difference, kernels) in grouped(&found) {
        let place = &difference.place;
        let o = record.objects.iter().position(|object| Some(&object.name) == place.object.as_ref());
        let programs = o.map(|o| &record.objects[o].programs);
        let p = programs.and_then(|all| all.iter().position(|one| Some(&one.name) == place.program.as_ref()));
        let number = |name: &&str| record.kernels.iter().position(|kernel| kernel.name == *name);
        let entry = json!({
            "tendency": tendency(&difference.change),
            "object": place.object,
            "program": place.program,
            "o": o,
            "p": p,
            "kernels": kernels,
            "on": kernels.iter().filter_map(number).collect::<Vec<_>>(),
            "words": difference.change.to_string(),
        });
        // Work of the verifier is the least of what can be worse.
        let is_work = matches!(difference.change, Change::Instructions { .. });
        groups.push(((tendency(&difference.change), is_work), entry));
    }
    groups.sort_by_key(|(rank, _)| *rank);
    json!({
        "baseline": baseline.name,
        "started": baseline.record.started,
        "groups": groups.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(),
    })
}

fn tendency(change: &Change) -> Tendency {
    match change {
        Change::Gone
        | Change::CoverageLost { .. }
        | Change::DangerAdded(_)
        | Change::KernelWarningAdded(_)
        | Change::Whole { after: false, .. } => Tendency::Worse,
        Change::CoverageGained { .. }
        | Change::DangerGone(_)
        | Change::KernelWarningGone(_)
        | Change::Whole { after: true, .. } => Tendency::Better,
        Change::Verdict { before, after, .. } => match (before.is_pass(), after.is_pass()) {
            (true, false) => Tendency::Worse,
            (false, true) => Tendency::Better,
            // A failure that is no longer judged is a cell that was lost.
            _ if before.blame() != Blame::Harness && after.blame() == Blame::Harness => Tendency::Worse,
            _ => Tendency::Other,
        },
        Change::Instructions { before, after } => match growth(*before, *after) {
            // A little more than the rounding of a percentage, as in the gate.
            percent if percent - GROWTH > 1e-6 => Tendency::Worse,
            percent if percent < -GROWTH => Tendency::Better,
            _ => Tendency::Other,
        },
        Change::Added | Change::Cause { .. } | Change::RelocationAdded(_) | Change::RelocationGone(_) => {
            Tendency::Other
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::Verdict;
    use crate::record::sample;

    #[test]
    fn what_is_worse_comes_first_and_kernels_share_a_line() {
        let (before, mut after) = (sample::large(12, 3), sample::large(12, 3));
        for cell in 0..3 {
            let broken = &mut after.cells[cell].programs[7];
            *broken = sample::program(&broken.name, &broken.section, Verdict::VerifierRejected, Some("no"));
        }
        after.objects[1].name = "renamed".to_owned();
        let page = changes(&Baseline { name: "monday".to_owned(), record: &before }, &after);
        let lines: Vec<String> = page["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| {
                let kernels: Vec<&str> =
                    group["kernels"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let [tendency, object] = ["tendency", "object"].map(|key| group[key].as_str().unwrap_or("-"));
                format!(
                    "{tendency}: {object} {} {} {}",
                    group["p"],
                    kernels.join(","),
                    group["words"].as_str().unwrap()
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        worse: memleak null  was removed
        worse: klockstat 7 5.10,5.15 loaded -> verifier rejected: no
        other: renamed null  was added
        other: klockstat 7 5.4 missing BTF -> verifier rejected: no
        ");
    }

    #[test]
    fn growth_counts_from_a_limit_on() {
        let instructions = |before, after| tendency(&Change::Instructions { before, after });
        assert_eq!(instructions(100, 105), Tendency::Other);
        assert_eq!(instructions(10, 11), Tendency::Other);
        assert_eq!(instructions(100, 120), Tendency::Worse);
        assert_eq!(instructions(100, 50), Tendency::Better);
        let verdict = |before, after| tendency(&Change::Verdict { before, after, reason: None });
        assert_eq!(verdict(Verdict::VerifierRejected, Verdict::NotRun), Tendency::Worse);
        assert_eq!(verdict(Verdict::NotRun, Verdict::HarnessError), Tendency::Other);
        assert_eq!(verdict(Verdict::MissingBtf, Verdict::Loaded), Tendency::Better);
    }
}

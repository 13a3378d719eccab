//! [`merge`]: a run of some objects put into the record of all of them; [`changes`]: what is another verdict now.

use crate::compare::{Change, Difference, Place, differences};
use crate::record::{AlternativesRecord, KernelState, ProgramRecord, RunRecord};
use crate::report::one_line;

/// The record of the objects called `names`: from `fresh` where it has them, else from `before`. Both are of the same kernels.
pub(super) fn merge(before: &RunRecord, fresh: RunRecord, names: &[&str]) -> RunRecord {
    let place = |record: &RunRecord, name: &str| record.objects.iter().position(|object| object.name == name);
    let width = fresh.kernels.len();
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for name in names {
        let found = place(&fresh, name).map(|at| (&fresh, at)).or_else(|| Some((before, place(before, name)?)));
        // Neither has a new object that cannot be read yet.
        let Some((record, at)) = found else { continue };
        objects.push(record.objects[at].clone());
        cells.extend_from_slice(&record.cells[at * width..(at + 1) * width]);
    }
    let kernels = fresh.kernels.iter().zip(&before.kernels);
    // A kernel that no one had to start is what it was.
    let kernels =
        kernels.map(|(now, old)| if now.state == KernelState::Pending { old } else { now }).cloned().collect();
    // The fresh run proposes for its own objects only, and knows their shapes only.
    let is_kept = |group: &&AlternativesRecord| {
        let base = group.name.split('@').next();
        let is_current = fresh.alternatives.iter().any(|known| known.declared && base == Some(known.name.as_str()));
        let is_elsewhere = group.members.iter().all(|one| {
            names.contains(&one.object.as_str()) && fresh.objects.iter().all(|object| object.name != one.object)
        });
        let is_fresh = fresh.alternatives.iter().any(|known| known.name == group.name);
        is_elsewhere && !is_fresh && (is_current || !group.declared)
    };
    let kept: Vec<AlternativesRecord> = before.alternatives.iter().filter(is_kept).cloned().collect();
    let mut alternatives = fresh.alternatives.clone();
    alternatives.extend(kept);
    let mut optional = fresh.optional.clone();
    let kept = before.optional.iter().filter(|old| {
        names.contains(&old.what.object.as_str()) && fresh.optional.iter().any(|new| new.reason == old.reason)
    });
    optional.extend(kept.filter(|old| !fresh.optional.contains(old)).cloned());
    RunRecord { objects, cells, kernels, alternatives, optional, ..fresh }
}

/// One line for each program whose outcome differs, with the kernels where it does, and for objects that came or went.
pub(super) fn changes(before: &RunRecord, after: &RunRecord) -> Vec<String> {
    let mut lines = Vec::new();
    for (o, object) in after.objects.iter().enumerate() {
        let Some(old) = before.objects.iter().position(|old| old.name == object.name) else {
            lines.push(format!("`{}` is new", object.name));
            continue;
        };
        for (p, program) in object.programs.iter().enumerate() {
            // What changed in the same way, with its kernels.
            let mut stories: Vec<(String, Vec<&str>)> = Vec::new();
            for (k, kernel) in after.kernels.iter().enumerate() {
                let now = &after.cell(o, k).programs[p];
                let was = before.cell(old, k).programs.iter().find(|was| was.name == program.name);
                let Some(story) = story(was, now) else { continue };
                match stories.iter_mut().find(|(known, _)| *known == story) {
                    Some((_, kernels)) => kernels.push(&kernel.name),
                    None => stories.push((story, vec![&kernel.name])),
                }
            }
            let line = |(story, kernels): (String, Vec<&str>)| {
                format!("{}: `{}` on {}: {story}", object.name, program.name, kernels.join(", "))
            };
            lines.extend(stories.into_iter().map(line));
        }
        let gone = before.objects[old].programs.iter().filter(|was| object.programs.iter().all(|p| p.name != was.name));
        lines.extend(gone.map(|was| format!("{}: `{}` is gone", object.name, was.name)));
    }
    let gone = before.objects.iter().filter(|old| after.objects.iter().all(|object| object.name != old.name));
    lines.extend(gone.map(|old| format!("`{}` is gone", old.name)));
    // Names come from objects, which may call themselves anything.
    lines.iter().map(|line| one_line(line)).collect()
}

/// One line for each program that costs the verifier another number of instructions, and for each side of a guard that is proven
/// now or no longer.
pub(super) fn costs(before: &RunRecord, after: &RunRecord) -> Vec<String> {
    let mut stories: Vec<(String, String, Vec<String>)> = Vec::new();
    for Difference { place, change } in differences(before, after) {
        if !matches!(change, Change::Instructions { .. } | Change::CoverageLost { .. } | Change::CoverageGained { .. })
        {
            continue;
        }
        let kernel = place.kernel.clone();
        let (subject, story) = (Place { kernel: None, ..place }.to_string(), change.to_string());
        match stories.iter_mut().find(|(known, known_story, _)| (known, known_story) == (&subject, &story)) {
            Some((_, _, kernels)) => kernels.extend(kernel),
            None => stories.push((subject, story, kernel.into_iter().collect())),
        }
    }
    let line = |(subject, story, kernels): (String, String, Vec<String>)| {
        let on = if kernels.is_empty() { String::new() } else { format!(" on {}", kernels.join(", ")) };
        one_line(&format!("{subject}{on}: {story}"))
    };
    stories.into_iter().map(line).collect()
}

/// `loaded -> relocation failed: missing field`; `None` if nothing differs.
fn story(was: Option<&ProgramRecord>, now: &ProgramRecord) -> Option<String> {
    let fate = |program: &ProgramRecord| {
        let cause = program.cause.map_or_else(String::new, |cause| format!(" ({})", cause.label()));
        format!("{}{cause}", program.verdict)
    };
    let before = was.map_or_else(|| "new".to_owned(), fate);
    (before != fate(now)).then(|| format!("{before} -> {}", fate(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Cause;
    use crate::record::Statistics;
    use crate::record::Verdict;
    use crate::record::sample;

    /// A record of these objects, each with the programs `p` and `q`, where `fate` says what fails.
    fn record(objects: &[&str], fate: impl Fn(&str, usize, usize) -> Verdict) -> RunRecord {
        let kernels = ["6.1", "6.12"].map(sample::kernel).to_vec();
        let programs = [("p", "kprobe/x"), ("q", "kprobe/y")];
        let listed = objects.iter().map(|name| sample::object(name, &programs)).collect();
        sample::assemble(kernels, listed, |o, p, k| (fate(objects[o], p, k), None))
    }

    #[test]
    fn the_fresh_takes_the_place_of_the_old() {
        let before = record(&["a", "b", "c"], |_, _, _| Verdict::Loaded);
        let fresh = record(&["c", "d"], |name, p, k| match (name, p, k) {
            ("c", 0, _) | ("d", 1, 1) => Verdict::RelocationFailed,
            _ => Verdict::Loaded,
        });
        let after = merge(&before, fresh.clone(), &["a", "c", "d", "half-written"]);
        let names: Vec<&str> = after.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "d"]);
        assert_eq!(after.cells.len(), 6);
        assert_eq!(after.cell(0, 1), before.cell(0, 1));
        assert_eq!(after.cell(1, 1), fresh.cell(0, 1));
        assert_eq!(after.cell(2, 0), fresh.cell(1, 0));
        insta::assert_snapshot!(changes(&before, &after).join("\n"), @r"
        c: `p` on 6.1, 6.12: loaded -> relocation failed (missing field)
        `d` is new
        `b` is gone
        ");
    }

    #[test]
    fn a_kernel_that_was_not_started_is_what_it_was() {
        let before = record(&["a"], |_, _, _| Verdict::Loaded);
        let mut fresh = before.clone();
        let gone = KernelState::Unavailable { reason: "gone".to_owned(), hint: None };
        fresh.kernels[0].state = KernelState::Pending;
        fresh.kernels[1].state = gone.clone();
        let after = merge(&before, fresh, &["a"]);
        assert_eq!([&after.kernels[0].state, &after.kernels[1].state], [&KernelState::Ready, &gone]);
    }

    #[test]
    fn instructions_are_told_with_their_kernels() {
        let mut before = record(&["a"], |_, _, _| Verdict::Loaded);
        let processed = |record: &mut RunRecord, cell: usize, count: u64| {
            let statistics = Statistics { insns_processed: Some(count), ..Statistics::default() };
            record.cells[cell].programs[0].statistics = Some(statistics);
        };
        [0, 1].into_iter().for_each(|cell| processed(&mut before, cell, 100));
        assert!(costs(&before, &before).is_empty());
        let mut after = before.clone();
        [0, 1].into_iter().for_each(|cell| processed(&mut after, cell, 150));
        let lines = costs(&before, &after).join("\n");
        insta::assert_snapshot!(lines, @"`a/p` on 6.1, 6.12: instructions processed: 100 -> 150 (+50.0 %)");
    }

    #[test]
    fn nothing_and_another_cause_are_told_apart() {
        let before = record(&["a"], |_, p, _| if p == 0 { Verdict::VerifierRejected } else { Verdict::Loaded });
        let mut after = before.clone();
        assert!(changes(&before, &after).is_empty());
        after.cells[1].programs[0].cause = Some(Cause::UnknownHelper);
        after.objects[0].programs[1].name = "r".to_owned();
        for cell in &mut after.cells {
            cell.programs[1].name = "r".to_owned();
        }
        insta::assert_snapshot!(changes(&before, &after).join("\n"), @r"
        a: `p` on 6.12: verifier rejected (context argument changed) -> verifier rejected (unknown helper)
        a: `r` on 6.1, 6.12: new -> loaded
        a: `q` is gone
        ");
    }
}

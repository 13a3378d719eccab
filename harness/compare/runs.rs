//! [`differences`] between two runs, and [`one_kernel`], which makes a run of one kernel, so that kernels compare as runs do.

use super::Pair;
use super::difference::{Change, Difference, Place};
use super::{objects, sides};
use crate::record::{CellRecord, ProgramRecord, RunRecord};

/// Everything that differs from `before` to `after` but times, notes and order: what is gone and new first, then cell by cell in
/// the order of `after`.
pub fn differences(before: &RunRecord, after: &RunRecord) -> Vec<Difference> {
    let pair = Pair::new(before, after);
    let mut found = Vec::new();
    members(&pair, &mut found);
    for (o, object) in after.objects.iter().enumerate() {
        let Some(before_object) = pair.objects[o] else { continue };
        for (k, kernel) in after.kernels.iter().enumerate() {
            let Some(before_kernel) = pair.kernels[k] else { continue };
            let place = Place::cell(&object.name, &kernel.name);
            let (old, new) = (before.cell(before_object, before_kernel), after.cell(o, k));
            cell(&place, old, new, &mut found);
            kernel_log((before, old), (after, new), &mut found);
            for (p, new) in new.programs.iter().enumerate() {
                let Some(old) = pair.program(o, p).and_then(|p| old.programs.get(p)) else { continue };
                if let Some(change) = program(old, new) {
                    found.push(Difference { place: place.clone().of_program(&new.name), change });
                }
            }
        }
        relocations((before, before_object), (after, o), &mut found);
        sides::compare((before, before_object), (after, o), &mut found);
    }
    found
}

/// What an object asks kernels for in one of the runs only, if all of it is known about both.
fn relocations(old: (&RunRecord, usize), new: (&RunRecord, usize), found: &mut Vec<Difference>) {
    let (Some(asked), Some(asks)) = (objects::asked(old.0, old.1), objects::asked(new.0, new.1)) else { return };
    let place = Place::object(&new.0.objects[new.1].name);
    let mut push = |change: Change| found.push(Difference { place: place.clone(), change });
    asked.difference(&asks).for_each(|words| push(Change::RelocationGone(words.clone())));
    asks.difference(&asked).for_each(|words| push(Change::RelocationAdded(words.clone())));
}

/// What the kernel complained about in one of the runs only.
fn kernel_log(
    (before, old): (&RunRecord, &CellRecord),
    (after, new): (&RunRecord, &CellRecord),
    found: &mut Vec<Difference>,
) {
    let only = |cell: &CellRecord, accel: &str, other: &CellRecord| -> Vec<(Option<String>, String)> {
        let own = cell.kernel_log.iter().filter(|warning| !warning.is_noise(accel));
        let own = own.filter(|warning| !other.kernel_log.iter().any(|known| known.is_like(warning)));
        own.map(|warning| (warning.program.clone(), warning.headline.clone())).collect()
    };
    let mut push = |(program, words): (Option<String>, String), change: fn(String) -> Change| {
        let place = Place { program, ..Place::cell(&new.object, &new.kernel) };
        found.push(Difference { place, change: change(words) });
    };
    only(new, &after.tool.accel, old).into_iter().for_each(|one| push(one, Change::KernelWarningAdded));
    only(old, &before.tool.accel, new).into_iter().for_each(|one| push(one, Change::KernelWarningGone));
}

/// What is in one of the runs only.
fn members(pair: &Pair<'_>, found: &mut Vec<Difference>) {
    let (before, after) = (pair.before, pair.after);
    let mut push = |place: Place, change: Change| found.push(Difference { place, change });
    for (_, kernel) in before.kernels.iter().enumerate().filter(|(k, _)| !pair.kernels.contains(&Some(*k))) {
        push(Place::kernel(&kernel.name), Change::Gone);
    }
    for (o, object) in before.objects.iter().enumerate() {
        match pair.objects.iter().position(|known| *known == Some(o)) {
            None => push(Place::object(&object.name), Change::Gone),
            Some(later) => {
                let kept: Vec<_> =
                    (0..after.objects[later].programs.len()).filter_map(|p| pair.program(later, p)).collect();
                for (_, program) in object.programs.iter().enumerate().filter(|(p, _)| !kept.contains(p)) {
                    push(Place::object(&object.name).of_program(&program.name), Change::Gone);
                }
            }
        }
    }
    for (kernel, _) in after.kernels.iter().zip(&pair.kernels).filter(|(_, known)| known.is_none()) {
        push(Place::kernel(&kernel.name), Change::Added);
    }
    for (o, object) in after.objects.iter().enumerate() {
        if pair.objects[o].is_none() {
            push(Place::object(&object.name), Change::Added);
            continue;
        }
        for (_, program) in object.programs.iter().enumerate().filter(|(p, _)| pair.program(o, *p).is_none()) {
            push(Place::object(&object.name).of_program(&program.name), Change::Added);
        }
    }
}

/// What differs in the cell as a whole.
fn cell(place: &Place, old: &CellRecord, new: &CellRecord, found: &mut Vec<Difference>) {
    let mut push = |change: Change| found.push(Difference { place: place.clone(), change });
    if let (Some(old), Some(new)) = (&old.whole, &new.whole)
        && old.prepared != new.prepared
    {
        push(Change::Whole { after: new.prepared, reason: new.reason.clone() });
    }
    let words = |cell: &CellRecord| {
        let wrong = cell.dangers.iter().filter(|danger| danger.difference.is_wrong_here());
        // The same access in several instructions is one danger.
        let mut words: Vec<String> = wrong.map(|danger| format!("{danger} in `{}`", danger.function)).collect();
        words.sort();
        words.dedup();
        words
    };
    let (old, new) = (words(old), words(new));
    new.iter().filter(|words| !old.contains(words)).for_each(|words| push(Change::DangerAdded(words.clone())));
    old.iter().filter(|words| !new.contains(words)).for_each(|words| push(Change::DangerGone(words.clone())));
}

fn program(old: &ProgramRecord, new: &ProgramRecord) -> Option<Change> {
    if old.verdict != new.verdict {
        return Some(Change::Verdict { before: old.verdict, after: new.verdict, reason: new.reason.clone() });
    }
    if old.cause != new.cause {
        return Some(Change::Cause { verdict: new.verdict, before: old.cause, after: new.cause });
    }
    // How far the verifier got in what it refused does not show the program's cost.
    let processed = |program: &ProgramRecord| program.statistics.as_ref()?.insns_processed;
    match (processed(old), processed(new)) {
        (Some(before), Some(after)) if before != after && new.verdict.is_pass() => {
            Some(Change::Instructions { before, after })
        }
        _ => None,
    }
}

/// A line for each kernel that is another build than before: `6.12: 6.12.38 -> 6.12.41`.
pub fn moved_kernels(before: &RunRecord, after: &RunRecord) -> Vec<String> {
    let pair = Pair::new(before, after);
    let moved = after.kernels.iter().zip(&pair.kernels).filter_map(|(new, old)| {
        let (old, is) = (before.kernels[(*old)?].identity.as_ref()?, new.identity.as_ref()?);
        match old.release == is.release {
            true if old.image_sha256 == is.image_sha256 => None,
            true => Some(format!("{}: {} was rebuilt", new.name, is.release)),
            false => Some(format!("{}: {} -> {}", new.name, old.release, is.release)),
        }
    });
    moved.collect()
}

/// The run as if it had but kernel `kernel`, by index, which is called `name`. Two of these compare two kernels of one run.
pub fn one_kernel(record: &RunRecord, kernel: usize, name: &str) -> RunRecord {
    let mut of_kernel = record.kernels[kernel].clone();
    name.clone_into(&mut of_kernel.name);
    let cell = |object: usize| CellRecord { kernel: name.to_owned(), ..record.cell(object, kernel).clone() };
    let cells = (0..record.objects.len()).map(cell).collect();
    RunRecord { kernels: vec![of_kernel], cells, ..record.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;
    use crate::record::sample;

    #[test]
    fn a_new_build_is_compared_with_the_newest_before() {
        let run = |builds: &[&str], last: Verdict| {
            let kernels: Vec<_> = builds.iter().map(|build| sample::kernel(build)).collect();
            let count = kernels.len();
            sample::assemble(kernels, vec![sample::object("o", &[("p", "kprobe/x")])], |_, _, k| {
                (if k + 1 == count { last } else { Verdict::Loaded }, None)
            })
        };
        let before = run(&["el-8@1", "el-8@2"], Verdict::Loaded);
        let after = run(&["el-8@2", "el-8@3"], Verdict::RelocationFailed);
        let found = differences(&before, &after);
        let words: Vec<String> = found.iter().map(|one| format!("{:?} {:?}", one.place.kernel, one.change)).collect();
        assert!(
            matches!(&found[..], [gone, broken] if gone.change == Change::Gone
            && broken.place.kernel.as_deref() == Some("el-8@3")
            && matches!(broken.change, Change::Verdict { .. })),
            "{words:#?}"
        );
        assert_eq!(differences(&after, &after), []);
    }

    #[test]
    fn times_notes_and_order_are_no_differences() {
        let before = sample::large(12, 3);
        let mut after = sample::large(12, 3);
        for cell in &mut after.cells {
            cell.wall_ms += 77;
            cell.notes.push("guest lost, restarted".to_owned());
            cell.programs.iter_mut().for_each(|program| program.load_ms += 3);
        }
        after.kernels.reverse();
        let kernels = after.kernels.len();
        after.cells.chunks_mut(kernels).for_each(<[_]>::reverse);
        after.started = "2030-01-01T00:00:00Z".to_owned();
        assert_eq!(differences(&before, &after), []);
    }

    #[test]
    fn kernels_of_one_run_compare_as_runs() {
        let record = sample::record();
        let (a, b) = (one_kernel(&record, 2, "6.1 -> 6.12"), one_kernel(&record, 3, "6.1 -> 6.12"));
        let lines: Vec<String> = differences(&a, &b).iter().map(ToString::to_string).collect();
        assert!(
            lines.contains(&"`execsnoop/probe` on 6.1 -> 6.12 verifier rejected -> loaded".to_owned()),
            "{lines:#?}"
        );
        let whole = "`opensnoop` on 6.1 -> 6.12 no longer loads as a whole: map `events`: type 27 is not supported";
        assert!(lines.iter().any(|line| line == whole), "{lines:#?}");
    }

    #[test]
    fn what_is_gone_and_what_is_new_is_told() {
        let before = sample::large(12, 3);
        let mut after = sample::large(12, 3);
        after.objects[0].programs[1].name = "renamed".to_owned();
        after.kernels[2].name = "9.9".to_owned();
        after.objects[1].name = "other".to_owned();
        let lines: Vec<String> = differences(&before, &after).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        kernel 5.15 was removed
        `klockstat/return__vfs_read_1` was removed
        `memleak` was removed
        kernel 9.9 was added
        `klockstat/renamed` was added
        `other` was added
        ");
    }
}

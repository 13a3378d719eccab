//! [`Summary`]: whether it works everywhere, what broke, why and since when, in a few words.

use std::collections::BTreeMap;

use super::reused;
use super::table::shown_kernels;
use super::text::{counted, one_line};
use crate::record::{Blame, Verdict};
use crate::record::{Cause, DangerEffect, Limit};
use crate::record::{CellRecord, KernelState, ObjectRecord, RunRecord};

/// Causes and kernels in the words of a summary.
const MOST_NAMED: usize = 3;

/// The answer of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAnswer {
    /// Every program loads on every kernel that the matrix needs.
    Everywhere,
    /// Something fails.
    Broken,
    /// Nothing failed, and not everything could be judged.
    NotProven,
}

/// A run in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether it works everywhere.
    pub answer: RunAnswer,
    /// The answer as one sentence.
    pub sentence: String,
    /// What it does not say: what broke, why and since when, what is missing. Each one sentence.
    pub details: Vec<String>,
}

impl Summary {
    /// Reads a record.
    pub fn of(record: &RunRecord) -> Summary {
        let shown = shown_kernels(record);
        let (mut failing, mut excused, mut unjudged, mut left_out, mut skipped, mut total) = (0, 0, 0, 0, 0, 0);
        let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
        let mut breaks: BTreeMap<usize, usize> = BTreeMap::new();
        for (o, object) in record.objects.iter().enumerate() {
            for (p, program) in object.programs.iter().enumerate() {
                if object.loading.leaves_out(&program.name) {
                    left_out += 1;
                    continue;
                }
                let on = shown.iter().filter_map(|&k| Some((k, record.cell(o, k).programs.get(p)?)));
                let fates: Vec<_> = on.collect();
                if !fates.is_empty() && fates.iter().all(|(_, program)| program.verdict == Verdict::Skipped) {
                    skipped += 1;
                    continue;
                }
                total += 1;
                let (allowed, failures): (Vec<_>, Vec<_>) = fates
                    .iter()
                    .filter(|(_, program)| program.verdict.is_failure())
                    .partition(|(k, _)| record.excuse(o, *k, p).is_some());
                excused += usize::from(!allowed.is_empty());
                failing += usize::from(!failures.is_empty());
                let gap = |program: &crate::record::ProgramRecord| program.verdict.blame() == Blame::Harness;
                unjudged += usize::from(fates.iter().any(|(_, program)| gap(program)));
                let mut mine: Vec<Cause> = failures.iter().filter_map(|(_, program)| program.cause).collect();
                mine.sort_unstable();
                mine.dedup();
                mine.into_iter().for_each(|cause| *causes.entry(cause).or_default() += 1);
                let judged: Vec<_> = fates.iter().filter(|(_, program)| !gap(program)).collect();
                // Where it stopped loading; what never loaded broke nowhere.
                let breaks_here = |(k, _): &(usize, &crate::record::ProgramRecord)| record.fails(o, *k, p);
                let broke = judged.windows(2).find(|two| two[0].1.verdict.is_pass() && breaks_here(two[1]));
                if let Some(two) = broke {
                    *breaks.entry(two[1].0).or_default() += 1;
                }
            }
        }
        let not_whole = (0..record.objects.len()).filter(|&o| {
            record.objects[o].broken.is_some() || shown.iter().any(|&k| record.fails_whole(o, k).is_some())
        });
        let not_whole = not_whole.count();
        let allowed_whole =
            (0..record.objects.len()).filter(|&o| shown.iter().any(|&k| is_allowed_whole(record, o, k))).count();
        let needed_missing =
            record.kernels.iter().filter(|kernel| kernel.state != KernelState::Ready && !kernel.is_done_without());
        let needed_missing = needed_missing.count();

        let everywhere = match &shown[..] {
            [k] => format!("on {}", one_line(&record.kernels[*k].name)),
            [_, _] => "on both kernels".to_owned(),
            _ => format!("on all {} kernels", shown.len()),
        };
        let somewhere = match &shown[..] {
            [_] => everywhere.clone(),
            _ => format!("on at least one of {} kernels", shown.len()),
        };
        let of_commands = !record.objects.is_empty() && record.objects.iter().all(ObjectRecord::is_command);
        let of_tests = record.objects.iter().any(ObjectRecord::has_tests);
        let noun = if of_tests { "test" } else { "program" };
        let (answer, sentence) = if failing > 0 && of_commands {
            (RunAnswer::Broken, format!("The command fails {somewhere}"))
        } else if failing > 0 {
            let sentence = match (failing, total) {
                (1, 1) => format!("The {noun} fails {somewhere}"),
                (2, 2) => format!("Both {noun}s fail {somewhere}"),
                (1, _) => format!("1 of {total} {noun}s fails {somewhere}"),
                _ => format!("{failing} of {total} {noun}s fail {somewhere}"),
            };
            (RunAnswer::Broken, sentence)
        } else if not_whole > 0 {
            (RunAnswer::Broken, format!("{} cannot be loaded as a whole", counted(not_whole, "object")))
        } else if unjudged > 0 || needed_missing > 0 || total == 0 || shown.is_empty() {
            (RunAnswer::NotProven, "Nothing failed, but not everything could be judged".to_owned())
        } else {
            (
                RunAnswer::Everywhere,
                format!(
                    "{} {everywhere}",
                    match total {
                        _ if of_commands => "The command succeeds".to_owned(),
                        1 if of_tests => "The test passes".to_owned(),
                        2 if of_tests => "Both tests pass".to_owned(),
                        _ if of_tests => format!("All {total} tests pass"),
                        _ if excused > 0 || left_out > 0 => "Every required program loads".to_owned(),
                        1 => "The program loads".to_owned(),
                        2 => "Both programs load".to_owned(),
                        _ => format!("All {total} programs load"),
                    }
                ),
            )
        };
        let mut details = Vec::new();
        let mut by_count: Vec<(usize, String)> =
            causes.iter().map(|(cause, count)| (*count, cause.label().to_owned())).collect();
        details.extend(ranked("Why", &mut by_count, noun));
        let name = |k: usize| format!("from {}", one_line(&record.kernels[k].name));
        let mut by_count: Vec<(usize, String)> = breaks.iter().map(|(k, count)| (*count, name(*k))).collect();
        details.extend(ranked(if of_tests { "Stopped passing" } else { "Stopped loading" }, &mut by_count, noun));
        if failing > 0 && not_whole > 0 {
            details.push(format!("{} cannot be loaded as a whole", counted(not_whole, "object")));
        }
        if excused > 0 {
            let verb = if excused == 1 { "fails" } else { "fail" };
            details.push(format!("{} {verb} where the suite allows it", counted(excused, "program")));
        }
        if allowed_whole > 0 {
            let verb = if allowed_whole == 1 { "does" } else { "do" };
            let objects = counted(allowed_whole, "object");
            details.push(format!("{objects} {verb} not load as a whole where the suite allows it"));
        }
        if unjudged > 0 {
            details.push(format!("{} could not be judged on some kernel", counted(unjudged, noun)));
        }
        if skipped > 0 {
            let verb = if skipped == 1 { "is" } else { "are" };
            details.push(format!("{} {verb} skipped on every kernel", counted(skipped, noun)));
        }
        if left_out > 0 {
            let verb = if left_out == 1 { "is" } else { "are" };
            details.push(format!("{} {verb} never loaded, as set in the suite", counted(left_out, "program")));
        }
        let (predicted, missing): (Vec<usize>, Vec<usize>) =
            (0..record.kernels.len()).filter(|k| !shown.contains(k)).partition(|&k| record.kernels[k].is_predicted());
        let names = |kernels: &[usize]| -> String {
            let names: Vec<String> = kernels.iter().map(|&k| one_line(&record.kernels[k].name)).collect();
            names.join(", ")
        };
        if !missing.is_empty() {
            details.push(format!("{} could not be used: {}", counted(missing.len(), "kernel"), names(&missing)));
        }
        if !predicted.is_empty() {
            let verb = if predicted.len() == 1 { "is" } else { "are" };
            let failing = predicted_failures(record, &predicted);
            let then = match failing {
                0 => String::new(),
                1 => "; 1 program is predicted to fail".to_owned(),
                _ => format!("; {failing} programs are predicted to fail"),
            };
            let kernels = counted(predicted.len(), "kernel");
            details.push(format!("{kernels} {verb} only predicted from BTF: {}{then}", names(&predicted)));
        }
        for (effect, one, many) in [
            (DangerEffect::WrongData, "object loads but reads wrong data", "objects load but read wrong data"),
            (DangerEffect::CannotAttach, "object loads but cannot attach", "objects load but cannot attach"),
        ] {
            let has = |cell: &&CellRecord| cell.dangers.iter().any(|danger| danger.difference.effect() == effect);
            let dangerous: std::collections::BTreeSet<_> =
                record.cells.iter().filter(has).map(|cell| &cell.object).collect();
            match dangerous.len() {
                0 => {}
                1 => details.push(format!("1 {one} somewhere")),
                count => details.push(format!("{count} {many} somewhere")),
            }
        }
        let is_near = |&(o, p): &(usize, usize)| {
            Limit::ALL.into_iter().any(|limit| record.uses_of(o, p, limit).iter().any(|(_, one)| one.is_near()))
        };
        let near = every_program(record).filter(is_near).count();
        if near > 0 {
            let verb = if near == 1 { "is" } else { "are" };
            details.push(format!("{} {verb} close to a limit of the kernel", counted(near, "program")));
        }
        let complains =
            |cell: &&CellRecord| cell.kernel_log.iter().any(|warning| !warning.is_noise(&record.tool.accel));
        let loud: std::collections::BTreeSet<_> =
            record.cells.iter().filter(complains).map(|cell| &cell.object).collect();
        if !loud.is_empty() {
            details.push(format!("Kernels logged warnings while {} loaded", counted(loud.len(), "object")));
        }
        let refused: std::collections::BTreeSet<_> =
            record.cells.iter().flat_map(CellRecord::refused_modules).map(|module| &module.name).collect();
        if !refused.is_empty() {
            let names: Vec<String> = refused.iter().map(|name| format!("`{}`", one_line(name))).collect();
            details.push(format!("{} refused: {}", counted(names.len(), "kernel module"), names.join(", ")));
        }
        details.extend(reused::sentence(record));
        if record.interrupted || record.finished.is_none() {
            details.push("The run is incomplete: this report is partial".to_owned());
        }
        Summary { answer, sentence, details }
    }
}

/// Whether each program of an object loads, and the object as a whole does not, and the suite allows that.
fn is_allowed_whole(record: &RunRecord, o: usize, k: usize) -> bool {
    let loads_one_by_one = record.cell(o, k).programs.iter().all(|program| program.verdict.is_pass());
    loads_one_by_one && record.whole_excuse(o, k).is_some()
}

/// Programs that BTF shows will not load on some of these kernels.
fn predicted_failures(record: &RunRecord, kernels: &[usize]) -> usize {
    every_program(record).filter(|&(o, p)| kernels.iter().any(|&k| record.predicted_failure(o, k, p).is_some())).count()
}

/// Objects and programs, as indexes.
fn every_program(record: &RunRecord) -> impl Iterator<Item = (usize, usize)> {
    let objects = record.objects.iter().enumerate();
    objects.flat_map(|(o, object)| (0..object.programs.len()).map(move |p| (o, p)))
}

/// `Why: missing field (12 programs), missing type (3), and 2 others`.
fn ranked(what: &str, by_count: &mut [(usize, String)], noun: &str) -> Option<String> {
    by_count.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let named: Vec<String> = by_count
        .iter()
        .take(MOST_NAMED)
        .enumerate()
        .map(|(place, (count, name))| match place {
            0 => format!("{name} ({})", counted(*count, noun)),
            _ => format!("{name} ({count})"),
        })
        .collect();
    let more = match by_count.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        1 => ", and 1 other".to_owned(),
        more => format!(", and {more} others"),
    };
    (!named.is_empty()).then(|| format!("{what}: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn the_first_line_answers() {
        let summed_up = |record: &RunRecord| {
            let Summary { answer, sentence, details } = Summary::of(record);
            let details: String = details.iter().map(|detail| format!("\n  {detail}")).collect();
            format!("{answer:?}: {sentence}{details}")
        };
        let good = sample::assemble(
            vec![sample::kernel("6.1"), sample::kernel("6.12")],
            vec![sample::object("o", &[("p", "kprobe/x")])],
            |_, _, _| (Verdict::Loaded, None),
        );
        let mut idle = good.clone();
        idle.kernels[1].state = KernelState::Pending;
        idle.cells[1].programs[0].verdict = Verdict::NotRun;
        idle.interrupted = true;
        let mut loud = good.clone();
        loud.cells[0].kernel_log = vec![crate::record::KernelWarning {
            program: None,
            kind: crate::record::WarningKind::Warning,
            headline: "WARNING: at x.c:1 f".to_owned(),
            text: String::new(),
            count: 1,
        }];
        let all = [&good, &loud, &idle, &sample::record(), &sample::large(30, 12), &sample::large(0, 0)].map(summed_up);
        insta::assert_snapshot!(all.join("\n"), @"
        Everywhere: The program loads on both kernels
        Everywhere: The program loads on both kernels
          Kernels logged warnings while 1 object loaded
        NotProven: Nothing failed, but not everything could be judged
          1 kernel could not be used: 6.12
          The run is incomplete: this report is partial
        Broken: 6 of 10 programs fail on at least one of 2 kernels
          Why: missing attach target (2 programs), missing field (1), context argument changed (1), and 2 others
          1 object cannot be loaded as a whole
          3 programs could not be judged on some kernel
          2 kernels could not be used: 5.4, 5.10
          1 object loads but reads wrong data somewhere
          1 program is close to a limit of the kernel
        Broken: 15 of 30 programs fail on at least one of 12 kernels
          Why: missing BTF (10 programs), missing field (4), missing attach target (1), and 1 other
          Stopped loading: from 6.18 (1 program)
        NotProven: Nothing failed, but not everything could be judged
        ");
    }
}

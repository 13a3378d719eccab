//! [`render`]: what failed and why, each reason once for all the programs and kernels that share it.

use super::super::text::{counted, one_line, paragraph};
use super::grid::is_whole;
use super::titled;
use crate::record::RunRecord;
use crate::verdict::Verdict;

/// One object must not push the others out of sight.
const MOST_IN_OBJECT: usize = 8;
/// What a reader is going to read; the rest is in `report.json`.
const MOST_IN_ALL: usize = 40;
/// Names in one line before the rest is only counted.
const MOST_NAMES: usize = 3;

/// Programs that failed alike: on the same kernels, for the same reason.
#[derive(Debug, PartialEq)]
struct Failure {
    programs: Vec<String>,
    kernels: Vec<usize>,
    verdict: Verdict,
    reason: String,
}

/// Every failure on the kernels `shown`, by object, at most `width` columns wide.
pub fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let mut block = String::new();
    let (mut told, mut untold) = (0, 0);
    for (o, object) in record.objects.iter().enumerate() {
        let mut lines = Vec::new();
        if let Some(reason) = &object.broken {
            lines.push(format!("cannot be read: {reason}"));
        } else if object.programs.is_empty() {
            lines.push("has no programs: nothing was proven".to_owned());
        }
        lines.extend(not_whole(record, shown, o));
        let failures = failures(record, shown, o);
        lines.extend(failures.iter().map(|failure| {
            let programs = match failure.programs.len() {
                all if all == object.programs.len() && all > 1 => format!("all {all} programs"),
                _ => names(&failure.programs),
            };
            let kernels = kernels(record, shown, &failure.kernels);
            format!("{programs} {kernels}: {}: {}", failure.verdict, failure.reason)
        }));
        let room = MOST_IN_OBJECT.min(MOST_IN_ALL - told);
        let kept = lines.len().min(room);
        told += kept;
        if kept > 0 {
            block += &paragraph(&object.name, 2, width);
            block.extend(lines[..kept].iter().map(|line| paragraph(line, 4, width)));
            if kept < lines.len() {
                block += &format!("    ... {} more in report.json\n", lines.len() - kept);
            }
        } else {
            untold += lines.len();
        }
    }
    if untold > 0 {
        block += &format!("  ... {} of other objects in report.json\n", counted(untold, "more failure"));
    }
    titled("What failed", &block)
}

/// The failures of object `o` in the order of its programs.
fn failures(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Failure> {
    let mut merged: Vec<Failure> = Vec::new();
    for p in 0..record.objects[o].programs.len() {
        let mut of_program: Vec<Failure> = Vec::new();
        for &k in shown {
            let Some(program) = record.cell(o, k).programs.get(p) else {
                continue;
            };
            if program.verdict.is_pass() || program.verdict == Verdict::NotRun {
                continue;
            }
            let reason = one_line(program.reason.as_deref().unwrap_or("no reason was recorded"));
            let alike = of_program.iter_mut().find(|known| known.verdict == program.verdict && known.reason == reason);
            match alike {
                Some(known) => known.kernels.push(k),
                None => {
                    let programs = vec![one_line(&program.name)];
                    of_program.push(Failure { programs, kernels: vec![k], verdict: program.verdict, reason });
                }
            }
        }
        for mut failure in of_program {
            let alike = merged.iter_mut().find(|known| {
                (known.verdict, &known.kernels, &known.reason) == (failure.verdict, &failure.kernels, &failure.reason)
            });
            match alike {
                Some(known) => known.programs.append(&mut failure.programs),
                None => merged.push(failure),
            }
        }
    }
    merged
}

/// Where the programs of object `o` load one by one and the object does not.
fn not_whole(record: &RunRecord, shown: &[usize], o: usize) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<usize>)> = Vec::new();
    for &k in shown.iter().filter(|&&k| !is_whole(record.cell(o, k))) {
        let whole = record.cell(o, k).whole.as_ref();
        let reason = whole.and_then(|whole| whole.reason.as_deref()).unwrap_or("no reason was recorded");
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, kernels)) => kernels.push(k),
            None => reasons.push((reason, vec![k])),
        }
    }
    let lines = reasons.into_iter().map(|(reason, affected)| {
        format!("the object as a whole {}: does not load: {reason}", kernels(record, shown, &affected))
    });
    lines.collect()
}

fn names(programs: &[String]) -> String {
    let shown: Vec<String> = programs.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    match programs.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// On which of the kernels `shown`, in words.
pub(super) fn kernels(record: &RunRecord, shown: &[usize], affected: &[usize]) -> String {
    if affected.len() == shown.len() && shown.len() > 2 {
        return format!("on all {} kernels", shown.len());
    }
    let names: Vec<String> = affected.iter().map(|&k| one_line(&record.kernels[k].name)).collect();
    format!("on {}", names.join(", "))
}

//! [`render`]: what failed, from which kernel on and why, each story once for all the programs that share it.

use super::super::text::{counted, one_line, paragraph};
use super::change::{change, is_judged};
use super::grid::is_whole;
use super::titled;
use crate::record::Cause;
use crate::record::Verdict;
use crate::record::{ProgramRecord, RunRecord};

/// One object must not push the others out of sight.
const MOST_IN_OBJECT: usize = 8;
/// What a reader is going to read; the rest is in `report.json`.
const MOST_IN_ALL: usize = 40;
/// Names in one line before the rest is only counted.
const MOST_NAMES: usize = 3;

/// Programs that failed alike.
#[derive(Debug, PartialEq)]
struct Failure {
    programs: Vec<String>,
    /// What follows their names.
    story: String,
    /// Whether the suite allows it on every kernel where it happened.
    is_allowed: bool,
    /// Of what shows nothing about the object: where and for what cause it was not judged. One row is enough for each.
    unjudged: Option<String>,
}

/// Every failure on the kernels `shown`, by object, at most `width` columns wide.
pub fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    titled("Failures", &block(record, shown, false, width))
}

/// The failures that the suite allows.
pub fn allowed(record: &RunRecord, shown: &[usize], width: usize) -> String {
    titled("Failures that the suite allows", &block(record, shown, true, width))
}

fn block(record: &RunRecord, shown: &[usize], is_allowed: bool, width: usize) -> String {
    let mut block = String::new();
    let (mut printed, mut left_out) = (0, 0);
    for (o, object) in record.objects.iter().enumerate() {
        let mut lines = Vec::new();
        if is_allowed {
            lines.extend(not_whole(record, shown, o, true));
        } else {
            if let Some(reason) = &object.broken {
                lines.push(format!("cannot be read: {reason}"));
            } else if object.programs.is_empty() {
                lines.push("has no programs: nothing was proven".to_owned());
            }
            lines.extend(not_whole(record, shown, o, false));
        }
        let failures = failures(record, shown, o);
        lines.extend(failures.iter().filter(|failure| failure.is_allowed == is_allowed).map(|failure| {
            let programs = match failure.programs.len() {
                all if all == object.programs.len() && all > 1 => all_programs(all),
                _ => names(&failure.programs),
            };
            format!("{programs}{}", failure.story)
        }));
        let room = MOST_IN_OBJECT.min(MOST_IN_ALL - printed);
        let kept = lines.len().min(room);
        printed += kept;
        if kept > 0 {
            block += &paragraph(&object.name, 2, width);
            block.extend(lines[..kept].iter().map(|line| paragraph(line, 4, width)));
            if kept < lines.len() {
                block += &format!("    ... {} more in report.json\n", lines.len() - kept);
            }
        } else {
            left_out += lines.len();
        }
    }
    if left_out > 0 {
        block += &format!("  ... {} of other objects in report.json\n", counted(left_out, "more failure"));
    }
    block
}

/// The failures of object `o` in the order of its programs.
fn failures(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Failure> {
    let mut merged: Vec<Failure> = Vec::new();
    for (p, program) in record.objects[o].programs.iter().enumerate() {
        let change = change(record, shown, o, p);
        let rest = by_reason(record, shown, o, p, change.is_some());
        let (excused, is_allowed) = excused(record, shown, o, p);
        let change = change.map(|story| Row { story, unjudged: None });
        for row in change.into_iter().chain(rest) {
            let name = one_line(&program.name);
            let story = format!("{}{excused}", row.story);
            let unjudged = row.unjudged.map(|words| format!("{words}{excused}"));
            let same = |known: &&mut Failure| {
                let is_same = known.story == story || (unjudged.is_some() && known.unjudged == unjudged);
                is_same && known.is_allowed == is_allowed
            };
            match merged.iter_mut().find(same) {
                Some(known) => {
                    // Programs that were not judged for one cause differ in their words only.
                    if let Some(words) = unjudged.filter(|_| known.story != story) {
                        known.story = words;
                    }
                    known.programs.push(name);
                }
                None => merged.push(Failure { programs: vec![name], story, is_allowed, unjudged }),
            }
        }
    }
    merged
}

/// What excuses the failures of program `p`, to follow them, and whether that holds for all of them; empty if nothing does.
fn excused(record: &RunRecord, shown: &[usize], o: usize, p: usize) -> (String, bool) {
    let mut excuses: Vec<(Option<String>, Vec<usize>)> = Vec::new();
    let failing = |k: &usize| record.cell(o, *k).programs.get(p).is_some_and(|program| program.verdict.is_finding());
    for k in shown.iter().copied().filter(failing) {
        let excuse = record.excuse(o, k, p);
        match excuses.iter_mut().find(|(known, _)| *known == excuse) {
            Some((_, kernels)) => kernels.push(k),
            None => excuses.push((excuse, vec![k])),
        }
    }
    let is_allowed = !excuses.is_empty() && excuses.iter().all(|(excuse, _)| excuse.is_some());
    let everywhere = excuses.len() == 1;
    let words = excuses.into_iter().filter_map(|(excuse, affected)| {
        let excuse = one_line(&excuse?);
        Some(match everywhere {
            true => format!("; {excuse}"),
            false => format!("; {}: {excuse}", kernels(record, shown, &affected)),
        })
    });
    (words.collect(), is_allowed)
}

/// One row of a program.
struct Row {
    story: String,
    unjudged: Option<String>,
}

/// The reasons for which program `p` failed, each with its kernels; `unjudged` leaves out the kernels that judged it.
fn by_reason(record: &RunRecord, shown: &[usize], o: usize, p: usize, unjudged: bool) -> Vec<Row> {
    let mut reasons: Vec<(&ProgramRecord, String, Vec<usize>)> = Vec::new();
    for &k in shown {
        let Some(program) = record.cell(o, k).programs.get(p) else {
            continue;
        };
        if !program.verdict.is_finding() || (unjudged && is_judged(program)) {
            continue;
        }
        let reason = one_line(nameless(program.reason.as_deref().unwrap_or("no reason was recorded"), &program.name));
        let same =
            |known: &&mut (&ProgramRecord, String, Vec<usize>)| known.0.verdict == program.verdict && known.1 == reason;
        match reasons.iter_mut().find(same) {
            Some((_, _, kernels)) => kernels.push(k),
            None => reasons.push((program, reason, vec![k])),
        }
    }
    let row = |(program, reason, affected): (&ProgramRecord, String, Vec<usize>)| {
        let on = kernels(record, shown, &affected);
        let verdict = program.verdict;
        // Which module it is in is the point of that cause.
        let is_alike = |cause: &Cause| verdict == Verdict::HarnessLimit && *cause != Cause::ModuleNotLoaded;
        let cause = program.cause.filter(is_alike);
        let cause = cause.map(|cause| format!(" {on}: {verdict}: {cause}"));
        Row { story: format!(" {on}: {verdict}: {reason}"), unjudged: cause }
    };
    reasons.into_iter().map(row).collect()
}

/// What libbpf says of a program without the program's name, which stands before it already.
pub(in crate::report) fn nameless<'a>(reason: &'a str, program: &str) -> &'a str {
    let rest = reason.strip_prefix("prog '").and_then(|rest| rest.strip_prefix(program)?.strip_prefix("': "));
    rest.unwrap_or(reason)
}

/// Where the programs of object `o` load one by one and the object does not: where the suite allows that, or where it does not.
fn not_whole(record: &RunRecord, shown: &[usize], o: usize, is_allowed: bool) -> Vec<String> {
    let mut reasons: Vec<(&str, Option<String>, Vec<usize>)> = Vec::new();
    for &k in shown.iter().filter(|&&k| !is_whole(record.cell(o, k))) {
        let excuse = record.whole_excuse(o, k);
        if excuse.is_some() != is_allowed {
            continue;
        }
        let whole = record.cell(o, k).whole.as_ref();
        let reason = whole.and_then(|whole| whole.reason.as_deref()).unwrap_or("no reason was recorded");
        match reasons.iter_mut().find(|known| (known.0, &known.1) == (reason, &excuse)) {
            Some((_, _, kernels)) => kernels.push(k),
            None => reasons.push((reason, excuse, vec![k])),
        }
    }
    let lines = reasons.into_iter().map(|(reason, excuse, affected)| {
        let excuse = excuse.map_or(String::new(), |excuse| format!("; {}", one_line(&excuse)));
        format!("the object as a whole {}: does not load: {reason}{excuse}", kernels(record, shown, &affected))
    });
    lines.collect()
}

/// Every program of an object that has several.
pub(in crate::report) fn all_programs(count: usize) -> String {
    if count == 2 { "both programs".to_owned() } else { format!("all {count} programs") }
}

/// The first names, and how many more there are.
pub(in crate::report) fn names(programs: &[String]) -> String {
    let shown: Vec<String> = programs.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    match programs.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// On which of the kernels `shown`, in words.
pub(in crate::report) fn kernels(record: &RunRecord, shown: &[usize], affected: &[usize]) -> String {
    if affected.len() == shown.len() && shown.len() > 2 {
        return format!("on all {} kernels", shown.len());
    }
    let names: Vec<String> = affected.iter().map(|&k| one_line(&record.kernels[k].name)).collect();
    format!("on {}", names.join(", "))
}

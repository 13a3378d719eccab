//! Fallback coverage as text: the guards of each object with their sides across kernels, and a block for the run's table.

pub mod kernel_value;
pub mod lcov;
pub mod source;
pub mod unproven;

use std::fmt::Write as _;

use console::measure_text_width;

use super::text::{counted, one_line, paragraph, shorten_middle};
use crate::coverage::{ProofLevel, Unit, on_kernel};
use crate::record::ExerciseRecord;
use crate::record::RunRecord;
use crate::record::{GuardRecord, InModule};

/// Unproven sides that the run's table names.
const MOST_NAMED: usize = 10;
/// Columns of a guard's side before those of the kernels.
const SIDE_COLUMNS: usize = 40;
/// What the signs mean.
const LEGEND: &str = "R resolved: the kernel's answer selects this side; V verified: the verifier kept its \
    instructions; - neither; ? unknown";

/// What a further sign means in runs that made programs run.
const EXECUTED: &str = "X executed: a program ran that must have executed this side";

/// Whether any program of an object was seen to run, so that there is something to say of level *executed*.
pub(super) fn any_ran(record: &RunRecord, object: usize) -> bool {
    let cells = (0..record.kernels.len()).map(|kernel| record.cell(object, kernel));
    cells.flat_map(|cell| &cell.programs).any(|program| program.exercise.as_ref().is_some_and(ExerciseRecord::ran))
}

/// The guards of one object, side by side across kernels.
pub fn render(record: &RunRecord, object: usize, width: usize) -> String {
    let object_record = &record.objects[object];
    let mut text = paragraph(&headline(record, object), 0, width);
    if let Some(shape) = &object_record.shape {
        text += &paragraph(&format!("with {}", shape.settings.join(", ")), 2, width);
    }
    if object_record.coverage.guards.is_empty() {
        return text;
    }
    if object_record.coverage.lines.lines.is_empty() {
        text += &paragraph("the object has no line info: coverage is by instruction", 2, width);
    }
    let names: Vec<String> = record.kernels.iter().map(|kernel| one_line(&kernel.name)).collect();
    let least = if any_ran(record, object) { 3 } else { 2 };
    let columns: Vec<usize> = names.iter().map(|name| measure_text_width(name).max(least)).collect();
    let mut head = " ".repeat(SIDE_COLUMNS);
    for name in &names {
        let _ = write!(head, "  {name:>least$}");
    }
    text += head.trim_end();
    text.push('\n');
    // Copies of a guard of which nothing else is to say are shown once.
    let mut blocks: Vec<(String, String, usize)> = Vec::new();
    for (number, guard) in object_record.coverage.guards.iter().enumerate() {
        let (head, rows) =
            (title(object_record.programs.len(), record, object, guard), rows(record, object, number, &columns, width));
        match blocks.iter_mut().find(|known| (&known.0, &known.1) == (&head, &rows)) {
            Some((_, _, times)) => *times += 1,
            None => blocks.push((head, rows, 1)),
        }
    }
    for (head, rows, times) in blocks {
        text += &paragraph(&format!("{head}{}", inlined(times)), 2, width);
        text += &rows;
    }
    let legend = match any_ran(record, object) {
        true => format!("{LEGEND}; {EXECUTED}"),
        false => LEGEND.to_owned(),
    };
    text += &paragraph(&legend, 2, width);
    text + &union(record, object, width)
}

/// The sides of a guard, across kernels with columns of these widths.
fn rows(record: &RunRecord, object: usize, number: usize, columns: &[usize], width: usize) -> String {
    let guard = &record.objects[object].coverage.guards[number];
    if let Some(why) = &guard.undecided {
        return paragraph(&format!("undecided: {why}"), 4, width);
    }
    let mut text = String::new();
    for (side, one) in guard.sides.iter().enumerate() {
        let label = match one.insns {
            0 => one_line(&one.when),
            insns => format!("{} ({})", one_line(&one.when), counted(insns, "instruction")),
        };
        let mut row = format!("    {}", shorten_middle(&label, SIDE_COLUMNS - 5));
        row += &" ".repeat(SIDE_COLUMNS.saturating_sub(measure_text_width(&row)));
        for (kernel, column) in columns.iter().enumerate() {
            let _ = write!(row, "  {:>column$}", sign(record, object, kernel, number, side));
        }
        text += row.trim_end();
        text.push('\n');
    }
    text.extend(in_modules(record, &[object], number).map(|words| paragraph(&words, 4, width)));
    text
}

/// That a guard is false on some kernels only because the guest has no module, or that no one knows it: `false on 6.1 only because the guest
/// has not loaded kernel module xfs`.
fn in_modules(record: &RunRecord, rows: &[usize], guard: usize) -> Option<String> {
    let mut places: Vec<(&InModule, Vec<&str>)> = Vec::new();
    for (&row, (number, kernel)) in
        rows.iter().flat_map(|row| record.kernels.iter().enumerate().map(move |at| (row, at)))
    {
        let all = &record.cell(row, number).coverage.in_modules;
        let Some(found) = all.iter().find(|found| found.guard == guard) else { continue };
        match places.iter_mut().find(|(known, _)| *known == found) {
            Some((_, kernels)) if kernels.contains(&kernel.name.as_str()) => {}
            Some((_, kernels)) => kernels.push(&kernel.name),
            None => places.push((found, vec![&kernel.name])),
        }
    }
    let words = places.iter().map(|(found, kernels)| {
        let (modules, kernels) = (found.modules.join(" or "), kernels.join(", "));
        match &found.on_kernel {
            None => format!("false on {kernels} only because kernel module {modules} is not loaded in the guest"),
            Some(on) => format!(
                "unknown on {kernels}: it is in kernel module {modules} on {on}, but the modules here are unknown"
            ),
        }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// What an object and its shapes prove together; empty for an object without shapes, and for a shape.
fn union(record: &RunRecord, object: usize, width: usize) -> String {
    let rows = record.family(object);
    if rows.len() < 2 || record.base(object) != object {
        return String::new();
    }
    let unit = Unit { object, rows };
    let total = unit.sides(record).len();
    let [resolved, verified] = [ProofLevel::Resolved, ProofLevel::Verified].map(|level| unit.count(record, level));
    let shapes = unit.rows.iter().filter_map(|&row| record.objects[row].shape.as_ref());
    let names: Vec<&str> = shapes.map(|shape| shape.name.as_str()).collect();
    let text = format!(
        "With its {} ({}): {resolved} of {total} sides resolved, {verified} of {total} verified",
        counted(names.len(), "shape"),
        names.join(", ")
    );
    paragraph(&text, 2, width)
}

/// `task-state: 1 guard, 2 of 2 sides resolved, 2 of 2 verified`
fn headline(record: &RunRecord, object: usize) -> String {
    let object_record = &record.objects[object];
    let guards = &object_record.coverage.guards;
    let unit = Unit { object, rows: vec![object] };
    let all = unit.sides(record);
    let count = |level| unit.count(record, level);
    let undecided = guards.iter().filter(|guard| guard.undecided.is_some()).count();
    let shaped = record.family(object).len() > 1;
    let switches = guards.iter().filter(|guard| !guard.asks_kernel() && guard.undecided.is_none()).count();
    let mut text = format!("{}: {}", object_record.name, counted(guards.len(), "guard"));
    if !all.is_empty() {
        let (total, resolved, verified) = (all.len(), count(ProofLevel::Resolved), count(ProofLevel::Verified));
        let _ = write!(text, ", {resolved} of {total} sides resolved, {verified} of {total} verified");
        if any_ran(record, object) {
            let _ = write!(text, ", {} of {total} executed", count(ProofLevel::Executed));
        }
    }
    if switches > 0 && !shaped {
        let _ = write!(
            text,
            "; {} in .rodata not counted: the run has only one value of each",
            counted(switches, "switch").replace("switchs", "switches")
        );
    }
    if undecided > 0 {
        let _ = write!(text, "; {undecided} undecided");
    }
    text
}

/// The guard with its place and, where they are not all, its programs.
fn title(programs: usize, record: &RunRecord, object: usize, guard: &GuardRecord) -> String {
    let mut text = match guard.function.is_empty() {
        true => guard.name(),
        false => format!("{} {} in {}", guard.place(), guard.name(), guard.function),
    };
    let names: Vec<&str> =
        guard.programs.iter().map(|&program| record.objects[object].programs[program].name.as_str()).collect();
    if names != [guard.function.as_str()] && !names.is_empty() {
        let _ = match names.len() == programs && programs > 3 {
            true => write!(text, " (part of every program)"),
            false => write!(text, " (part of {})", names.join(", ")),
        };
    }
    text
}

/// What one kernel proves of a side, as in [`LEGEND`].
pub(super) fn sign(record: &RunRecord, object: usize, kernel: usize, guard: usize, side: usize) -> &'static str {
    let level = |level| on_kernel(record, object, kernel, guard, side, level);
    let executed = level(ProofLevel::Executed) == Some(true);
    match (level(ProofLevel::Resolved), level(ProofLevel::Verified)) {
        (Some(true), Some(true)) if executed => "RVX",
        (Some(true), Some(true)) => "RV",
        (Some(true), _) => "R",
        (_, Some(true)) if executed => "VX",
        (_, Some(true)) => "V",
        (_, Some(false)) | (Some(false), _) => "-",
        (None, None) => "?",
    }
}

/// How often a guard stands in the object, for one that stands there several times.
fn inlined(times: usize) -> String {
    if times > 1 { format!(" ({times} times, inlined)") } else { String::new() }
}

/// The block of the run's table; empty if no object has a guard that asks kernels.
pub fn summary(record: &RunRecord, width: usize) -> String {
    let (mut total, mut unproven) = (0, 0);
    // A guard that is inlined several times is one to a reader, with its count.
    let mut missing: Vec<(String, usize)> = Vec::new();
    for unit in Unit::all(record) {
        let object_record = &record.objects[unit.object];
        for (number, side) in unit.sides(record) {
            total += 1;
            if unit.proven(record, number, side, ProofLevel::Verified).is_empty() {
                let guard = &object_record.coverage.guards[number];
                let name =
                    format!("{}: {} {} {}", object_record.name, guard.place(), guard.name(), guard.sides[side].when);
                unproven += 1;
                match missing.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, times)) => *times += 1,
                    None => missing.push((name, 1)),
                }
            }
        }
    }
    if total == 0 {
        return String::new();
    }
    let count = total - unproven;
    let mut text = paragraph(&format!("Fallback coverage: {count} of {total} guard sides proven (verified)"), 0, width);
    for (name, times) in missing.iter().take(MOST_NAMED) {
        text += &paragraph(&format!("unproven: {name}{}", inlined(*times)), 2, width);
    }
    if missing.len() > MOST_NAMED {
        let more: usize = missing[MOST_NAMED..].iter().map(|(_, times)| times).sum();
        text += &paragraph(&format!("and {more} more"), 2, width);
    }
    if !missing.is_empty() {
        text += &paragraph("`corematrix coverage RUN --unproven` shows what would prove them", 2, width);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;

//! [`render`]: the grid itself, split into several where the kernels do not fit side by side, and its legend.

use std::collections::BTreeSet;

use console::measure_text_width;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::style::HorizontalLine;
use tabled::settings::{Modify, Padding, Style};

use super::super::text::{counted, one_line, paragraph, shorten_middle, unbroken};
use crate::record::Verdict;
use crate::record::{CellRecord, DangerEffect, ObjectRecord, PredictedOutcome, ProgramRecord, RunRecord};

/// Blanks between columns.
const GAP: usize = 2;
/// A kernel's column is never wider; longer names lose their middle.
const WIDEST_KERNEL: usize = 16;
/// Long names lose their middle down to this width before the kernels are split over several grids.
const NARROWEST_NAME: usize = 24;
/// With more program rows than this, those that loaded everywhere are only counted.
const MANY_ROWS: usize = 60;
/// Marks an object whose programs all load, one by one, but which a plain loader cannot load.
const NOT_WHOLE: char = '*';
/// Marks a program that loads, and reads wrong data or cannot attach.
const ENDANGERED: char = '!';

/// One line of the grid: a name and a cell for each shown kernel.
struct Row {
    name: String,
    cells: Vec<String>,
}

/// The grid of all objects on the kernels `shown`, at most `width` columns wide, and its legend.
pub fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    if shown.is_empty() || record.objects.is_empty() {
        return "No program was run on any kernel.\n".to_owned();
    }
    let every_row = rows(record, shown);
    let widths: Vec<usize> = (0..shown.len())
        .map(|column| {
            let cells = every_row.iter().map(|row| measure_text_width(&row.cells[column]));
            let name = measure_text_width(&kernel_name(record, shown[column]));
            GAP + cells.fold(name, usize::max)
        })
        .collect();
    let widest_name = every_row.iter().map(|row| measure_text_width(&row.name)).max().unwrap_or(0);
    let runs = split(&widths, width.saturating_sub(widest_name.min(NARROWEST_NAME)));
    // Names take what the kernels leave.
    let widest_run = runs.iter().map(|run| widths[run.clone()].iter().sum()).max().unwrap_or(0);
    let name_width = widest_name.min(width.saturating_sub(widest_run).max(NARROWEST_NAME));

    let mut text = String::new();
    for run in runs {
        text += &grid(record, &shown[run], name_width);
        text.push('\n');
    }
    text + &legend(record, shown, &every_row, width)
}

/// One grid, with the kernels `shown` side by side.
fn grid(record: &RunRecord, shown: &[usize], name_width: usize) -> String {
    let mut builder = Builder::default();
    // As wide as in the grids of the other kernels, even if the longest name has no row here.
    let corner = " ".repeat(name_width);
    builder.push_record([corner].into_iter().chain(shown.iter().map(|&k| kernel_name(record, k))));
    for row in rows(record, shown) {
        builder.push_record([shorten_middle(&row.name, name_width)].into_iter().chain(row.cells));
    }
    let mut table = builder.build();
    table
        .with(Style::empty().horizontals([(1, HorizontalLine::new('─'))]))
        .with(Padding::new(GAP, 0, 0, 0))
        .with(Modify::new(Columns::first()).with(Padding::zero()));
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn kernel_name(record: &RunRecord, k: usize) -> String {
    shorten_middle(&one_line(&record.kernels[k].name), WIDEST_KERNEL)
}

/// Cuts the columns into runs that fit into `room`; as few as possible, and then about equally long.
fn split(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
    let greedy = |most: usize| {
        let (mut runs, mut start, mut used) = (Vec::new(), 0, 0);
        for (k, width) in widths.iter().enumerate() {
            if k > start && (used + width > room || k - start == most) {
                runs.push(start..k);
                (start, used) = (k, 0);
            }
            used += width;
        }
        runs.push(start..widths.len());
        runs
    };
    let fewest = greedy(widths.len());
    let even = greedy(widths.len().div_ceil(fewest.len()));
    if even.len() == fewest.len() { even } else { fewest }
}

fn rows(record: &RunRecord, shown: &[usize]) -> Vec<Row> {
    let programs: usize = record.objects.iter().map(|object| object.programs.len()).sum();
    let mut rows = Vec::new();
    for (o, object) in record.objects.iter().enumerate() {
        let cells: Vec<&CellRecord> = shown.iter().map(|&k| record.cell(o, k)).collect();
        if object.is_command() {
            let ends = cells.iter().flat_map(|cell| &cell.programs).map(|end| end.verdict.short().to_owned());
            rows.push(Row { name: one_line(&object.name), cells: ends.collect() });
            continue;
        }
        let summary = shown.iter().map(|&k| object_cell(record, o, k)).collect();
        rows.push(Row { name: one_line(&object.name), cells: summary });
        // Where all programs fare alike and nothing failed, the object's own line says it all.
        let tried = || cells.iter().filter(|cell| cell.prediction.is_none());
        let every = |verdict: Verdict| {
            tried().all(|cell| cell.programs.iter().all(|p| p.verdict == verdict && !is_endangered(cell, p)))
        };
        let nothing_against = cells
            .iter()
            .filter_map(|cell| cell.prediction.as_ref())
            .all(|prediction| prediction.programs.iter().all(|outcome| *outcome == PredictedOutcome::Resolves));
        let alike = [Verdict::Loaded, Verdict::Succeeded, Verdict::NotRun, Verdict::Skipped];
        if nothing_against && alike.into_iter().any(every) {
            continue;
        }
        let mut folded = 0;
        for (p, program) in object.programs.iter().enumerate() {
            if programs > MANY_ROWS && cells.iter().all(|cell| is_quiet(cell, p)) {
                folded += 1;
                continue;
            }
            let cells = shown.iter().map(|&k| program_cell(record, o, k, p)).collect();
            rows.push(Row { name: format!("  {}", one_line(&program.name)), cells });
        }
        if folded > 0 {
            let one = |cell: &&CellRecord| match cell.prediction {
                Some(_) => PredictedOutcome::Resolves.short().to_owned(),
                None => Verdict::Loaded.short().to_owned(),
            };
            let cells = cells.iter().map(one).collect();
            rows.push(Row { name: format!("  ({folded} more)"), cells });
        }
    }
    rows
}

/// Whether there is nothing to say of a program.
fn is_quiet(cell: &CellRecord, program: usize) -> bool {
    match &cell.prediction {
        Some(prediction) => prediction.programs.get(program) == Some(&PredictedOutcome::Resolves),
        None => {
            let program = cell.programs.get(program);
            program.is_some_and(|program| program.verdict.is_pass() && !is_endangered(cell, program))
        }
    }
}

/// Whether a program loads, and reads wrong data or cannot attach.
fn is_endangered(cell: &CellRecord, program: &ProgramRecord) -> bool {
    program.verdict.is_pass() && !cell.effects_on(&program.name).is_empty()
}

/// The verdict on one program, and whether something is wrong though it loads, or the suite allows that it fails; or what is predicted of
/// it.
fn program_cell(record: &RunRecord, o: usize, k: usize, program: usize) -> String {
    let cell = record.cell(o, k);
    if record.excuse(o, k, program).is_some() {
        return allowed(cell.programs[program].verdict.short());
    }
    if let Some(predicted) = cell.prediction.as_ref().and_then(|prediction| prediction.programs.get(program)) {
        return predicted.short().to_owned();
    }
    let program = cell.programs.get(program);
    let verdict = program.map_or(Verdict::NotRun, |program| program.verdict).short();
    match program.is_some_and(|program| is_endangered(cell, program)) {
        true => format!("{verdict} {ENDANGERED}"),
        false => verdict.to_owned(),
    }
}

/// What fails where the suite allows it. The page has the same sign.
fn allowed(sign: &str) -> String {
    format!("({sign})")
}

/// How many of the object's programs loaded. Where nothing was proven it must not look as if all went well.
fn object_cell(record: &RunRecord, o: usize, k: usize) -> String {
    let (object, cell) = (&record.objects[o], record.cell(o, k));
    let loaded = cell.programs.iter().filter(|program| program.verdict.is_pass()).count();
    let left_out =
        |program: &ProgramRecord| object.loading.leaves_out(&program.name) || program.verdict == Verdict::Skipped;
    let total = cell.programs.iter().filter(|program| !left_out(program)).count();
    if object.broken.is_some() {
        return Verdict::FailedToOpen.short().to_owned();
    }
    if let Some(prediction) = &cell.prediction {
        return format!("~{}/{total}", prediction.programs.iter().filter(|outcome| outcome.resolves()).count());
    }
    for alone in [Verdict::NotRun, Verdict::Skipped] {
        if cell.programs.iter().all(|program| program.verdict == alone) {
            return alone.short().to_owned();
        }
    }
    let fraction = format!("{loaded}/{total}");
    let is_short = |(p, program): (usize, &ProgramRecord)| {
        !program.verdict.is_pass() && !left_out(program) && record.excuse(o, k, p).is_none()
    };
    match is_whole(cell) {
        true if loaded < total && !cell.programs.iter().enumerate().any(is_short) => allowed(&fraction),
        true => fraction,
        false if record.whole_excuse(o, k).is_some() => allowed(&format!("{fraction}{NOT_WHOLE}")),
        false => format!("{fraction}{NOT_WHOLE}"),
    }
}

/// False if every program loads by itself and the object as a whole does not, which the counts alone would hide.
pub fn is_whole(cell: &CellRecord) -> bool {
    let mut tried = cell.programs.iter().filter(|program| program.verdict != Verdict::NotRun).peekable();
    let all_loaded = tried.peek().is_some() && tried.all(|program| program.verdict.is_pass());
    !all_loaded || cell.whole.as_ref().is_none_or(|whole| whole.prepared)
}

/// The signs that occur in the rows, and what they mean.
fn legend(record: &RunRecord, shown: &[usize], rows: &[Row], width: usize) -> String {
    let cells = || record.objects.iter().enumerate().flat_map(|(o, _)| shown.iter().map(move |&k| record.cell(o, k)));
    let in_rows: BTreeSet<&str> = rows.iter().flat_map(|row| &row.cells).flat_map(|cell| parts(cell)).collect();
    let occurs = |verdict: Verdict| {
        let mut tried = cells().filter(|cell| cell.prediction.is_none());
        let in_programs = tried.any(|cell| cell.programs.iter().any(|program| program.verdict == verdict));
        let is_broken = verdict == Verdict::FailedToOpen && record.objects.iter().any(|object| object.broken.is_some());
        in_rows.contains(verdict.short()) && (in_programs || is_broken)
    };
    let mut signs = Vec::new();
    if let Some((sign, passed, total)) = fraction(in_rows.iter().copied().filter(|sign| !sign.starts_with('~'))) {
        let has_tests = record.objects.iter().any(ObjectRecord::has_tests);
        let (noun, done) = if has_tests { ("test", "passed") } else { ("program", "loaded") };
        let is_skipped = cells().any(|cell| cell.programs.iter().any(|program| program.verdict == Verdict::Skipped));
        let skipped = if has_tests && is_skipped { ", not counting skipped ones" } else { "" };
        signs.push(format!("{sign} = {passed} of {} {done}{skipped}", counted(total, noun)));
    }
    if cells().any(|cell| !is_whole(cell)) {
        signs.push(format!("{NOT_WHOLE} = each program loads, but not the object as a whole"));
    }
    let programs = cells().flat_map(|cell| cell.programs.iter().map(move |program| (cell, program)));
    let endangered = programs.filter(|(cell, program)| is_endangered(cell, program));
    let mut effects: Vec<_> = endangered.flat_map(|(cell, program)| cell.effects_on(&program.name)).collect();
    effects.sort_unstable();
    effects.dedup();
    let effects: Vec<&str> = effects.into_iter().map(DangerEffect::label).collect();
    for verdict in Verdict::ALL.into_iter().filter(|verdict| occurs(*verdict)) {
        signs.push(format!("{} = {}", verdict.short(), verdict.label()));
        if verdict == Verdict::Loaded && !effects.is_empty() {
            signs.push(format!("{} {ENDANGERED} = loads, but {}", verdict.short(), effects.join(" or ")));
        }
    }
    if rows.iter().flat_map(|row| &row.cells).any(|cell| cell.starts_with('(')) {
        signs.push(format!("{} = fails, but the suite allows it", allowed("…")));
    }
    let line = |signs: Vec<String>| match signs.is_empty() {
        true => String::new(),
        false => {
            let signs: Vec<String> = signs.iter().map(|sign| unbroken(sign)).collect();
            paragraph(&signs.join(", "), 0, width)
        }
    };
    line(signs) + &line(foreseen(cells(), &in_rows))
}

/// The signs in a cell, without what is around them.
fn parts(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(' ').map(|part| part.trim_start_matches('(').trim_end_matches(')').trim_end_matches(NOT_WHOLE))
}

/// A fraction out of these signs, by which a legend explains all of them: one that is not whole shows most.
fn fraction<'s>(signs: impl Iterator<Item = &'s str>) -> Option<(&'s str, usize, usize)> {
    let read = |sign: &'s str| {
        let (passed, total) = sign.trim_start_matches('~').split_once('/')?;
        Some((sign, passed.parse().ok()?, total.parse().ok()?))
    };
    let all: Vec<(&str, usize, usize)> = signs.filter_map(read).collect();
    let whole_or_none = |(_, passed, total): &&(&str, usize, usize)| *passed == 0 || passed == total;
    all.iter().find(|one| !whole_or_none(one)).or(all.first()).copied()
}

/// The signs of predictions that occur, and what they mean.
fn foreseen<'r>(cells: impl Iterator<Item = &'r CellRecord>, in_rows: &BTreeSet<&str>) -> Vec<String> {
    let mut signs = Vec::new();
    for outcome in cells.filter_map(|cell| cell.prediction.as_ref()).flat_map(|prediction| &prediction.programs) {
        let of_predictions = in_rows.iter().copied().filter(|sign| sign.starts_with('~'));
        if let Some((sign, resolving, total)) = fraction(of_predictions).filter(|_| signs.is_empty()) {
            let verb = if resolving == 1 { "resolves" } else { "resolve" };
            let programs = counted(total, "program");
            signs.push(format!("{sign} = predicted from BTF alone: {resolving} of {programs} {verb}"));
        }
        let sign = format!("{} = {}", outcome.short(), outcome.label());
        if in_rows.contains(outcome.short()) && !signs.contains(&sign) {
            signs.push(sign);
        }
    }
    signs
}

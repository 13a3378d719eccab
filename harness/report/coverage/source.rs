//! [`render`]: the source lines of an object, each with the kernels on which it is left.

use std::fmt::Write as _;

use super::super::text::{one_line, paragraph, printable};
use super::any_ran;
use crate::record::RunRecord;

/// The state of a line on one kernel, over the object's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    /// Something of it is left in a program that was loaded.
    Live,
    /// It is in no program that was loaded, or nothing shows it.
    Unknown,
    /// Nothing of it is left, and it holds an instruction that is invalid on this kernel.
    Poisoned,
    /// Nothing of it is left.
    Dead,
}

/// The state of a line on a kernel.
pub fn state(record: &RunRecord, object: usize, kernel: usize, line: usize) -> LineState {
    let covered = &record.objects[object].coverage.programs;
    let programs = &record.cell(object, kernel).coverage.programs;
    let mut states = Vec::new();
    for (number, _) in covered.iter().enumerate().filter(|(_, lines)| lines.0.contains(&line)) {
        let lines = programs.iter().find(|lines| lines.program == number);
        states.push(match lines {
            Some(lines) if lines.live.0.contains(&line) => return LineState::Live,
            Some(lines) if lines.poisoned.0.contains(&line) => LineState::Poisoned,
            Some(lines) if lines.dead.0.contains(&line) => LineState::Dead,
            _ => LineState::Unknown,
        });
    }
    for worse in [LineState::Unknown, LineState::Poisoned] {
        if states.contains(&worse) {
            return worse;
        }
    }
    if states.is_empty() { LineState::Unknown } else { LineState::Dead }
}

/// Whether a program that was seen to run on a kernel cannot have come around a line.
pub fn executed(record: &RunRecord, object: usize, kernel: usize, line: usize) -> bool {
    record.cell(object, kernel).coverage.programs.iter().any(|lines| lines.executed.0.contains(&line))
}

/// Every line with one sign for each kernel.
pub fn render(record: &RunRecord, object: usize, width: usize) -> String {
    let table = &record.objects[object].coverage.lines;
    let name = &record.objects[object].name;
    if table.lines.is_empty() {
        return paragraph(&format!("{name}: no source view, because the object has no line info"), 0, width);
    }
    let kernels: Vec<String> = record.kernels.iter().map(|kernel| one_line(&kernel.name)).collect();
    let ran = if any_ran(record, object) { "X executed (every run executes it), " } else { "" };
    let legend = format!(
        "{name}: {ran}+ live, - dead, ! dead and invalid here, ? unknown; one column each for {}",
        kernels.join(", ")
    );
    let mut text = paragraph(&legend, 0, width);
    let mut file = None;
    for (number, line) in table.lines.iter().enumerate() {
        if file != Some(line.file) {
            file = Some(line.file);
            let _ = writeln!(text, "{}", one_line(table.files.get(line.file).map_or("", String::as_str)));
        }
        let signs: String = (0..kernels.len()).map(|kernel| sign_on(record, object, kernel, number)).collect();
        let code = printable(&line.text).replace('\t', "    ");
        let _ = writeln!(text, "{}", format!("  {signs} {:>5}  {code}", line.line).trim_end());
    }
    text
}

fn sign(state: LineState) -> char {
    match state {
        LineState::Live => '+',
        LineState::Dead => '-',
        LineState::Poisoned => '!',
        LineState::Unknown => '?',
    }
}

/// The sign of a line on a kernel.
pub fn sign_on(record: &RunRecord, object: usize, kernel: usize, line: usize) -> char {
    match executed(record, object, kernel, line) {
        true => 'X',
        false => sign(state(record, object, kernel, line)),
    }
}

//! [`render`]: coverage as an LCOV tracefile of one level, for `genhtml` and similar tools.
//!
//! A line's count is the number of kernels that prove it; a guard is a branch of its line with two ways. Levels are never summed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::super::ReportError;
use super::source::{LineState, executed, state};
use crate::coverage::{ProofLevel, Unit, on_kernel};
use crate::record::RelocationOutcome;
use crate::record::RunRecord;
use crate::whole_file;

/// Writes the tracefile.
///
/// # Errors
/// [`ReportError::Write`].
pub fn write(record: &RunRecord, objects: &[usize], level: ProofLevel, path: &Path) -> Result<(), ReportError> {
    Ok(whole_file::replace(path, |out| out.write_all(render(record, objects, level).as_bytes()))?)
}

#[derive(Default)]
struct File {
    /// Lines with the kernels that prove them, over all objects.
    lines: BTreeMap<u32, BTreeSet<usize>>,
    /// By line, block and way: how many kernels prove the way.
    branches: Vec<(u32, usize, usize, usize)>,
}

/// The tracefile of several objects. A header that several objects share is one file in it.
pub fn render(record: &RunRecord, objects: &[usize], level: ProofLevel) -> String {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    for unit in Unit::of(record, objects) {
        let coverage = &record.objects[unit.object].coverage;
        for (number, line) in coverage.lines.lines.iter().enumerate() {
            let Some(name) = coverage.lines.files.get(line.file) else { continue };
            let kernels = files.entry(name).or_default().lines.entry(line.line).or_default();
            let proves = |kernel: usize| unit.rows.iter().any(|&row| line_proven(record, row, kernel, number, level));
            kernels.extend((0..record.kernels.len()).filter(|&kernel| proves(kernel)));
        }
        for (guard, side) in unit.sides(record) {
            let Some(source) = &coverage.guards[guard].source else { continue };
            let Some(file) = files.get_mut(source.file.as_str()) else { continue };
            let kernels = unit.proven(record, guard, side, level);
            let count = kernels.len();
            // Readers do not believe in a way that was taken on a line that was not come to. At level resolved there are such: a kernel
            // answers also where another guard leads around the question.
            file.lines.entry(source.line).or_default().extend(kernels);
            if side == 0 {
                let block = file.branches.iter().filter(|known| known.0 == source.line && known.2 == 0).count();
                file.branches.push((source.line, block, 0, count));
            } else if let Some(&(line, block, _, _)) = file.branches.last() {
                file.branches.push((line, block, 1, count));
            }
        }
    }
    if files.is_empty() {
        // Not an empty file, which looks as if nothing had been written.
        return format!("TN:{}\n", level.label());
    }
    let mut text = String::new();
    for (name, file) in files {
        let _ = writeln!(text, "TN:{}\nSF:{}", level.label(), name.replace(['\n', '\r'], " "));
        for (line, block, way, count) in &file.branches {
            let _ = writeln!(text, "BRDA:{line},{block},{way},{count}");
        }
        let hit = file.branches.iter().filter(|branch| branch.3 > 0).count();
        let _ = writeln!(text, "BRF:{}\nBRH:{hit}", file.branches.len());
        for (line, kernels) in &file.lines {
            let _ = writeln!(text, "DA:{line},{}", kernels.len());
        }
        let hit = file.lines.values().filter(|kernels| !kernels.is_empty()).count();
        let _ = writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", file.lines.len());
    }
    text
}

/// Whether a kernel proves a line at a level. At level *resolved* a line counts unless it lies on a side that the kernel does not pick.
fn line_proven(record: &RunRecord, object: usize, kernel: usize, line: usize, level: ProofLevel) -> bool {
    match level {
        ProofLevel::Verified => return state(record, object, kernel, line) == LineState::Live,
        ProofLevel::Executed => return executed(record, object, kernel, line),
        ProofLevel::Resolved => {}
    }
    let cell = record.cell(object, kernel);
    let answered = |one: &crate::record::RelocationRecord| one.outcome != RelocationOutcome::NotReached;
    if cell.whole.is_none() || !(cell.relocations.is_empty() || cell.relocations.iter().any(answered)) {
        return false;
    }
    let guards = &record.objects[object].coverage.guards;
    let mut on_sides = guards.iter().enumerate().filter(|(_, guard)| guard.undecided.is_none());
    on_sides.all(|(number, guard)| {
        let mut with = (0..2).filter(|&side| guard.sides[side].lines.0.contains(&line)).peekable();
        with.peek().is_none() || with.any(|side| on_kernel(record, object, kernel, number, side, level) == Some(true))
    })
}

//! [`render`]: what loads and reads wrong data or cannot attach, each once for all the kernels that share it.

use super::super::text::{counted, one_line, paragraph};
use super::failures::kernels;
use crate::record::{DangerEffect, DangerRecord, ObjectRecord, RunRecord};

const WRONG_DATA: &str = "Silent dangers (program loads, but reads wrong data)";
const CANNOT_ATTACH: &str = "Silent dangers (program loads, but cannot attach)";
/// One object must not push the others out of sight.
const MOST_IN_OBJECT: usize = 8;
/// What a reader is going to read; the rest is in `report.json`.
const MOST_IN_ALL: usize = 24;

/// Every danger on the kernels `shown`, by its effect and by object, at most `width` columns wide. What fails on another kernel
/// is shown there, under what failed.
pub fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let blocks = [(DangerEffect::WrongData, WRONG_DATA), (DangerEffect::CannotAttach, CANNOT_ATTACH)];
    let blocks = blocks.map(|(effect, title)| block(record, shown, width, effect, title));
    // An empty line between them, as between other blocks.
    blocks.into_iter().filter(|block| !block.is_empty()).collect::<Vec<_>>().join("\n")
}

fn block(record: &RunRecord, shown: &[usize], width: usize, effect: DangerEffect, title: &str) -> String {
    let mut block = String::new();
    let (mut printed, mut left_out) = (0, 0);
    for (o, object) in record.objects.iter().enumerate() {
        let mut lines: Vec<(String, Vec<usize>)> = Vec::new();
        for &k in shown {
            let dangers = record.cell(o, k).dangers.iter();
            for danger in dangers.filter(|danger| danger.difference.effect() == effect) {
                let line = line(object, danger);
                match lines.iter_mut().find(|(known, _)| *known == line) {
                    // Several instructions of one source line read the same field.
                    Some((_, kernels)) if kernels.last() == Some(&k) => {}
                    Some((_, kernels)) => kernels.push(k),
                    None => lines.push((line, vec![k])),
                }
            }
        }
        let kept = lines.len().min(MOST_IN_OBJECT).min(MOST_IN_ALL - printed);
        printed += kept;
        left_out += lines.len() - kept;
        for (line, affected) in &lines[..kept] {
            block += &paragraph(&format!("{line}, {}", kernels(record, shown, affected)), 2, width);
        }
    }
    if left_out > 0 {
        block += &format!("  ... {} in report.json\n", counted(left_out, "more danger"));
    }
    if block.is_empty() { block } else { paragraph(title, 0, width) + &block }
}

fn line(object: &ObjectRecord, danger: &DangerRecord) -> String {
    let source = danger.source.as_ref();
    let source = source.map_or_else(String::new, |source| format!(" ({}:{})", source.file, source.line));
    one_line(&format!("{}/{}: {danger}{source}", object.name, danger.function))
}

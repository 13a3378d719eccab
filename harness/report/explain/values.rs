//! [`render`]: what happened to one relocation on every kernel of the run.

use console::measure_text_width;

use super::CellFacts;
use crate::record::KernelRecord;
use crate::record::{RelocationOutcome, RelocationRecord};
use crate::report::text::{one_line, paragraph};

/// A table of the relocation `asked`, an index into the object's list: kernel, value, target.
pub fn render(facts: &CellFacts<'_>, asked: usize, width: usize) -> String {
    let Some(relocation) = facts.object().relocations.get(asked) else { return String::new() };
    let row = |(k, kernel): (usize, &KernelRecord)| {
        let records = &facts.record.cell(facts.object, k).relocations;
        let record = records.iter().find(|record| record.relocation == asked);
        let mark = if k == facts.kernel { ">" } else { " " };
        let (result, target) = record.map_or_else(|| ("not tried".to_owned(), String::new()), described);
        [format!("{mark} {}", one_line(&kernel.name)), one_line(&result), one_line(&target)]
    };
    let rows: Vec<[String; 3]> = facts.record.kernels.iter().enumerate().map(row).collect();
    let column = |index: usize| rows.iter().map(|row| measure_text_width(&row[index])).max().unwrap_or_default();
    let (first, second) = (column(0), column(1));
    let title = format!(
        "CO-RE relocation {} of `{}` ({}), compiled -> on the kernel:",
        relocation.index, relocation.section, relocation.kind
    );
    let mut text = paragraph(&title, 0, width);
    for [kernel, result, target] in &rows {
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(measure_text_width(text)));
        let line = format!("  {kernel}{}  {result}{}  {target}", pad(kernel, first), pad(result, second));
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The outcome of a relocation, and the target that libbpf chose.
fn described(record: &RelocationRecord) -> (String, String) {
    let result = match &record.outcome {
        RelocationOutcome::Resolved { old, new } => format!("{old} -> {new}"),
        RelocationOutcome::NoMatch { old, new } => format!("{old} -> {new} (no match)"),
        RelocationOutcome::Poisoned => "poisoned".to_owned(),
        RelocationOutcome::Ambiguous { reason } => format!("ambiguous: {reason}"),
        RelocationOutcome::Failed { reason } => format!("failed: {reason}"),
        RelocationOutcome::Skipped => "skipped by libbpf".to_owned(),
        RelocationOutcome::NotReached => "not reached".to_owned(),
        RelocationOutcome::Lost => "no record".to_owned(),
        RelocationOutcome::Contradicted { reason } => format!("contradicted: {reason}"),
    };
    let target = record.candidates.iter().find(|candidate| candidate.matching).map(|candidate| {
        let module = match candidate.module.as_str() {
            "" | "vmlinux" => String::new(),
            module => format!(" in {module}"),
        };
        candidate.spec.clone() + &module
    });
    (result, target.unwrap_or_default())
}

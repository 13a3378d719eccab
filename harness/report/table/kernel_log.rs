//! [`render`]: what kernels complained about while they judged, each once for all the kernels that share it.

use super::super::finding::{FindingKind, findings};
use super::super::text::{counted, paragraph};
use crate::record::RunRecord;

const TITLE: &str =
    "Kernel warnings (`corematrix explain` shows all of each; the gate is red unless the suite allows them)";
/// What a reader is going to read; the rest is in `report.json`.
const MOST: usize = 12;

/// Every complaint, at most `width` columns wide.
pub fn render(record: &RunRecord, width: usize) -> String {
    let all: Vec<_> =
        findings(record).into_iter().filter(|finding| finding.kind == FindingKind::KernelWarning).collect();
    let mut block: String =
        all.iter().take(MOST).map(|finding| paragraph(&finding.message(record), 2, width)).collect();
    if all.len() > MOST {
        block += &format!("  ... {} in report.json\n", counted(all.len() - MOST, "more warning"));
    }
    if block.is_empty() { block } else { paragraph(TITLE, 0, width) + &block }
}

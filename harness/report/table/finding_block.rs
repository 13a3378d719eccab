//! [`kernel_warnings`], [`near_limits`], [`modules`], [`predicted_failures`], [`predictions`]: the findings of one kind, each once for all the kernels that share it.

use super::super::finding::{FindingKind, findings};
use super::super::text::{counted, paragraph};
use crate::record::RunRecord;

const KERNEL_WARNINGS: &str =
    "Kernel warnings (`corematrix explain` shows them in full; the gate is red unless the suite allows them)";
const NEAR_LIMITS: &str = "Close to a limit (program loads; `--max-instructions PERCENT` sets a limit for the gate)";
const MODULES: &str = "Refused kernel modules (programs that need them are not judged)";
const PREDICTIONS: &str = "Prediction differs from the result (the result counts; report this as a bug in corematrix)";
const PREDICTED: &str = "Predicted to fail (from BTF alone: no kernel was booted; does not count as failure)";
/// What a reader is going to read; the rest is in `report.json`.
const MOST: usize = 12;

/// What kernels complained about while they judged, at most `width` columns wide.
pub fn kernel_warnings(record: &RunRecord, width: usize) -> String {
    block(record, FindingKind::KernelWarning, KERNEL_WARNINGS, "more warning", width)
}

/// Programs that load and are close to a limit of the kernel.
pub fn near_limits(record: &RunRecord, width: usize) -> String {
    block(record, FindingKind::NearLimit, NEAR_LIMITS, "more program", width)
}

/// Kernel modules that kernels refused.
pub fn modules(record: &RunRecord, width: usize) -> String {
    block(record, FindingKind::Module, MODULES, "more module", width)
}

/// Relocations that came to something else than the types of their kernel say.
pub fn predictions(record: &RunRecord, width: usize) -> String {
    block(record, FindingKind::Prediction, PREDICTIONS, "more difference", width)
}

/// Programs that BTF shows will not load on kernels that were not booted.
pub fn predicted_failures(record: &RunRecord, width: usize) -> String {
    block(record, FindingKind::PredictedFailure, PREDICTED, "more failure", width)
}

fn block(record: &RunRecord, kind: FindingKind, title: &str, more: &str, width: usize) -> String {
    let all: Vec<_> = findings(record).into_iter().filter(|finding| finding.kind == kind).collect();
    let mut block: String =
        all.iter().take(MOST).map(|finding| paragraph(&finding.message(record), 2, width)).collect();
    if all.len() > MOST {
        block += &format!("  ... {} in report.json\n", counted(all.len() - MOST, more));
    }
    if block.is_empty() { block } else { paragraph(title, 0, width) + &block }
}

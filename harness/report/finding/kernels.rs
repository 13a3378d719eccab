//! [`of_kernels`]: the kernels that could not be used.

use super::{Finding, FindingKind, FindingLevel};
use crate::record::{KernelRecord, KernelState, RunRecord};

pub(super) fn of_kernels(record: &RunRecord) -> Vec<Finding> {
    let finding_of = |(k, kernel): (usize, &KernelRecord)| {
        let (level, what, reason) = match &kernel.state {
            KernelState::Ready => return None,
            KernelState::Pending => (FindingLevel::Warning, "was never started", None),
            KernelState::Unavailable { reason, .. } if kernel.optional => {
                (FindingLevel::Note, "(optional) is unavailable", Some(reason))
            }
            KernelState::Unavailable { reason, .. } => (FindingLevel::Warning, "is unavailable", Some(reason)),
            // Where it is requested, what is predicted is finding enough.
            KernelState::Predicted { reason: None, .. } => return None,
            KernelState::Predicted { reason, .. } if kernel.optional => {
                (FindingLevel::Note, "(optional) is only predicted from BTF", reason.as_ref())
            }
            KernelState::Predicted { reason, .. } => {
                (FindingLevel::Warning, "is only predicted from BTF", reason.as_ref())
            }
            KernelState::BootFailed { reason, .. } => (FindingLevel::Warning, "did not boot", Some(reason)),
            KernelState::HarnessFailed { reason, .. } => (FindingLevel::Warning, "could not be run", Some(reason)),
        };
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let story = format!("kernel {} {what}{reason}", kernel.name);
        Some(Finding::of_cells((level, FindingKind::Kernel), None, vec![k], &story))
    };
    record.kernels.iter().enumerate().filter_map(finding_of).collect()
}

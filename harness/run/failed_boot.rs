//! [`state_after`]: what the record says of a kernel that could not be booted.

use crate::record::KernelState;
use crate::vm::{Accelerator, BootFailure};

/// Where to look for more.
const CONSOLE: &str =
    "`report.json` has the last console lines; kernel parameters in `append` can make the kernel log more";

/// What becomes of a kernel that could not be booted; `None` if the user stopped it.
pub(super) fn state_after(failure: BootFailure, attempts: u32, accelerator: Accelerator) -> Option<KernelState> {
    let with_attempts = |reason: String| if attempts > 1 { format!("{reason} ({attempts} attempts)") } else { reason };
    match failure {
        BootFailure::Unfit { reason, hint } => Some(KernelState::Unavailable { reason, hint: Some(hint) }),
        BootFailure::Kernel { reason, hint, console } => Some(KernelState::BootFailed {
            reason: with_attempts(reason),
            hint: Some(match (hint, accelerator) {
                (Some(hint), _) => hint,
                (None, Accelerator::Kvm) => format!("try `--accel tcg` to check whether KVM is to blame; {CONSOLE}"),
                (None, Accelerator::Tcg) => CONSOLE.to_owned(),
            }),
            console_tail: console,
        }),
        BootFailure::Harness { reason, hint, console, .. } => {
            Some(KernelState::HarnessFailed { reason: with_attempts(reason), hint, console_tail: console })
        }
        BootFailure::Stopped => None,
    }
}

//! Whether the kernel knows the form of a program at all: its type, its attach type, the flags it is loaded with.

use super::{Case, Diagnosis, last_words};
use crate::cause::{Cause, Evidence};
use crate::verdict::Verdict;

/// A program whose type or attach type the kernel does not have: whatever libbpf looked for in vain follows from that.
pub(super) fn newer_than_kernel(_case: &Case<'_>) -> Option<Diagnosis> {
    None
}

/// The kernel refused the program, and neither the verifier nor libbpf gave a reason that is known.
pub(super) fn refused_in_silence(case: &Case<'_>) -> Diagnosis {
    let outcome = case.outcome;
    match outcome.type_known {
        Some(false) => {
            let line = "the kernel does not know this program type";
            Diagnosis::of(Verdict::UnsupportedType, Cause::MissingProgramType, Evidence::line(line))
        }
        // The kernel looks at attach type and flags before the verifier begins, and says nothing.
        Some(true) if outcome.errno == libc::EINVAL => {
            let line = "the kernel knows the program type, and refuses its attach type or a load flag without a word";
            Diagnosis::of(Verdict::UnsupportedType, Cause::MissingAttachType, Evidence::line(line))
        }
        _ => {
            let cause = if outcome.errno == libc::E2BIG { Cause::ComplexityLimit } else { Cause::Unrecognised };
            let words = last_words(outcome);
            let reason = format!("{words} (the verifier log is empty)");
            Diagnosis::of(Verdict::VerifierRejected, cause, Evidence::line(words)).because(reason)
        }
    }
}

//! Whether the kernel knows the form of a program at all: its type, its attach type, the flags it is loaded with.

use super::attach_types::{self, LoadFlag};
use super::{Case, Diagnosis, last_words};
use crate::cause::{Cause, Evidence};
use crate::object::ProgramInfo;
use crate::probe::Feature;
use crate::verdict::Verdict;

/// Functions that no tracing program may attach to. Kernels before 6.17 refuse them without a word.
const NEVER_TRACED: [&str; 7] = [
    "migrate_disable",
    "migrate_enable",
    "rcu_read_unlock_strict",
    "preempt_count_add",
    "preempt_count_sub",
    "__rcu_read_lock",
    "__rcu_read_unlock",
];

/// A program whose type or attach type the kernel does not have: whatever libbpf looked for in vain follows from that.
pub(super) fn newer_than_kernel(_case: &Case<'_>) -> Option<Diagnosis> {
    None
}

/// The kernel refused the program, and neither the verifier nor libbpf gave a reason that is known.
pub(super) fn refused_in_silence(case: &Case<'_>) -> Diagnosis {
    let outcome = case.outcome;
    match outcome.type_known {
        Some(false) => unknown_type(case),
        // The kernel looks at attach type and flags before the verifier begins, and says nothing.
        Some(true) if outcome.errno == libc::EINVAL => {
            unknown_form(case).unwrap_or_else(|| silent(case, Cause::Unrecognised))
        }
        _ => silent(case, if outcome.errno == libc::E2BIG { Cause::ComplexityLimit } else { Cause::Unrecognised }),
    }
}

fn silent(case: &Case<'_>, cause: Cause) -> Diagnosis {
    let words = last_words(case.outcome);
    let reason = format!("{words} (the verifier log is empty)");
    Diagnosis::of(Verdict::VerifierRejected, cause, Evidence::line(words)).because(reason)
}

/// The kernel does not load the program's type.
fn unknown_type(case: &Case<'_>) -> Diagnosis {
    let missing = |evidence| Diagnosis::of(Verdict::UnsupportedType, Cause::MissingProgramType, evidence);
    let Some((program, bare)) = case.program.and_then(|program| Some((program, program.prog_type.as_deref()?))) else {
        return missing(Evidence::line("the kernel does not know this program type"));
    };
    let name = Feature::ProgramType.enumerator(bare);
    let listed = case.kernel.has_enumerator(Feature::ProgramType.listing().0, &name);
    match attach_types::option_of_type(program, case.kernel).filter(|_| listed != Some(false)) {
        Some(option) => {
            let line = format!("the kernel is built without `{option}`, so it has no program type `{name}`");
            let evidence = Evidence::line(line).about(option);
            Diagnosis::of(Verdict::UnsupportedType, Cause::KernelConfigMissing, evidence)
        }
        None => missing(Evidence::line(format!("the kernel has no program type `{name}`")).about(name)),
    }
}

/// The kernel knows the program's type. `None` if all that the section asks for is known to be there.
fn unknown_form(case: &Case<'_>) -> Option<Diagnosis> {
    let form = |evidence| Some(Diagnosis::of(Verdict::UnsupportedType, Cause::MissingAttachType, evidence));
    let unsaid = "the kernel knows the program type, and refuses its attach type or a load flag without a word";
    let Some(program) = case.program else { return form(Evidence::line(unsaid)) };
    let attach_type = attach_types::attach_type(program);
    let has_attach_type = attach_types::has_attach_type(program, case.kernel);
    if let (Some(name), Some(false)) = (&attach_type, has_attach_type) {
        let line = format!("the kernel has no attach type `{name}`{}", attach_types::since(program));
        return form(Evidence::line(line).about(name));
    }
    let flags = LoadFlag::of(&program.section);
    if let Some(flag) = flags.iter().find(|flag| flag.is_known(case.kernel) == Some(false)) {
        let line = format!("the kernel has no load flag `{}`{}", flag.name, attach_types::from(flag.since));
        return form(Evidence::line(line).about(flag.name));
    }
    if let Some(name) = never_traced(program) {
        let line = format!("kernels let no tracing program attach to `{name}`");
        let evidence = Evidence::line(line).about(name);
        return Some(Diagnosis::of(Verdict::VerifierRejected, Cause::ForbiddenAttachTarget, evidence));
    }
    let unknown_flags = flags.iter().filter(|flag| flag.is_known(case.kernel).is_none()).map(|flag| flag.name);
    let unknown_type = attach_type.as_deref().filter(|_| has_attach_type.is_none());
    let suspects: Vec<&str> = unknown_type.into_iter().chain(unknown_flags).collect();
    match suspects[..] {
        [] => None,
        [one] => form(Evidence::line(format!("{unsaid}: `{one}`")).about(one)),
        _ => form(Evidence::line(format!("{unsaid}: one of `{}`", suspects.join("`, `")))),
    }
}

/// The function that a tracing program names as its target though none may attach there.
fn never_traced(program: &ProgramInfo) -> Option<&str> {
    let (_, name) = program.section.split_once('/')?;
    (program.prog_type.as_deref() == Some("tracing") && NEVER_TRACED.contains(&name)).then_some(name)
}

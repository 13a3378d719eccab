//! [`judge`]: turns what a guest observed of a program, and what is known about the kernel and the object, into a [`Diagnosis`]. Pure.
//!
//! libbpf reports nearly everything as EINVAL, so the texts decide. The program's own reason comes before that of a map that was
//! left out, the verifier's words before libbpf's, and an errno alone proves nothing. Each rule is a separate file; the texts are
//! in `texts.rs`.

pub mod attach;
mod attach_form;
mod attach_types;
mod complaints;
mod config;
pub mod errno;
pub mod exercise;
mod form;
pub mod headroom;
mod instruction;
mod kernel_view;
mod loader_words;
pub mod machine;
mod map;
mod module;
mod module_target;
mod open;
mod part;
mod poison;
mod struct_ops;
mod subject;
mod texts;

#[cfg(test)]
mod tests;

pub use attach_form::never_attaches;
pub use form::checks_attach_type;
#[cfg(test)]
pub(crate) use kernel_view::SampleKernel;
pub use kernel_view::{Elsewhere, KernelView, UnknownKernel};
pub use loader_words::not_opened;
pub use module::{missing_type, module_elsewhere, modules_of, target_in_module, without_module};
pub use module_target::{module_target, tracepoint_names};
pub use open::{open_failure, unclaimed};
pub use poison::Poison;

use crate::bytes::in_words;
use crate::object::btf::{Btf, Want};
use crate::object::{Inventory, ProgramInfo};
use crate::protocol::{ProgramOutcome, Stage};
use crate::record::Verdict;
use crate::record::{Cause, Evidence, MachineRecord, Source};
use crate::verifier::VerifierFailure;

/// A program on a kernel: everything that its verdict rests on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What the guest observed.
    pub outcome: &'a ProgramOutcome,
    /// The verifier's log; empty if it said nothing.
    pub log: &'a str,
    /// What the object says of the program.
    pub program: Option<&'a ProgramInfo>,
    /// What the object holds.
    pub object: Option<&'a Inventory>,
    /// What is known about the kernel.
    pub kernel: &'a dyn KernelView,
    /// What libbpf poisoned at an instruction of the program, numbered as the verifier does.
    pub poison: &'a dyn Fn(u32) -> Option<Poison>,
    /// The guest's memory in MiB; `None` if it is not known.
    pub memory_mib: Option<u64>,
    /// The guest's machine; `None` if it is not known.
    pub machine: Option<&'a MachineRecord>,
    /// Whether another loader than libbpf loads it.
    pub by_loader: bool,
    /// What it is relocated with, if not with the kernel's types.
    pub own_types: Option<&'a Btf>,
}

impl Case<'_> {
    /// Whether the types that it is relocated with have one of this name; `None` if that is not known.
    fn is_type(&self, name: &str) -> Option<bool> {
        let Some(own) = self.own_types else { return self.kernel.has_type(name) };
        let kinds = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Int];
        Some(kinds.into_iter().any(|want| own.find(name, want).is_some()))
    }
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, as one line; `None` only for a program that was loaded.
    pub reason: Option<String>,
    /// Why, out of a closed set; `None` only for a program that was loaded.
    pub cause: Option<Cause>,
    /// What the cause rests on; `None` where there is nothing but the verdict.
    pub evidence: Option<Evidence>,
}

impl Diagnosis {
    /// A failure whose evidence line is the reason.
    fn of(verdict: Verdict, cause: Cause, evidence: Evidence) -> Self {
        Diagnosis { verdict, reason: Some(evidence.line.clone()), cause: Some(cause), evidence: Some(evidence) }
    }

    /// The same with another reason: the evidence does not say in plain words what is wrong.
    fn because(self, reason: impl Into<String>) -> Self {
        Diagnosis { reason: Some(reason.into()), ..self }
    }
}

/// Judges a program.
pub fn judge(case: &Case<'_>) -> Diagnosis {
    let by_words = machine::unless_forbidden(case, by_words(case));
    config::unless_ruled_out(case, module::unless_in_module(case, by_words))
}

/// Judges a program by what the kernel and libbpf said of it.
fn by_words(case: &Case<'_>) -> Diagnosis {
    let outcome = case.outcome;
    match outcome.stage {
        Stage::Loaded => Diagnosis { verdict: Verdict::Loaded, reason: None, cause: None, evidence: None },
        Stage::Died if outcome.errno == libc::SIGKILL => {
            // Only the kernel's search for memory kills like this in a guest.
            out_of_memory(format!("the loader was killed {}", guest_memory(case.memory_mib)))
        }
        Stage::Died => Diagnosis::of(Verdict::HarnessError, Cause::Harness, Evidence::line(last_words(outcome))),
        Stage::Unsupported => loader_words::unsupported(&last_words(outcome)),
        Stage::Prepare => map::first_left_out(case)
            .or_else(|| form::newer_than_kernel(case))
            .or_else(|| from_warnings(case))
            // No one is blamed without evidence.
            .unwrap_or_else(|| {
                let words = last_words(outcome);
                Diagnosis::of(Verdict::HarnessError, Cause::Unrecognised, Evidence::line(&words))
                    .because(format!("unrecognised: {words}"))
            }),
        Stage::Load => from_verifier(case)
            .or_else(|| form::newer_than_kernel(case))
            .or_else(|| map::left_out_struct_ops(case))
            .or_else(|| from_warnings(case))
            .unwrap_or_else(|| form::refused_in_silence(case)),
    }
}

/// A guest that has too little memory does not show anything about the object.
pub fn out_of_memory(reason: String) -> Diagnosis {
    Diagnosis::of(Verdict::HarnessLimit, Cause::GuestMemory, Evidence::line(reason))
}

/// Privileges that no one has on a kernel do not show anything about the object.
pub fn no_such_privileges(reason: &str) -> Diagnosis {
    Diagnosis::of(Verdict::HarnessLimit, Cause::PrivilegesNotAvailable, Evidence::line(reason))
}

/// `for lack of memory: the guest has 512 MiB`.
pub fn guest_memory(mib: Option<u64>) -> String {
    let has = mib.map_or_else(String::new, |mib| format!(": the guest has {}", in_words(mib << 20)));
    format!("not enough memory{has}")
}

/// The warning that says why an object could not be prepared whole.
pub fn prepare_failure(warnings: &[String]) -> String {
    let line = texts::of_libbpf(warnings).map(|(_, _, line)| line);
    line.or_else(|| map::failed(warnings)).map_or_else(|| first(warnings), str::to_owned)
}

/// Whether a program fails alike on every kernel that judged it, so that the failure is no fact about kernels.
///
/// Takes the program's cause and subject on each kernel, `None` where it loaded; leave out kernels that did not judge it.
pub fn same_everywhere<'a>(cells: impl IntoIterator<Item = Option<(Cause, Option<&'a str>)>>) -> bool {
    let mut first = None;
    let mut kernels = 0;
    for cell in cells {
        let Some((cause, subject)) = cell else { return false };
        let failure = (cause, subject.map(subject::essence));
        if cause.is_unjudged() || *first.get_or_insert(failure) != failure {
            return false;
        }
        kernels += 1;
    }
    kernels > 1
}

/// What the verifier complained about.
fn from_verifier(case: &Case<'_>) -> Option<Diagnosis> {
    let failure = VerifierFailure::read(case.log)?;
    if let Some(diagnosis) = poison::reached(case, &failure) {
        return Some(diagnosis);
    }
    let insn_array = failure.said.iter().find(|line| line.contains("Failed to properly initialize insn array"));
    if let Some(diagnosis) = insn_array.and_then(|line| map::unfilled_insn_array(case, line)) {
        return Some(diagnosis);
    }
    let Some((cause, line)) = texts::of_verifier(&failure) else {
        let evidence = at(Evidence::line(&failure.message), &failure);
        return Some(Diagnosis::of(Verdict::VerifierRejected, Cause::Unrecognised, evidence));
    };
    if let Some(reason) = form::address_of_function(case, line) {
        let evidence = at(Evidence::line(line), &failure);
        let diagnosis = Diagnosis::of(Verdict::VerifierRejected, Cause::UnsupportedCallForm, evidence);
        return Some(diagnosis.because(reason));
    }
    let mut evidence = at(about(cause, line), &failure);
    let calls = matches!(cause, Cause::ForbiddenHelper | Cause::Licence | Cause::UnsupportedCallForm);
    if calls && evidence.subject.is_none() {
        // Some complaints do not name what is called.
        evidence.subject = failure.insn_text.as_deref().and_then(|text| subject::called(text, line));
    }
    if matches!(cause, Cause::MissingAttachTarget | Cause::ForbiddenAttachTarget) && evidence.subject.is_none() {
        let section = case.program.and_then(|program| program.section.split_once('/'));
        evidence.subject = section.map(|(_, target)| target.to_owned());
    }
    if cause == Cause::MissingMapType {
        return Some(map::reached_left_out(case, evidence));
    }
    let cause = match (cause, evidence.subject.as_deref()) {
        (Cause::MissingField, Some(subject)) if case.is_type(subject::type_name(subject)) == Some(false) => {
            Cause::MissingType
        }
        _ => cause,
    };
    Some(match cause {
        Cause::MissingField
        | Cause::MissingType
        | Cause::MissingEnumValue
        | Cause::MissingKfunc
        | Cause::MissingKsym
        | Cause::UnresolvedRelocation => Diagnosis::of(Verdict::RelocationFailed, cause, evidence),
        // Its own loader has tried, and does not do it.
        Cause::NeedsLoader if case.by_loader => {
            Diagnosis::of(Verdict::VerifierRejected, Cause::Unrecognised, evidence).because(failure.message)
        }
        Cause::NeedsLoader => Diagnosis::of(Verdict::HarnessLimit, cause, evidence),
        Cause::UnsupportedInstruction if let Some(kind) = instruction::refused(case, line) => {
            evidence.subject = Some(kind.name().to_owned());
            let reason = format!("{}: {}", failure.message, instruction::in_words(kind));
            Diagnosis::of(Verdict::VerifierRejected, cause, evidence).because(reason)
        }
        // What the kernel said first is the reason, whichever of its lines gave the cause.
        _ => Diagnosis::of(Verdict::VerifierRejected, cause, evidence).because(failure.message),
    })
}

/// What a loader other than libbpf said before the kernel was asked.
fn refused_by_loader(case: &Case<'_>) -> Diagnosis {
    let mut diagnosis = loader_words::refused(&last_words(case.outcome));
    if diagnosis.cause == Some(Cause::MissingAttachTarget) {
        let target = case.program.and_then(|program| program.section.split_once('/')).map(|(_, target)| target);
        if let (Some(evidence), Some(target)) = (&mut diagnosis.evidence, target) {
            evidence.subject.get_or_insert_with(|| target.to_owned());
        }
    }
    module::unless_in_module(case, diagnosis)
}

/// What libbpf warned about.
fn from_warnings(case: &Case<'_>) -> Option<Diagnosis> {
    let warnings = &case.outcome.warnings;
    if case.by_loader {
        // Where the kernel refused in silence, the loader says no more than the errno.
        return (case.outcome.stage == Stage::Prepare).then(|| refused_by_loader(case));
    }
    if let Some((verdict, cause, line)) = texts::of_libbpf(warnings) {
        if line.starts_with("struct_ops init_kern") {
            return Some(struct_ops::refused(case, line));
        }
        let diagnosis = Diagnosis::of(verdict, cause, about(cause, line));
        return Some(match cause {
            Cause::NeedsLoader => diagnosis.because(open::with_way_out(line)),
            // The log is that of the target.
            Cause::TargetNotLoaded => match VerifierFailure::read(case.log) {
                Some(failure) => diagnosis.because(format!("{line}: {}", failure.message)),
                None => diagnosis,
            },
            _ => diagnosis,
        });
    }
    map::failed(warnings).map(|warning| map::refused(case, warning, warnings))
}

fn about(cause: Cause, line: &str) -> Evidence {
    Evidence { subject: subject::of(cause, line), ..Evidence::line(line) }
}

fn at(mut evidence: Evidence, failure: &VerifierFailure) -> Evidence {
    evidence.source = failure.insn.map(|insn| Source {
        insn,
        text: failure.source_text.clone(),
        place: failure.source_place.clone(),
    });
    evidence
}

fn last_words(outcome: &ProgramOutcome) -> String {
    let failed = outcome.warnings.iter().find(|warning| warning.contains("BPF program load failed"));
    let error = || std::io::Error::from_raw_os_error(outcome.errno).to_string();
    failed.or(outcome.warnings.first()).cloned().unwrap_or_else(error)
}

fn first(warnings: &[String]) -> String {
    warnings.first().cloned().unwrap_or_else(|| "libbpf gave no reason".to_owned())
}

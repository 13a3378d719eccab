//! [`Cause`]: why a program failed on a kernel, out of a closed set, with the [`Evidence`] it rests on.
//!
//! [`find`] reads a program's outcome and verifier log; the texts it knows are in `cause/texts.rs`. What is not recognised is
//! called so: a wrong cause costs the user more than none.

mod subject;
mod texts;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::protocol::{LeftOutMap, ProgramOutcome, Stage};
use crate::verdict::Verdict;
use crate::verifier::Failure;

/// Why a program failed on a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It reaches a field that the kernel's type does not have, or not in a form it can read.
    MissingField,
    /// It reaches a type that the kernel does not have.
    MissingType,
    /// It reaches an enumerator that the kernel does not have.
    MissingEnumValue,
    /// It calls a kfunc that the kernel does not have, or has with another prototype.
    MissingKfunc,
    /// It refers to a kernel variable that is not there, or is of another type.
    MissingKsym,
    /// It reaches a relocation that could not be decided, and nothing tells of what.
    UnresolvedRelocation,
    /// The kernel has no BTF, or cannot take the object's.
    MissingBtf,
    /// It uses a map of a type or with options that the kernel does not know.
    MissingMapType,
    /// It calls a helper that the kernel does not have.
    UnknownHelper,
    /// It calls a helper or kfunc that the kernel has, but not for this type of program, this attach point or this licence.
    ForbiddenHelper,
    /// The kernel does not know its program type.
    MissingProgramType,
    /// The kernel knows its program type, and not its attach type or a flag that it is loaded with.
    MissingAttachType,
    /// The function, tracepoint, hook or struct_ops member it attaches to is not there, or cannot be attached to.
    MissingAttachTarget,
    /// It reads an argument that its attach target does not have, or uses its context in a way that is not allowed.
    ContextArgumentChanged,
    /// It is too long, too branchy, or does not end.
    ComplexityLimit,
    /// It may reach beyond an object: an offset or a length has no bounds, or they are too wide.
    MemoryUnbounded,
    /// It follows or passes on a pointer that may be null.
    MemoryNull,
    /// It uses its stack wrongly: beyond its end, before it is written, too much of it.
    MemoryStack,
    /// It ends without giving back what it took: a reference, a lock.
    MemoryLeak,
    /// It breaks another rule of safety: a pointer of the wrong type, a register never written, a call while it holds a lock.
    MemoryOther,
    /// It returns a value that programs of its type must not return.
    ReturnValue,
    /// It has an instruction that the kernel does not know.
    UnsupportedInstruction,
    /// It calls in a form that the kernel does not know: a callback, a global function with pointers, a helper with this map.
    UnsupportedCallForm,
    /// The object uses what the libbpf linked into corematrix does not know.
    ObjectTooNew,
    /// The object is malformed.
    ObjectBroken,
    /// It reads a config option that the kernel does not have, or the kernel's config is not known.
    KernelConfigMissing,
    /// Only its own loader knows what it needs; corematrix cannot judge it.
    NeedsLoader,
    /// Nothing that its suite says makes it run did.
    NeverRan,
    /// It returned something else than its suite says.
    WrongResult,
    /// The kernel died of it.
    KernelCrashed,
    /// It did not finish loading in time.
    TimedOut,
    /// corematrix, QEMU or the machine failed.
    Harness,
    /// Something else; the evidence is what was said last.
    Unrecognised,
}

/// What a [`Cause`] rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The line of the verifier's log or of libbpf's warnings, as it stands there.
    pub line: String,
    /// What the line is about: `struct task_struct.state`, `bpf_loop#181`, a map, a function. `None` if it names nothing.
    pub subject: Option<String>,
    /// Where in the program; `None` for what failed before the verifier saw it.
    pub source: Option<Source>,
}

/// A place in a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Source {
    /// The instruction, numbered as the verifier does.
    pub insn: u32,
    /// The source line's text.
    pub text: Option<String>,
    /// Its file and line; kernels before 6.8 do not say.
    pub place: Option<(String, u32)>,
}

/// Tells why a program failed; `None` if it loaded or was not tried.
///
/// `type_exists` answers whether the kernel has a type of that name, without `struct` and flavour; `None` if it is not known.
pub fn find(
    outcome: &ProgramOutcome,
    log: &str,
    verdict: Verdict,
    type_exists: &dyn Fn(&str) -> Option<bool>,
) -> Option<(Cause, Evidence)> {
    match verdict {
        Verdict::Loaded | Verdict::Succeeded | Verdict::NotRun => return None,
        Verdict::KernelCrashed | Verdict::TimedOut => {
            return Some((Cause::of(verdict)?, Evidence::line(last_words(outcome))));
        }
        _ => {}
    }
    if outcome.stage == Stage::Died {
        return Some((Cause::Harness, Evidence::line(last_words(outcome))));
    }
    let found = from_verifier(outcome, log, type_exists).or_else(|| from_left_out_struct_ops(outcome));
    Some(found.or_else(|| from_warnings(&outcome.warnings)).unwrap_or_else(|| without_words(outcome, log)))
}

/// Tells why an object could not be opened or prepared, from libbpf's warnings; `None` if they are not recognised.
pub fn from_warnings(warnings: &[String]) -> Option<(Cause, Evidence)> {
    let (cause, line) = texts::of_libbpf(warnings)?;
    Some((cause, Evidence::about(cause, line)))
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

impl Cause {
    /// Every cause, in the order of the legend.
    pub const ALL: [Cause; 33] = [
        Cause::MissingField,
        Cause::MissingType,
        Cause::MissingEnumValue,
        Cause::MissingKfunc,
        Cause::MissingKsym,
        Cause::UnresolvedRelocation,
        Cause::MissingBtf,
        Cause::MissingMapType,
        Cause::UnknownHelper,
        Cause::ForbiddenHelper,
        Cause::MissingProgramType,
        Cause::MissingAttachType,
        Cause::MissingAttachTarget,
        Cause::ContextArgumentChanged,
        Cause::ComplexityLimit,
        Cause::MemoryUnbounded,
        Cause::MemoryNull,
        Cause::MemoryStack,
        Cause::MemoryLeak,
        Cause::MemoryOther,
        Cause::ReturnValue,
        Cause::UnsupportedInstruction,
        Cause::UnsupportedCallForm,
        Cause::ObjectTooNew,
        Cause::ObjectBroken,
        Cause::KernelConfigMissing,
        Cause::NeedsLoader,
        Cause::NeverRan,
        Cause::WrongResult,
        Cause::KernelCrashed,
        Cause::TimedOut,
        Cause::Harness,
        Cause::Unrecognised,
    ];

    /// The cause in words, as reports print it.
    pub fn label(self) -> &'static str {
        match self {
            Cause::MissingField => "missing field",
            Cause::MissingType => "missing type",
            Cause::MissingEnumValue => "missing enum value",
            Cause::MissingKfunc => "missing kfunc",
            Cause::MissingKsym => "missing ksym",
            Cause::UnresolvedRelocation => "unresolved relocation",
            Cause::MissingBtf => "missing BTF",
            Cause::MissingMapType => "missing map type",
            Cause::UnknownHelper => "unknown helper",
            Cause::ForbiddenHelper => "forbidden helper",
            Cause::MissingProgramType => "missing program type",
            Cause::MissingAttachType => "missing attach type or load flag",
            Cause::MissingAttachTarget => "missing attach target",
            Cause::ContextArgumentChanged => "context argument changed",
            Cause::ComplexityLimit => "complexity limit",
            Cause::MemoryUnbounded => "unbounded memory access",
            Cause::MemoryNull => "possible null pointer",
            Cause::MemoryStack => "wrong use of the stack",
            Cause::MemoryLeak => "unreleased reference",
            Cause::MemoryOther => "memory safety",
            Cause::ReturnValue => "return value out of range",
            Cause::UnsupportedInstruction => "unsupported instruction",
            Cause::UnsupportedCallForm => "unsupported form of call",
            Cause::ObjectTooNew => "object too new for libbpf",
            Cause::ObjectBroken => "object broken",
            Cause::KernelConfigMissing => "missing kernel config",
            Cause::NeedsLoader => "needs its own loader",
            Cause::NeverRan => "never ran",
            Cause::WrongResult => "wrong result",
            Cause::KernelCrashed => "kernel crashed",
            Cause::TimedOut => "timed out",
            Cause::Harness => "harness failed",
            Cause::Unrecognised => "unrecognised",
        }
    }

    /// The cause of a verdict that leaves no choice, for programs of which no guest told an outcome.
    pub fn of(verdict: Verdict) -> Option<Cause> {
        match verdict {
            Verdict::FailedToOpen => Some(Cause::ObjectBroken),
            Verdict::MissingBtf => Some(Cause::MissingBtf),
            Verdict::KernelCrashed => Some(Cause::KernelCrashed),
            Verdict::TimedOut => Some(Cause::TimedOut),
            Verdict::HarnessLimit => Some(Cause::NeedsLoader),
            Verdict::HarnessError => Some(Cause::Harness),
            _ => None,
        }
    }

    /// Whether it says nothing about the object.
    fn is_unjudged(self) -> bool {
        matches!(self, Cause::NeedsLoader | Cause::Harness)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.label())
    }
}

impl Evidence {
    fn line(line: impl Into<String>) -> Self {
        Evidence { line: line.into(), subject: None, source: None }
    }

    fn about(cause: Cause, line: &str) -> Self {
        Evidence { subject: subject::of(cause, line), ..Evidence::line(line) }
    }

    fn at(mut self, failure: &Failure) -> Self {
        self.source = failure.insn.map(|insn| Source {
            insn,
            text: failure.source_text.clone(),
            place: failure.source_place.clone(),
        });
        self
    }
}

fn from_verifier(
    outcome: &ProgramOutcome,
    log: &str,
    type_exists: &dyn Fn(&str) -> Option<bool>,
) -> Option<(Cause, Evidence)> {
    let failure = Failure::read(log)?;
    let Some((cause, line)) = texts::of_verifier(&failure) else {
        return Some((Cause::Unrecognised, Evidence::line(&failure.message).at(&failure)));
    };
    let mut evidence = Evidence::about(cause, line).at(&failure);
    if evidence.subject.is_none() && matches!(cause, Cause::ForbiddenHelper | Cause::UnsupportedCallForm) {
        // Some complaints do not name what is called.
        evidence.subject = failure.insn_text.as_deref().and_then(subject::helper).map(str::to_owned);
    }
    let cause = match (cause, evidence.subject.as_deref()) {
        (Cause::MissingField, Some(subject)) if type_exists(subject::type_name(subject)) == Some(false) => {
            Cause::MissingType
        }
        // What kept the map from being created says more.
        (Cause::MissingMapType, Some(map)) => match outcome.left_out.iter().find(|left| left.map == map) {
            Some(LeftOutMap { warning, .. }) => {
                let cause = texts::of_map(warning);
                return Some((cause, Evidence { line: warning.clone(), ..evidence }));
            }
            None => cause,
        },
        _ => cause,
    };
    Some((cause, evidence))
}

/// A struct_ops program whose map was left out has nowhere to go.
fn from_left_out_struct_ops(outcome: &ProgramOutcome) -> Option<(Cause, Evidence)> {
    outcome.warnings.iter().find(|warning| warning.contains("isn't referenced anywhere"))?;
    let left = outcome.left_out.iter().find(|left| left.warning.contains("struct_ops"))?;
    Some((Cause::MissingAttachTarget, Evidence::about(Cause::MissingAttachTarget, &left.warning)))
}

/// The verifier said nothing and libbpf nothing that is known.
fn without_words(outcome: &ProgramOutcome, log: &str) -> (Cause, Evidence) {
    let evidence = Evidence::line(last_words(outcome));
    match outcome.stage {
        Stage::Load if log.trim().is_empty() && outcome.type_known == Some(false) => {
            (Cause::MissingProgramType, Evidence::line("the kernel does not know this program type"))
        }
        Stage::Load if outcome.errno == libc::E2BIG => (Cause::ComplexityLimit, evidence),
        _ => (Cause::Unrecognised, evidence),
    }
}

fn last_words(outcome: &ProgramOutcome) -> String {
    let failed = outcome.warnings.iter().find(|warning| warning.contains("BPF program load failed"));
    let error = || std::io::Error::from_raw_os_error(outcome.errno).to_string();
    failed.or(outcome.warnings.first()).cloned().unwrap_or_else(error)
}

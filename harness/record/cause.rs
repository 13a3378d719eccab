//! [`Cause`]: why a program failed on a kernel, out of a closed set, with the [`Evidence`] it rests on.
//!
//! `judge` finds it. What is not recognised is called so: a wrong cause costs the user more than none.

use serde::{Deserialize, Serialize};

use crate::Verdict;

/// Why a program failed on a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Cause {
    /// It reaches a field that the kernel's type lacks, or has in a form that it cannot read.
    MissingField,
    /// It reaches a type that the kernel does not have.
    MissingType,
    /// It reaches an enumerator that the kernel does not have.
    MissingEnumValue,
    /// It calls a kfunc that the kernel does not have, or has with another prototype.
    MissingKfunc,
    /// It refers to a kernel variable that does not exist, or has another type.
    MissingKsym,
    /// It reaches a relocation that could not be decided, of an unknown field or type.
    UnresolvedRelocation,
    /// The kernel has no BTF, or cannot take the object's.
    MissingBtf,
    /// It uses a map of a type that the kernel lacks.
    MissingMapType,
    /// It uses a map whose type the kernel has, with a flag or an option that the kernel lacks.
    UnsupportedMapOption,
    /// It uses a map whose definition lacks, or sets incorrectly, what a loader fills in: a size, an inner map, key and value sizes.
    IncompleteMapDefinition,
    /// It uses a map whose definition no kernel accepts and no loader corrects: a flag is missing, or a size is wrong.
    InvalidMapDefinition,
    /// It uses a map that is larger than any this kernel creates.
    MapTooLarge,
    /// It uses a map that the kernel has, but that programs of its type or attach point must not use.
    ForbiddenMap,
    /// It keeps a timer, a lock or a similar field in a map for whose value the kernel gets no BTF.
    MapWithoutBtf,
    /// The map that it is given to reuse has another definition, which its loader rejects.
    IncompatibleMap,
    /// Its maps need more memory than the guest has.
    GuestMemory,
    /// It calls a helper that the kernel does not have.
    UnknownHelper,
    /// It calls a helper or kfunc that the kernel has, but not for this type of program or this attach point.
    ForbiddenHelper,
    /// Its licence is not GPL-compatible, but its type or a function that it calls requires that.
    Licence,
    /// The kernel does not know its program type.
    MissingProgramType,
    /// The kernel knows its program type, but not its attach type or a load flag.
    MissingAttachType,
    /// The function, tracepoint, hook or struct_ops type that it attaches to does not exist.
    MissingAttachTarget,
    /// The kernel has the attach target, but does not allow this program there: it may not sleep there, or not change the result.
    ForbiddenAttachTarget,
    /// Its struct_ops map sets a member that the kernel's struct does not have.
    MissingStructOpsMember,
    /// What it attaches to, reads or calls is in a kernel module that the guest has not loaded.
    ModuleNotLoaded,
    /// A machine setting forbids it: kernel lockdown, or a JIT that is off or cannot compile the program.
    MachineSetting,
    /// The kernel rejected a requested machine setting, or no guest has it.
    MachineUnavailable,
    /// It reads an argument that its attach target does not have, or uses its context in a way that is not allowed.
    ContextArgumentChanged,
    /// It is too long, has too many branches, or does not end.
    ComplexityLimit,
    /// It may reach beyond an object: an offset or a length has no bounds, or they are too wide.
    MemoryUnbounded,
    /// It follows or passes on a pointer that may be null.
    MemoryNull,
    /// It uses its stack incorrectly: beyond its end, before it is written, or too much of it.
    MemoryStack,
    /// It ends without releasing a reference or a lock.
    MemoryLeak,
    /// It violates another safety rule: a pointer of the wrong type, an uninitialised register, a call while it holds a lock.
    MemoryOther,
    /// It returns a value that programs of its type must not return.
    ReturnValue,
    /// It has an instruction that the kernel does not know.
    UnsupportedInstruction,
    /// It contains a kind of call that the kernel does not support: a callback, a global function with pointers, a helper with this map.
    UnsupportedCallForm,
    /// Root can load it, but the privileges that it was loaded with do not suffice.
    MissingCapability,
    /// The guest has no such privileges: the kernel lacks a capability or BPF tokens.
    PrivilegesNotAvailable,
    /// The program whose function it replaces or traces does not load.
    TargetNotLoaded,
    /// The object uses what the libbpf linked into corematrix does not know.
    ObjectTooNew,
    /// The object has no BTF, but contains something that needs it.
    ObjectWithoutBtf,
    /// The object is malformed.
    ObjectBroken,
    /// It needs a config option that the kernel is built without, or reads one, and the kernel's config is not known.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// The instruction, numbered as the verifier does.
    pub insn: u32,
    /// The source line's text.
    pub text: Option<String>,
    /// Its file and line; kernels before 6.8 do not say.
    pub place: Option<(String, u32)>,
}

impl Cause {
    /// Every cause, in the order of the legend.
    pub const ALL: [Cause; 51] = [
        Cause::MissingField,
        Cause::MissingType,
        Cause::MissingEnumValue,
        Cause::MissingKfunc,
        Cause::MissingKsym,
        Cause::UnresolvedRelocation,
        Cause::MissingBtf,
        Cause::MissingMapType,
        Cause::UnsupportedMapOption,
        Cause::IncompleteMapDefinition,
        Cause::InvalidMapDefinition,
        Cause::MapTooLarge,
        Cause::ForbiddenMap,
        Cause::MapWithoutBtf,
        Cause::IncompatibleMap,
        Cause::GuestMemory,
        Cause::UnknownHelper,
        Cause::ForbiddenHelper,
        Cause::Licence,
        Cause::MissingProgramType,
        Cause::MissingAttachType,
        Cause::MissingAttachTarget,
        Cause::ForbiddenAttachTarget,
        Cause::MissingStructOpsMember,
        Cause::ModuleNotLoaded,
        Cause::MachineSetting,
        Cause::MachineUnavailable,
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
        Cause::MissingCapability,
        Cause::PrivilegesNotAvailable,
        Cause::TargetNotLoaded,
        Cause::ObjectTooNew,
        Cause::ObjectWithoutBtf,
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
            Cause::UnsupportedMapOption => "unsupported map option",
            Cause::IncompleteMapDefinition => "incomplete map definition",
            Cause::InvalidMapDefinition => "invalid map definition",
            Cause::MapTooLarge => "map too large",
            Cause::ForbiddenMap => "forbidden map",
            Cause::MapWithoutBtf => "map value without BTF",
            Cause::IncompatibleMap => "incompatible map",
            Cause::GuestMemory => "guest memory too small",
            Cause::UnknownHelper => "unknown helper",
            Cause::ForbiddenHelper => "forbidden helper",
            Cause::Licence => "licence not GPL-compatible",
            Cause::MissingProgramType => "missing program type",
            Cause::MissingAttachType => "missing attach type or load flag",
            Cause::MissingAttachTarget => "missing attach target",
            Cause::ForbiddenAttachTarget => "attach target not allowed",
            Cause::MissingStructOpsMember => "missing struct_ops member",
            Cause::ModuleNotLoaded => "kernel module not loaded",
            Cause::MachineSetting => "forbidden by a machine setting",
            Cause::MachineUnavailable => "machine setting not available",
            Cause::ContextArgumentChanged => "context argument changed",
            Cause::ComplexityLimit => "complexity limit",
            Cause::MemoryUnbounded => "unbounded memory access",
            Cause::MemoryNull => "possible null pointer",
            Cause::MemoryStack => "invalid stack access",
            Cause::MemoryLeak => "unreleased reference",
            Cause::MemoryOther => "other memory safety violation",
            Cause::ReturnValue => "return value out of range",
            Cause::UnsupportedInstruction => "unsupported instruction",
            Cause::UnsupportedCallForm => "unsupported kind of call",
            Cause::MissingCapability => "missing capability",
            Cause::PrivilegesNotAvailable => "privileges not available",
            Cause::TargetNotLoaded => "target program does not load",
            Cause::ObjectTooNew => "object too new for libbpf",
            Cause::ObjectWithoutBtf => "object without BTF",
            Cause::ObjectBroken => "object broken",
            Cause::KernelConfigMissing => "missing kernel config",
            Cause::NeedsLoader => "needs its own loader",
            Cause::NeverRan => "never ran",
            Cause::WrongResult => "wrong result",
            Cause::KernelCrashed => "kernel crashed",
            Cause::TimedOut => "timed out",
            Cause::Harness => "corematrix or the machine failed",
            Cause::Unrecognised => "unrecognised",
        }
    }

    /// The cause of a verdict that leaves no choice, for programs of which no guest reported an outcome.
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

    /// Whether it does not show anything about the object.
    pub fn is_unjudged(self) -> bool {
        matches!(
            self,
            Cause::NeedsLoader
                | Cause::IncompleteMapDefinition
                | Cause::GuestMemory
                | Cause::ModuleNotLoaded
                | Cause::MachineUnavailable
                | Cause::PrivilegesNotAvailable
                | Cause::TargetNotLoaded
                | Cause::Harness
        )
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.label())
    }
}

impl Evidence {
    /// Evidence that is a line alone.
    pub fn line(line: impl Into<String>) -> Self {
        Evidence { line: line.into(), subject: None, source: None }
    }

    /// The same, about `subject`.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_words() {
        let labels: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.label()).collect();
        assert_eq!(labels.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let json = serde_json::to_string(&cause).expect("serialises");
            assert_eq!(serde_json::from_str::<Cause>(&json).expect("comes back"), cause);
        }
    }
}

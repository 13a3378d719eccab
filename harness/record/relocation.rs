//! [`RelocationRecord`]: what happened to one CO-RE relocation on one kernel.

use serde::{Deserialize, Serialize};

/// A place in the object's C source, from its line info.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourcePlace {
    /// Path of the file as the compiler saw it.
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1; 0 if unknown.
    pub column: u32,
    /// The line's text.
    pub text: String,
}

/// A CO-RE relocation as the object has it: the same on every kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CoreRelocation {
    /// ELF section, as `.BTF.ext` names it.
    pub section: String,
    /// Number within the section's relocations, as libbpf counts them.
    pub index: u32,
    /// The program or subprogram that the instruction lies in.
    pub function: String,
    /// The instruction, counted from the start of the function in units of 8 bytes.
    pub insn: u32,
    /// libbpf's name of the kind, such as `byte_off`.
    pub kind: String,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
}

/// What happened to one CO-RE relocation on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelocationRecord {
    /// The relocation itself, as an index into the object's list.
    pub relocation: usize,
    /// What it asks for, in libbpf's words: `struct task_struct.__state (0:1 @ offset 24)`. Empty if libbpf never said.
    pub local: String,
    /// What the kernel offered, in the order libbpf tried it.
    pub candidates: Vec<Candidate>,
    /// Its outcome.
    pub outcome: RelocationOutcome,
    /// Where the verifier meets the instruction: subprograms are appended to each program that calls them.
    pub verifier_insns: Vec<VerifierPlace>,
    /// What the kernel's BTF predicts for it, where that differs: a defect of the prediction, or types that are not
    /// those of this kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<RelocationOutcome>,
}

/// One type of the kernel that a relocation was matched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Candidate {
    /// In libbpf's words: `struct task_struct.__state (0:1 @ offset 24)`.
    pub spec: String,
    /// `vmlinux` or the name of a module; empty if libbpf did not say.
    pub module: String,
    /// Whether it has what was asked for.
    pub matching: bool,
}

/// The outcome of a relocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum RelocationOutcome {
    /// A target was found and the instruction patched.
    Resolved {
        /// The value that the compiler put there.
        old: u64,
        /// The value for this kernel.
        new: u64,
    },
    /// No target was found, which is an answer: the existence is 0, the type id or size is 0.
    NoMatch {
        /// The value that the compiler put there.
        old: u64,
        /// The value for this kernel.
        new: u64,
    },
    /// No target was found and the instruction was made invalid: the verifier refuses it if it is reached.
    Poisoned,
    /// The candidates contradict each other.
    Ambiguous {
        /// libbpf's words.
        reason: String,
    },
    /// libbpf could not apply it.
    Failed {
        /// libbpf's words.
        reason: String,
    },
    /// libbpf left it out: it belongs to a weak subprogram that another one replaces.
    Skipped,
    /// Loading failed before libbpf got to it.
    NotReached,
    /// libbpf should have logged and did not: a defect of the harness, never a result.
    Lost,
    /// The relocated instruction is not what libbpf said: a defect of the harness, never a result.
    Contradicted {
        /// What was said and what is there.
        reason: String,
    },
}

/// An instruction in the verifier's numbering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifierPlace {
    /// The program.
    pub program: String,
    /// Counted from the program's first instruction, with subprograms appended.
    pub insn: u32,
}

/// An extern of the object on one kernel: a ksym, a kfunc, or a kconfig value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExternRecord {
    /// Its name.
    pub name: String,
    /// `kcfg`, `ksym`, `var ksym` or `func ksym`, as libbpf names it.
    pub kind: String,
    /// Whether the object works without it.
    pub weak: bool,
    /// What it was resolved to, in libbpf's words; `None` if it is missing on this kernel.
    pub resolved: Option<String>,
}

impl RelocationOutcome {
    /// The value that is in the instruction after relocation, if it was patched.
    pub fn value(&self) -> Option<u64> {
        match self {
            RelocationOutcome::Resolved { new, .. } | RelocationOutcome::NoMatch { new, .. } => Some(*new),
            _ => None,
        }
    }
}

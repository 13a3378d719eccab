//! [`GuardRecord`]: one place where an object asks the kernel what it has, and what lies on either side of the answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{LineSet, SourcePlace};

/// One guard: one question at one place, and the branch that its answer decides. The same on every kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GuardRecord {
    /// What sort of question.
    pub kind: GuardKind,
    /// What it asks for: `struct task_struct.__state`, `bpf_task_from_pid`, `LINUX_KERNEL_VERSION`.
    pub asked: String,
    /// The program or subprogram that asks.
    pub function: String,
    /// The asking instruction, counted from the start of the function.
    pub insn: u32,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
    /// The relocation that asks, as an index into the object's list; `None` for externs and `.rodata`.
    pub relocation: Option<usize>,
    /// The programs that it is part of, as indexes into the object's list. A shared subprogram is part of several.
    pub programs: Vec<usize>,
    /// The side that the answer "yes" opens, and the other one.
    pub sides: [SideRecord; 2],
    /// Why it is not known what the guard decides; `None` if it is.
    pub undecided: Option<String>,
}

/// One side of a guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SideRecord {
    /// When it is taken: `exists`, `!= 4`, `>= 0x50b00`.
    pub when: String,
    /// Instructions that can be reached on this side only. A side without any is where control just goes on.
    pub insns: usize,
    /// Their source lines, as places in the object's line table.
    pub lines: LineSet,
}

/// What sort of question a guard asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum GuardKind {
    /// Whether a field exists.
    FieldExists,
    /// Whether a type exists.
    TypeExists,
    /// Whether a type matches.
    TypeMatches,
    /// Whether an enum has a name.
    EnumvalExists,
    /// How large a field is.
    ByteSz,
    /// Whether a field is signed.
    Signed,
    /// How large a type is.
    TypeSize,
    /// The value of a name of an enum.
    EnumvalValue,
    /// Whether a weak kernel symbol exists.
    Ksym,
    /// A kconfig value, the kernel's version among them.
    Kconfig,
    /// A variable that the loader may set before it loads the object.
    Rodata,
}

impl GuardKind {
    /// The name in reports; that of libbpf where it has one.
    pub fn label(self) -> &'static str {
        match self {
            GuardKind::FieldExists => "field_exists",
            GuardKind::TypeExists => "type_exists",
            GuardKind::TypeMatches => "type_matches",
            GuardKind::EnumvalExists => "enumval_exists",
            GuardKind::ByteSz => "byte_sz",
            GuardKind::Signed => "signed",
            GuardKind::TypeSize => "type_size",
            GuardKind::EnumvalValue => "enumval_value",
            GuardKind::Ksym => "ksym",
            GuardKind::Kconfig => "kconfig",
            GuardKind::Rodata => "rodata",
        }
    }

    /// Whether it asks for existence.
    pub fn is_existence(self) -> bool {
        use GuardKind::{EnumvalExists, FieldExists, TypeExists, TypeMatches};
        matches!(self, FieldExists | TypeExists | TypeMatches | EnumvalExists)
    }
}

impl fmt::Display for GuardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl GuardRecord {
    /// Whether the guard asks the kernel, not the loader.
    pub fn asks_kernel(&self) -> bool {
        self.kind != GuardKind::Rodata
    }

    /// The guard in words: `field_exists struct task_struct.__state`.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.asked)
    }

    /// Where it is, as a reader finds it: `task-state.bpf.c:28:6`, or function and instruction without line info.
    pub fn place(&self) -> String {
        match &self.source {
            Some(SourcePlace { file, line, column, .. }) => {
                format!("{}:{line}:{column}", file.rsplit('/').next().unwrap_or(file))
            }
            None => format!("{}+{}", self.function, self.insn),
        }
    }
}

//! [`ObjectCoverage`]: what can be covered of an object; [`CellCoverage`]: how far each side of each guard, and each line, was proven on
//! one kernel.

use serde::{Deserialize, Serialize};

use crate::guard::GuardRecord;
use crate::line_set::LineSet;

/// What can be covered of an object: the same on every kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectCoverage {
    /// Its guards, by place in the object.
    pub guards: Vec<GuardRecord>,
    /// Its source lines; empty without line info, so that coverage is by instruction only.
    pub lines: LineTable,
    /// For each of its programs, the lines of it and of its subprograms.
    pub programs: Vec<LineSet>,
}

/// The source lines of an object, sorted by file and line. Empty for an object without line info.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LineTable {
    /// Paths as the compiler saw them.
    pub files: Vec<String>,
    /// The lines.
    pub lines: Vec<SourceLine>,
}

/// One source line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceLine {
    /// Its file, as an index into the table's files.
    pub file: usize,
    /// Counts from 1.
    pub line: u32,
    /// The line itself.
    pub text: String,
}

/// Coverage of one object on one kernel. Levels of proof stand side by side and are never mixed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellCoverage {
    /// For each guard of the object.
    pub guards: Vec<GuardProof>,
    /// Lines of the programs that were loaded. Those of other programs are unknown.
    pub programs: Vec<ProgramLines>,
    /// The guards that are false only because the guest has not loaded a kernel module, and those of which that is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_modules: Vec<InModule>,
}

/// A guard whose answer would be another one if a kernel module was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InModule {
    /// The guard, as an index into the object's list.
    pub guard: usize,
    /// The modules that have what it asks for.
    pub modules: Vec<String>,
    /// The other kernel whose module it is, where the modules of this one are unknown; the guard is unknown then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_kernel: Option<String>,
}

/// What one kernel proves of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GuardProof {
    /// Level *resolved*: whether the kernel's answer picks the first side; `None` if there is no answer.
    pub resolved: Option<bool>,
    /// Level *verified*, for either side: whether its instructions survived in a program that was loaded.
    pub verified: [Liveness; 2],
    /// Level *executed*, for either side: whether a program was seen to run that cannot have come around it.
    #[serde(default)]
    pub executed: [bool; 2],
}

/// Whether code survived the verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It was taken out of every program that was loaded.
    Dead,
    /// Unknown, or no program with it was loaded.
    Unknown,
    /// It is left in a program that was loaded.
    Live,
}

/// The lines of one loaded program, as places in the object's line table. Lines of the program that are in no set are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramLines {
    /// As an index into the object's programs.
    pub program: usize,
    /// Something of them is left.
    pub live: LineSet,
    /// Nothing of them is left.
    pub dead: LineSet,
    /// Nothing of them is left, which is well: they hold an instruction that is invalid on this kernel.
    pub poisoned: LineSet,
    /// The program was seen to run and cannot have come around them. Of live lines in no such set it is unknown.
    #[serde(default)]
    pub executed: LineSet,
}

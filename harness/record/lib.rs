//! [`RunRecord`]: everything a corematrix run found out, as it is saved in `report.json`. Every report is rendered from it alone.
//!
//! Every cell exists from plan time as [`Verdict::NotRun`], so the record of an interrupted run is a normal record.
//!
//! This crate is for tools that read reports: it needs neither libbpf nor a kernel.
//!
//! ```
//! # fn main() -> Result<(), corematrix_record::json::ReadError> {
//! # let folder = std::env::temp_dir().join(format!("corematrix-record-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let path = folder.join("report.json");
//! # let empty = r#"{"schema_version": 1, "tool": {"corematrix": "", "libbpf": "", "qemu": "", "virtme_ng": "", "accel": "tcg",
//! #     "accel_reason": ""}, "started": "", "finished": null, "interrupted": false, "kernels": [], "objects": [], "cells": [],
//! #     "notices": []}"#;
//! # std::fs::write(&path, empty).unwrap();
//! let record = corematrix_record::json::read(&path)?;
//! for cell in &record.cells {
//!     for program in cell.programs.iter().filter(|program| !program.verdict.is_pass()) {
//!         println!("{} on {}: {} {}", cell.object, cell.kernel, program.name, program.verdict);
//!     }
//! }
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok(())
//! # }
//! ```

mod alternatives;
mod attach;
mod cause;
mod coverage;
mod danger;
mod exercise;
pub mod exit_code;
mod explanation;
mod guard;
pub mod json;
mod kernel_warning;
mod line_set;
mod loaded_program;
mod loading;
mod partition;
mod question;
mod relocation;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
#[cfg(feature = "schema")]
pub mod schema;
mod service;
mod shape;
mod standing;
mod statistics;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use alternatives::{Alternative, AlternativeKind, AlternativesRecord, OptionalRecord};
pub use attach::{AttachOutcome, AttachRecord};
pub use cause::{Cause, Evidence, Source};
pub use coverage::{CellCoverage, GuardProof, InModule, LineTable, Liveness, ObjectCoverage, ProgramLines, SourceLine};
pub use danger::Danger;
pub use exercise::{ExerciseRecord, TestRun, TriggerRuns};
pub use explanation::{
    Boundary, Explanation, First, InItsPlace, OnKernel, Presence, Replacement, Run, Snippet, SnippetPlace, Subject,
    Witness, span,
};
pub use guard::{GuardKind, GuardRecord, SideRecord};
pub use kernel_warning::{KernelWarning, WarningKind};
pub use line_set::LineSet;
pub use loaded_program::LoadedProgram;
pub use loading::{LoadingRecord, MapDefinition, MapLoading, ProgramLoading};
pub use partition::{Partition, PartitionError};
pub use relocation::{
    Candidate, CoreRelocation, ExternRecord, RelocationOutcome, RelocationRecord, SourcePlace, VerifierPlace,
};
pub use service::Service;
pub use shape::ShapeRecord;
pub use statistics::{Statistics, Subprogram};
pub use verdict::{Blame, Verdict};

/// The version of the `report.json` format; raised when a reader of the old format would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// One whole run: the matrix, its kernels, its objects and every cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunRecord {
    /// Format version, see [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Versions of everything that took part.
    pub tool: ToolRecord,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// When the run ended, RFC 3339 in UTC; `None` while it is running.
    pub finished: Option<String>,
    /// Whether the user stopped the run before its end.
    pub interrupted: bool,
    /// The kernels of the matrix, in matrix order.
    pub kernels: Vec<KernelRecord>,
    /// The objects of the matrix, in the order given.
    pub objects: Vec<ObjectRecord>,
    /// One cell for each kernel and object: `cells[o * kernels.len() + k]`.
    pub cells: Vec<CellRecord>,
    /// Things the user should know that belong to no cell, such as "KVM does not work here, using TCG".
    pub notices: Vec<String>,
    /// Programs, maps or objects of which one is enough: those that suite files declare, then those that corematrix proposes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativesRecord>,
    /// What may fail, as suite files say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub optional: Vec<OptionalRecord>,
    /// Percent of the guard sides that have to be verified, if a suite says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_coverage: Option<f64>,
    /// Which part of a matrix this is; `None` for a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionRecord>,
}

/// Which part of a matrix a record has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PartitionRecord {
    /// The part.
    pub part: Partition,
    /// Names of all objects of the whole matrix, in its order.
    pub objects: Vec<String>,
}

/// Versions of everything that took part in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolRecord {
    /// corematrix' own version.
    pub corematrix: String,
    /// The libbpf linked in, such as `1.7.0`.
    pub libbpf: String,
    /// QEMU's version, such as `10.0.2`.
    pub qemu: String,
    /// virtme-ng's version, such as `1.42`.
    pub virtme_ng: String,
    /// The accelerator in use: `kvm` or `tcg`.
    pub accel: String,
    /// Why that accelerator.
    pub accel_reason: String,
}

/// One kernel of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelRecord {
    /// Name in `kernels.toml`.
    pub name: String,
    /// Where it comes from, in words: `apt: bullseye linux-image-5.10.0-32-cloud-amd64 5.10.223-1`.
    pub source: String,
    /// Whether the manifest says that the matrix may do without it.
    pub optional: bool,
    /// How far it got.
    pub state: KernelState,
    /// What exactly was booted; `None` until the store has it.
    pub identity: Option<KernelIdentity>,
    /// Milliseconds from starting QEMU to the guest's hello, one for each successful boot.
    pub hello_ms: Vec<u64>,
    /// Milliseconds from starting QEMU until the guest answered, one for each guest that was restored from a snapshot.
    #[serde(default)]
    pub restore_ms: Vec<u64>,
    /// What is missing in this kernel's package and what that costs, oddities of its boot, retries.
    pub notes: Vec<String>,
}

/// How far a kernel got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum KernelState {
    /// Not looked at yet.
    Pending,
    /// It booted and said hello.
    Ready,
    /// Its image could not be had.
    Unavailable {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// The image is there but it never said hello; the kernel or its image is to blame.
    BootFailed {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
        /// The last lines of the console; `<empty boot output>` if there were none.
        console_tail: Vec<String>,
    },
    /// QEMU, virtme-ng or the machine failed; the kernel is not to blame.
    HarnessFailed {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
        /// The last lines of the console and of QEMU's error output.
        console_tail: Vec<String>,
    },
}

/// What exactly a kernel is: two kernels with equal identity behave alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelIdentity {
    /// `uname -r`.
    pub release: String,
    /// SHA-256 of the image as delivered, in hex.
    pub image_sha256: String,
    /// SHA-256 of the kernel's config, in hex; `None` if the source ships none.
    pub config_sha256: Option<String>,
    /// SHA-256 of the BTF of vmlinux, in hex; `None` if the kernel has none.
    pub btf_sha256: Option<String>,
    /// SHA-256 of the BTF that was given for relocations to take in the place of the kernel's own, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_btf_sha256: Option<String>,
}

impl KernelIdentity {
    /// SHA-256 of the BTF that objects are relocated with.
    pub fn types_sha256(&self) -> Option<&str> {
        self.given_btf_sha256.as_deref().or(self.btf_sha256.as_deref())
    }

    /// The kernel alone, without what was given to it.
    #[must_use]
    pub fn of_kernel(&self) -> KernelIdentity {
        KernelIdentity { given_btf_sha256: None, ..self.clone() }
    }
}

/// One BPF object, unchanged over all kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectRecord {
    /// Name in reports; unique in a run.
    pub name: String,
    /// The file it came from, and the place in it if it was embedded.
    pub origin: String,
    /// SHA-256 of the object's bytes, in hex.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// The programs in it, in ELF order; empty if it cannot be read.
    pub programs: Vec<ObjectProgram>,
    /// Its CO-RE relocations, those of subprograms included.
    pub relocations: Vec<CoreRelocation>,
    /// Why the object cannot be read, if so.
    pub broken: Option<String>,
    /// Its guards and source lines.
    #[serde(default)]
    pub coverage: ObjectCoverage,
    /// With which settings it is tried, if not with its own: the record of the object itself stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ShapeRecord>,
    /// What its own loader does to it, as a suite says; it is judged so, and never otherwise.
    #[serde(default, skip_serializing_if = "LoadingRecord::is_empty")]
    pub loading: LoadingRecord,
}

/// One program of an object, as its ELF says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectProgram {
    /// The function's name.
    pub name: String,
    /// ELF section, such as `fentry/vfs_read`.
    pub section: String,
}

/// The section of a program that is none, but a command that was run.
pub const COMMAND_SECTION: &str = "(command)";

/// Stands in for the programs of an object that has none or cannot be read, so that the object still gets a verdict.
pub const WHOLE_OBJECT: &str = "(object)";

impl ObjectRecord {
    /// Whether it is no object, but a command that was run.
    pub fn is_command(&self) -> bool {
        self.programs.iter().any(|program| program.section == COMMAND_SECTION)
    }
}

/// One kernel x object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellRecord {
    /// Name of the kernel.
    pub kernel: String,
    /// Name of the object.
    pub object: String,
    /// What happened when the object was loaded whole, as a plain loader does; `None` until tried.
    pub whole: Option<WholeLoad>,
    /// One result a program, in the object's order.
    pub programs: Vec<ProgramRecord>,
    /// What became of each of the object's relocations; empty until tried.
    pub relocations: Vec<RelocationRecord>,
    /// Where the object reads something else than it thinks although it loads, and what its programs fail for elsewhere.
    pub dangers: Vec<DangerRecord>,
    /// What the object's ksyms, kfuncs and kconfig values were resolved to.
    pub externs: Vec<ExternRecord>,
    /// What libbpf did without because this kernel is too old for it: BTF of the object or of a map. No failure.
    pub downgrades: Vec<String>,
    /// How far each side of its guards, and each line, was proven.
    #[serde(default)]
    pub coverage: CellCoverage,
    /// What the kernel complained about meanwhile and survived. No verdict, but nothing that should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_log: Vec<KernelWarning>,
    /// Milliseconds the cell took in the guest, over all attempts.
    pub wall_ms: u64,
    /// What else is worth knowing, such as "guest lost while loading `x`, restarted".
    pub notes: Vec<String>,
}

/// Something through which an object silently reads wrong data on a kernel, or through which a program that loads there fails on
/// another kernel. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DangerRecord {
    /// The relocation, as an index into the object's list; `None` for an enumerator, which is compiled in without one.
    pub relocation: Option<usize>,
    /// The program or subprogram where it is.
    pub function: String,
    /// The programs that run the function: the program itself, or those that call the subprogram.
    pub programs: Vec<String>,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
    /// The field, type or enumerator, such as `struct inode.i_ctime_nsec`.
    pub subject: String,
    /// What differs, in words: `4 bytes here, 8 bytes in the object`.
    pub words: String,
    /// What differs.
    pub difference: Danger,
}

impl fmt::Display for DangerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has {}", self.subject, self.words)
    }
}

/// The object loaded whole, with every program switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WholeLoad {
    /// Whether relocation, maps and BTF of the whole object went through at the first try.
    pub prepared: bool,
    /// What libbpf said when it did not.
    pub reason: Option<String>,
    /// The maps that the kernel would not create, so that the programs were tried without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// One program on one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramRecord {
    /// The function's name.
    pub name: String,
    /// ELF section.
    pub section: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, as one line; the evidence line itself where there is one. `None` only for a pass.
    pub reason: Option<String>,
    /// Why, out of a closed set; `None` for a program that was loaded or not run.
    pub cause: Option<Cause>,
    /// What the cause rests on.
    pub evidence: Option<Evidence>,
    /// What the verifier did; `None` if it never saw the program.
    pub statistics: Option<Statistics>,
    /// What the kernel made of the program; `None` if it was not loaded.
    pub loaded: Option<LoadedProgram>,
    /// The errno of the failing call as a positive number.
    pub errno: Option<i32>,
    /// The last lines of the verifier log of a program that was refused, or of what a command said.
    pub log_tail: Vec<String>,
    /// How many lines of the log stand before `log_tail`.
    pub log_omitted: u64,
    /// The whole log, or all that a command said, relative to the report's folder.
    pub log_file: Option<String>,
    /// Milliseconds the load took in the guest.
    pub load_ms: u64,
    /// Whether it could be attached; `None` if it was not loaded or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<AttachRecord>,
    /// Whether it ran; `None` if it was not loaded or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercise: Option<ExerciseRecord>,
    /// What the failure means on the kernels of the run and what to do about it; `None` if their types do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Box<Explanation>>,
    /// What to do about it where no kernel's types tell, as whole sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl ProgramRecord {
    /// A program nobody has tried yet.
    pub fn not_run(program: &ObjectProgram, reason: &str) -> Self {
        ProgramRecord {
            name: program.name.clone(),
            section: program.section.clone(),
            verdict: Verdict::NotRun,
            reason: Some(reason.to_owned()),
            cause: None,
            evidence: None,
            statistics: None,
            loaded: None,
            errno: None,
            log_tail: Vec::new(),
            log_omitted: 0,
            log_file: None,
            load_ms: 0,
            attach: None,
            exercise: None,
            explanation: None,
            hints: Vec::new(),
        }
    }
}

/// What the notes of a cell say where a program was tried once more because the kernel had crashed.
pub const TRIED_AGAIN: &str = "tried again";
/// What the notes of a cell say where a guest was lost through no fault of a program.
pub const GUEST_LOST: &str = "guest lost";

impl CellRecord {
    /// The notes that tell that a guest was lost on the way and its work done again in another one.
    pub fn retries(&self) -> impl Iterator<Item = &str> {
        let is_retry = |note: &&str| note.starts_with(GUEST_LOST) || note.contains(TRIED_AGAIN);
        self.notes.iter().map(String::as_str).filter(is_retry)
    }

    /// How many relocations there is no trustworthy record of. More than none is a defect of the harness.
    pub fn defective_records(&self) -> usize {
        let defect = |record: &&RelocationRecord| {
            matches!(record.outcome, RelocationOutcome::Lost | RelocationOutcome::Contradicted { .. })
        };
        self.relocations.iter().filter(defect).count()
    }
}

impl RunRecord {
    /// The cell of object `object` on kernel `kernel`, both as indexes.
    pub fn cell(&self, object: usize, kernel: usize) -> &CellRecord {
        &self.cells[object * self.kernels.len() + kernel]
    }

    /// The record without what differs from run to run of the same objects on the same kernels: times, and notes of kernels and
    /// cells, which tell of retries. Two runs that found the same are equal then, to the byte.
    #[must_use]
    pub fn without_noise(&self) -> RunRecord {
        let mut record = self.clone();
        record.started.clear();
        record.finished = record.finished.map(|_| String::new());
        for kernel in &mut record.kernels {
            kernel.hello_ms.clear();
            kernel.restore_ms.clear();
            kernel.notes.clear();
        }
        for cell in &mut record.cells {
            cell.wall_ms = 0;
            cell.notes.clear();
            cell.kernel_log.retain(|warning| !warning.is_noise(&record.tool.accel));
            for warning in &mut cell.kernel_log {
                // It is full of addresses.
                warning.text.clear();
                warning.count = 1;
            }
            for program in &mut cell.programs {
                program.load_ms = 0;
                program.log_tail.retain(|line| !line.starts_with("verification time "));
                if let Some(statistics) = &mut program.statistics {
                    statistics.verification_time_us = None;
                }
            }
        }
        record
    }

    /// How many programs ended with each verdict, over all cells.
    pub fn count(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for program in self.cells.iter().flat_map(|cell| &cell.programs) {
            *counts.entry(program.verdict).or_insert(0) += 1;
        }
        counts
    }
}

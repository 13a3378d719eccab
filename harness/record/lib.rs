//! [`RunRecord`]: everything a corematrix run found out, as it is saved in `report.json`. Every report is rendered from it alone.
//!
//! Every cell exists from plan time as [`Verdict::NotRun`], so the record of an interrupted run is a normal record.
//!
//! This crate is for tools that read reports: it needs neither libbpf nor a kernel.
//!
//! ```
//! # fn main() -> Result<(), corematrix_record::json::ReadError> {
//! # let directory = std::env::temp_dir().join(format!("corematrix-record-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory).unwrap();
//! # let path = directory.join("report.json");
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
//! # std::fs::remove_dir_all(&directory).unwrap();
//! # Ok(())
//! # }
//! ```

mod address;
mod alternatives;
mod attach;
mod cause;
mod cell;
mod cost;
mod coverage;
mod danger;
mod exercise;
pub mod exit_code;
mod explanation;
mod guard;
mod headroom;
pub mod json;
mod kernel;
mod kernel_warning;
mod line_set;
mod loaded_program;
mod loader;
mod loading;
mod machine;
mod machine_change;
mod module;
mod object;
mod one_line_each;
mod partition;
mod prediction;
mod privileges;
mod program_relocations;
mod relocation;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
#[cfg(feature = "schema")]
pub mod schema;
mod service;
mod shape;
mod standing;
mod statistics;
mod upgrade;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use address::without_addresses;

pub use alternatives::{Alternative, AlternativeKind, AlternativesRecord, OptionalRecord};
pub use attach::{AttachOutcome, AttachRecord};
pub use cause::{Cause, Evidence, Source};
pub use cell::{CellRecord, GUEST_LOST, TRIED_AGAIN, WholeLoad};
pub use cost::{CostRatio, CostRecord, CostRound, CostVerdict, LEAST_ROUNDS, LEAST_RUNS, RunTime};
pub use coverage::{CellCoverage, GuardProof, InModule, LineTable, Liveness, ObjectCoverage, ProgramLines, SourceLine};
pub use danger::{Danger, DangerEffect, DangerRecord};
pub use exercise::{ExerciseRecord, TestRun, TriggerRuns};
pub use explanation::{
    Arm, Boundary, Explanation, First, History, InItsPlace, KernelSpan, OnKernel, Presence, Replacement, Run, Snippet,
    SnippetPlace, SnippetProof, Subject, Witness, WrongGuard, span,
};
pub use guard::{GuardKind, GuardRecord, SideRecord};
pub use headroom::{Limit, LimitUse, NEAR_LIMIT_PERCENT};
pub use kernel::{KernelIdentity, KernelRecord, KernelState};
pub use kernel_warning::{KernelWarning, WarningKind};
pub use line_set::LineSet;
pub use loaded_program::LoadedProgram;
pub use loader::{CreatedMap, LoaderChoice, LoaderEvidence, LoaderRecord};
pub use loading::{
    ConstantLoading, LoadingRecord, MapDefinition, MapLoading, MapReuse, NOT_PINNED, PINNED_BY_NAME, ProgramLoading,
    VariableLoading,
};
pub use machine::{MachineProfile, MachineRecord, MachineSettings};
pub use machine_change::{ChangedBy, MachineChange, MachineRow};
pub use module::ModuleRecord;
pub use object::{COMMAND_SECTION, ObjectProgram, ObjectRecord, TEST_PROCESS, TEST_SECTION, WHOLE_OBJECT};
pub use partition::{Partition, PartitionError};
pub use prediction::{CellPrediction, PredictedOutcome};
pub use privileges::{
    CAPABILITIES, LeastPrivileges, LoadingPrivileges, Need, PrivilegesRecord, ProgramPrivileges, capability_number,
    capability_since,
};
pub use relocation::{
    Candidate, CoreRelocation, ExternRecord, RelocationOutcome, RelocationRecord, SourcePlace, VerifierPlace,
};
pub use service::Service;
pub use shape::{MACHINE_SETTING, ShapeRecord};
pub use statistics::{Statistics, Subprogram};
pub use upgrade::{MapData, MapFate, MapUpgrade, UpgradeRecord};
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// What separated the cells of a kernel: `cell` or `shared`, as `run --isolation` names them; empty where every guest was booted, and in
    /// records of older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub isolation: String,
}

/// One program on one kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramRecord {
    /// The function's name.
    pub name: String,
    /// ELF section.
    pub section: String,
    /// What happened to it.
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
    /// How much of each limit of the kernel it uses, as far as that is known; empty if it was not loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headroom: Vec<LimitUse>,
    /// The errno of the failing call as a positive number.
    pub errno: Option<i32>,
    /// The last lines of the verifier log of a program that was refused, or of what a command said.
    pub log_tail: Vec<String>,
    /// How many lines of the log stand before `log_tail`.
    pub log_omitted: u64,
    /// The whole log, or all that a command said, relative to the report's directory.
    pub log_file: Option<String>,
    /// Milliseconds the load took in the guest.
    pub load_ms: u64,
    /// Whether it could be attached; `None` if it was not loaded or not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<AttachRecord>,
    /// Whether it ran; `None` if it was not loaded or not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercise: Option<ExerciseRecord>,
    /// How long it runs beside the same program of another build; `None` if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostRecord>,
    /// What the kernel's BTF predicts for it, where the guest reported something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<PredictedOutcome>,
    /// What the failure means on the kernels of the run and what to do about it; `None` if their BTF has no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Box<Explanation>>,
    /// What to do about it where BTF has no answer, as whole sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The reason of the `[[expect]]` table that excuses the failure, if one did when it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl ProgramRecord {
    /// A program that was not tried yet.
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
            headroom: Vec::new(),
            errno: None,
            log_tail: Vec::new(),
            log_omitted: 0,
            log_file: None,
            load_ms: 0,
            attach: None,
            exercise: None,
            cost: None,
            predicted: None,
            explanation: None,
            hints: Vec::new(),
            expected: None,
        }
    }
}

impl RunRecord {
    /// The cell of object `object` on kernel `kernel`, both as indexes.
    pub fn cell(&self, object: usize, kernel: usize) -> &CellRecord {
        &self.cells[object * self.kernels.len() + kernel]
    }

    /// The record without what differs from run to run of the same objects on the same kernels: times, the kernel's addresses, and notes of
    /// kernels and cells, which mention retries. Two runs that found the same are equal then, to the byte.
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
            cell.observed = None;
            cell.kernel_log.retain(|warning| !warning.is_noise(&record.tool.accel));
            for warning in &mut cell.kernel_log {
                // It is full of addresses.
                warning.text.clear();
                warning.count = 1;
            }
            for program in &mut cell.programs {
                program.load_ms = 0;
                if let Some(loaded) = &mut program.loaded {
                    // An address takes 7 bytes or 10, and differs from load to load; whether there is machine code does not.
                    loaded.jited_bytes = loaded.jited_bytes.min(1);
                }
                if let Some(exercise) = &mut program.exercise {
                    exercise.run_time_ns = None;
                }
                if let Some(cost) = &mut program.cost {
                    cost.rounds.clear();
                }
                program.log_tail.retain(|line| !line.starts_with("verification time "));
                let lines = program.log_tail.iter_mut().chain(program.evidence.as_mut().map(|one| &mut one.line));
                let lines = lines.chain(&mut program.reason);
                lines.for_each(|line| *line = without_addresses(line));
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

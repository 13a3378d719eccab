//! [`CellRecord`]: what happened to one object on one kernel.

use serde::{Deserialize, Serialize};

use crate::{
    CellCoverage, CellPrediction, DangerEffect, DangerRecord, ExternRecord, KernelWarning, LoaderEvidence,
    MachineRecord, ModuleRecord, PrivilegesRecord, ProgramRecord, RelocationOutcome, RelocationRecord, UpgradeRecord,
};

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
    /// What happened to each of the object's relocations; empty until tried.
    pub relocations: Vec<RelocationRecord>,
    /// Where the object reads something else than it thinks although it loads, and what its programs fail for elsewhere.
    pub dangers: Vec<DangerRecord>,
    /// What the object's ksyms, kfuncs and kconfig values were resolved to.
    pub externs: Vec<ExternRecord>,
    /// What libbpf did without because this kernel is too old for it: BTF of the object or of a map. No failure.
    pub downgrades: Vec<String>,
    /// What its loader did, if that is not libbpf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<LoaderEvidence>,
    /// What the kernel's BTF predicts where no kernel could be booted; nothing was loaded then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<CellPrediction>,
    /// The kernel modules that its guest had to load for it, with those that they depend on, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleRecord>,
    /// How far each side of its guards, and each line, was proven.
    #[serde(default)]
    pub coverage: CellCoverage,
    /// What happened to the maps of an older build, if it was loaded over them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeRecord>,
    /// What the kernel complained about meanwhile and survived. No verdict, but nothing that should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_log: Vec<KernelWarning>,
    /// The least privileges with which it loads; `None` if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<PrivilegesRecord>,
    /// Milliseconds the cell took in the guest, over all attempts.
    pub wall_ms: u64,
    /// What its machine was like; `None` until there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineRecord>,
    /// What else is worth knowing, such as "guest lost while loading `x`, restarted".
    pub notes: Vec<String>,
    /// When an earlier run observed all this, RFC 3339 in UTC, if the cell was not run again because nothing that decides it has changed;
    /// `None` for what this run observed itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
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
    /// The reason of the `[[expect]]` table that excuses the failure of the object as a whole, if one did when it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// What the notes of a cell say where a program was tried once more because the kernel had crashed.
pub const TRIED_AGAIN: &str = "tried again";

/// What the notes of a cell say where a guest was lost through no fault of a program.
pub const GUEST_LOST: &str = "guest lost";

impl CellRecord {
    /// The notes about a guest that was lost on the way and its work done again in another one.
    pub fn retries(&self) -> impl Iterator<Item = &str> {
        let is_retry = |note: &&str| note.starts_with(GUEST_LOST) || note.contains(TRIED_AGAIN);
        self.notes.iter().map(String::as_str).filter(is_retry)
    }

    /// The kernel modules that the kernel refused, or the types of which it did.
    pub fn refused_modules(&self) -> impl Iterator<Item = &ModuleRecord> {
        self.modules.iter().filter(|module| module.refused.is_some())
    }

    /// The kernel modules that its guest had to load, in words; `None` if there were none.
    pub fn module_words(&self) -> Option<String> {
        let names = |refused: bool| -> Vec<String> {
            let these = self.modules.iter().filter(|module| module.refused.is_some() == refused);
            these.map(|module| format!("`{}`", module.name)).collect()
        };
        let (loaded, refused) = (names(false), names(true));
        let mut words = Vec::new();
        if !loaded.is_empty() {
            words.push(format!("kernel modules loaded: {}", loaded.join(", ")));
        }
        if !refused.is_empty() {
            words.push(format!("kernel modules refused: {}", refused.join(", ")));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Whether the kernel has no way to attach a program that it loads.
    pub fn cannot_attach(&self, program: &str) -> bool {
        let is_it = |danger: &DangerRecord| {
            danger.difference.effect() == DangerEffect::CannotAttach
                && danger.programs.iter().any(|name| name == program)
        };
        self.dangers.iter().any(is_it)
    }

    /// The effects of the dangers of a program that the kernel loads: it reads wrong data there, or cannot attach.
    pub fn effects_on(&self, program: &str) -> Vec<DangerEffect> {
        let of_program = |danger: &&DangerRecord| danger.programs.iter().any(|name| name == program);
        let here = self.dangers.iter().filter(|danger| danger.difference.is_wrong_here()).filter(of_program);
        let mut effects: Vec<DangerEffect> = here.map(|danger| danger.difference.effect()).collect();
        effects.sort_unstable();
        effects.dedup();
        effects
    }

    /// How many relocations there is no trustworthy record of. More than none is a defect of the harness.
    pub fn defective_records(&self) -> usize {
        let defect = |record: &&RelocationRecord| {
            matches!(record.outcome, RelocationOutcome::Lost | RelocationOutcome::Contradicted { .. })
        };
        self.relocations.iter().filter(defect).count()
    }
}

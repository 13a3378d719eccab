//! [`Event`]: the contract between running and reporting.
//!
//! The runner sends events and formats nothing; the collector folds them into the record, and the live view draws them.
//! For one kernel the order is: `Fetching`* (`KernelReady` | `KernelFailed` | `KernelPredicted` `CellPredicted`*), then for each guest `Booting` (`Booted` `Saved`? | `KernelFailed`)
//! or `Restored`, then for each object `CellReused`, before any guest starts, or `CellStarted` (`ProgramStarted` `ProgramDone`)* `CellDone`, with `GuestLost` and another guest
//! in between where one dies (a verdict may need more of the kernel, and `Fetching` comes once more; an object that is judged again, `CellStarted`), at last `KernelDone`. A kernel that ends without its cells leaves them as they were planned: `NotRun`.
//! Cells run in parallel, those of one kernel too where its guests are restored, so their events interleave.

use std::time::Duration;

use crate::record::MachineRecord;
use crate::record::{CellCoverage, CellPrediction, CellRecord};
use crate::record::{DangerRecord, KernelIdentity, KernelState, ProgramRecord, WholeLoad};
use crate::record::{ExternRecord, RelocationRecord};
use crate::record::{KernelWarning, LoaderEvidence, ModuleRecord, PrivilegesRecord, UpgradeRecord};
use crate::test_output::TestOutput;

/// Something that happened. Indexes are into the plan's kernels, objects and the object's programs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A kernel's image is being fetched or unpacked; may repeat with another `step`.
    Fetching {
        /// Which kernel.
        kernel: usize,
        /// What is being done, such as "downloading linux-image-6.1.0-50-cloud-amd64".
        step: String,
    },
    /// The store has the kernel.
    KernelReady {
        /// Which kernel.
        kernel: usize,
        /// Its source in words.
        source: String,
        /// What it is.
        identity: KernelIdentity,
        /// What is missing in it and what that costs.
        notes: Vec<String>,
    },
    /// A guest is being started.
    Booting {
        /// Which kernel.
        kernel: usize,
        /// Counts from 1.
        attempt: u32,
    },
    /// The guest said hello.
    Booted {
        /// Which kernel.
        kernel: usize,
        /// From starting QEMU to hello.
        took: Duration,
        /// What could not be set up in the guest and is not vital.
        notes: Vec<String>,
    },
    /// The guest was saved as a snapshot, from which the others start.
    Saved {
        /// Which kernel.
        kernel: usize,
        /// Time it took.
        took: Duration,
    },
    /// A guest was started from a snapshot, and answered.
    Restored {
        /// Which kernel.
        kernel: usize,
        /// From starting QEMU until the guest answered.
        took: Duration,
        /// What could not be set up in the guest and is not vital.
        notes: Vec<String>,
    },
    /// Something worth knowing about a kernel, such as why it runs cold.
    KernelNote {
        /// Which kernel.
        kernel: usize,
        /// A lowercase fragment.
        note: String,
    },
    /// The kernel is out of the run: unavailable, failed to boot, or the harness failed.
    KernelFailed {
        /// Which kernel.
        kernel: usize,
        /// Never `Pending` or `Ready`.
        state: KernelState,
    },
    /// No kernel is booted; what BTF predicts for each object follows.
    KernelPredicted {
        /// Which kernel.
        kernel: usize,
        /// Where the types come from, in words.
        source: String,
        /// Always `Predicted`.
        state: KernelState,
    },
    /// What the types of a kernel that is not booted say of an object.
    CellPredicted {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
        /// What they say.
        prediction: Box<CellPrediction>,
        /// What else is worth knowing.
        notes: Vec<String>,
    },
    /// A guest died or fell silent and is going to be replaced.
    GuestLost {
        /// Which kernel.
        kernel: usize,
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// An object is going to be loaded.
    CellStarted {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
    },
    /// A program is going to be loaded.
    ProgramStarted {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
        /// Which program of the object.
        program: usize,
    },
    /// A program has its verdict.
    ProgramDone {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
        /// Which program of the object.
        program: usize,
        /// The result.
        record: Box<ProgramRecord>,
    },
    /// All programs of the object have their verdicts.
    CellDone {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
        /// What is known about it beside the verdicts.
        outcome: Box<CellOutcome>,
    },
    /// A cell is not run: an earlier run observed what becomes of it.
    CellReused {
        /// Which kernel.
        kernel: usize,
        /// Which object.
        object: usize,
        /// What that run observed, and when.
        record: Box<CellRecord>,
        /// What guests of the kernel lack.
        notes: Vec<String>,
    },
    /// This kernel has nothing left to do.
    KernelDone {
        /// Which kernel.
        kernel: usize,
    },
    /// Nothing happened for a moment. A view shows how long the steps under way have taken.
    Waiting,
    /// Something the user should know that belongs to no cell.
    Notice(String),
    /// The record could not be saved for a time, and why. What is in it is not lost.
    Unsaved(String),
}

/// What is known about a cell beside its programs' verdicts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CellOutcome {
    /// The object loaded whole.
    pub whole: Option<WholeLoad>,
    /// What became of its relocations.
    pub relocations: Vec<RelocationRecord>,
    /// Which of them read wrong data although they were resolved.
    pub dangers: Vec<DangerRecord>,
    /// What its externs were resolved to.
    pub externs: Vec<ExternRecord>,
    /// What libbpf did without.
    pub downgrades: Vec<String>,
    /// What another loader than libbpf did.
    pub loader: Option<LoaderEvidence>,
    /// The modules that the guest had to load.
    pub modules: Vec<ModuleRecord>,
    /// How far its guards were proven.
    pub coverage: CellCoverage,
    /// What became of the maps of an older build.
    pub upgrade: Option<UpgradeRecord>,
    /// What the kernel complained about.
    pub kernel_log: Vec<KernelWarning>,
    /// The least privileges with which it loads, if that was asked for.
    pub privileges: Option<PrivilegesRecord>,
    /// The tests that a command ran, if it was looked for them.
    pub tests: Option<TestOutput>,
    /// What the guest's machine was like, if there was a guest.
    pub machine: Option<MachineRecord>,
    /// Time in the guest.
    pub took: Duration,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

impl CellOutcome {
    /// Writes it into the record of its cell.
    pub fn put(&self, cell: &mut CellRecord) {
        cell.whole.clone_from(&self.whole);
        cell.relocations.clone_from(&self.relocations);
        cell.dangers.clone_from(&self.dangers);
        cell.externs.clone_from(&self.externs);
        cell.downgrades.clone_from(&self.downgrades);
        cell.loader.clone_from(&self.loader);
        cell.modules.clone_from(&self.modules);
        cell.coverage.clone_from(&self.coverage);
        cell.upgrade.clone_from(&self.upgrade);
        cell.kernel_log.clone_from(&self.kernel_log);
        cell.machine.clone_from(&self.machine);
        cell.privileges.clone_from(&self.privileges);
        cell.wall_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        cell.notes.extend_from_slice(&self.notes);
    }
}

//! [`Session`]: one kernel's share of a run: boot, load object after object, replace a guest that dies.

use std::cell::OnceCell;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::{Bench, Wanted};
use crate::event::Event;
use crate::explain::{self, Danger, KernelTypes, LocalSpec};
use crate::manifest::KernelSpec;
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, Want};
use crate::plan::PlannedObject;
use crate::record::{DangerRecord, KernelState};
use crate::relocation::{RelocationOutcome, RelocationRecord};
use crate::store::StoredKernel;
use crate::vm::{Accelerator, BootFailure, Deadlines, Machine, MachineSpec};

/// A boot that fails is tried once more: an emulator's hiccup must not be taken for the kernel's fault.
const BOOT_ATTEMPTS: u32 = 2;

/// The kernel is out of the run, and has said why; or the user stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// One kernel's share of a run.
pub(super) struct Session<'a> {
    pub(super) bench: &'a Bench<'a>,
    pub(super) kernel: usize,
    spec: &'a KernelSpec,
    stored: StoredKernel,
    pub(super) deadlines: Deadlines,
    machine: Option<Machine>,
    /// The kernel's types; read when a failure asks for them.
    btf: OnceCell<Option<Btf>>,
    /// What the guest is asked for before it ends.
    pub(super) wanted: &'a Wanted,
    events: Sender<Event>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        bench: &'a Bench<'a>,
        kernel: usize,
        stored: StoredKernel,
        wanted: &'a Wanted,
        events: Sender<Event>,
    ) -> Self {
        let spec = &bench.plan.kernels[kernel];
        let deadlines = Deadlines::scaled(spec.boot_timeout, spec.program_timeout, bench.accelerator);
        Session { bench, kernel, spec, stored, deadlines, machine: None, btf: OnceCell::new(), wanted, events }
    }

    /// Runs every object on this kernel.
    pub(super) fn run(mut self, objects: &[PlannedObject]) {
        let kernel = self.kernel;
        for (object, planned) in objects.iter().enumerate() {
            if self.bench.stop.requested() {
                break;
            }
            self.send(Event::CellStarted { kernel, object });
            if super::cell::run(&mut self, object, planned).is_err() {
                break;
            }
        }
        if let Some(mut machine) = self.machine.take() {
            self.ask_for_features(&mut machine);
            machine.shut_down();
        }
    }

    /// Asks the guest for its kernel's features, if a failure of this run is about them and the store does not know them.
    fn ask_for_features(&self, machine: &mut Machine) {
        let (store, stop) = (self.bench.store, self.bench.stop);
        let Some(helpers_of) = self.wanted.helpers_of().filter(|_| !stop.requested()) else { return };
        let known = store.probe(&self.stored.identity);
        if known.is_some_and(|probe| probe.covers(Some(&helpers_of))) {
            return;
        }
        let limit = self.deadlines.boot;
        if let Err(error) = super::probe(machine, &self.stored, store, Some(helpers_of), limit, &|| stop.at_once()) {
            // Every verdict is known by now; only advice is poorer.
            self.send(Event::Notice(format!("`{}`: {error}", self.spec.name)));
        }
    }

    /// The kernel's types; `None` if its BTF cannot be read.
    fn types(&self) -> Option<&Btf> {
        let read = || Btf::parse(&std::fs::read(self.stored.btf.as_ref()?).ok()?).ok();
        self.btf.get_or_init(read).as_ref()
    }

    /// The resolved relocations of an object through which it reads something else than it thinks; none where the kernel's or
    /// the object's types cannot be read.
    pub(super) fn dangers(&self, planned: &PlannedObject, records: &[RelocationRecord]) -> Vec<DangerRecord> {
        let is_resolved = |record: &RelocationRecord| matches!(record.outcome, RelocationOutcome::Resolved { .. });
        if !records.iter().any(is_resolved) {
            return Vec::new();
        }
        let (Some(btf), Some(types)) = (self.types(), ObjectTypes::read(&planned.object.bytes)) else {
            return Vec::new();
        };
        let kernel = KernelTypes { name: &self.spec.name, btf };
        let mut found = explain::dangers(&types, planned.relocations(), kernel);
        found.retain(|(relocation, _)| records.get(*relocation).is_some_and(is_resolved));
        let record = |(relocation, difference): (usize, Danger)| {
            let field = LocalSpec::of(&types.relocations[relocation], &types.btf).map(|spec| spec.to_string());
            DangerRecord { relocation, field: field.unwrap_or_default(), words: difference.to_string(), difference }
        };
        found.into_iter().map(record).collect()
    }

    /// Whether the kernel has a type of this name; `None` if its BTF cannot be read.
    pub(super) fn type_exists(&self, name: &str) -> Option<bool> {
        let btf = self.types()?;
        let kinds = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Int];
        Some(kinds.into_iter().any(|want| btf.find(name, want).is_some()))
    }

    pub(super) fn send(&self, event: Event) {
        // The collector outlives every session; if it is gone the run has failed and says so itself.
        let _ = self.events.send(event);
    }

    /// The guest, booted if there is none.
    pub(super) fn machine(&mut self) -> Result<&mut Machine, Ended> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.boot()?,
        };
        Ok(self.machine.insert(machine))
    }

    /// Gives up the guest; the next one is booted when it is needed.
    pub(super) fn lose_machine(&mut self, reason: &str) {
        self.machine = None;
        self.send(Event::GuestLost { kernel: self.kernel, reason: reason.to_owned() });
    }

    fn boot(&self) -> Result<Machine, Ended> {
        let stop = || self.bench.stop.at_once();
        let mut attempt = 1;
        loop {
            self.send(Event::Booting { kernel: self.kernel, attempt });
            let spec = MachineSpec {
                tools: self.bench.tools,
                kernel: &self.stored,
                memory_mib: self.spec.memory_mib,
                append: &self.spec.append,
                accelerator: self.bench.accelerator,
                deadline: self.deadlines.boot,
                stop: &stop,
            };
            let failure = match Machine::boot(&spec) {
                Ok(machine) => {
                    let (took, notes) = (machine.to_hello, machine.notes.clone());
                    self.send(Event::Booted { kernel: self.kernel, took, notes });
                    return Ok(machine);
                }
                Err(failure) => failure,
            };
            let (reason, again) = match &failure {
                BootFailure::Kernel { reason, .. } => (reason, true),
                BootFailure::Harness { reason, passing, .. } => (reason, *passing),
                BootFailure::Stopped => return Err(Ended),
            };
            if attempt < BOOT_ATTEMPTS && again && !self.bench.stop.requested() {
                self.send(Event::GuestLost { kernel: self.kernel, reason: format!("boot {attempt}: {reason}") });
                attempt += 1;
                continue;
            }
            if let Some(state) = failed_state(failure, attempt, self.bench.accelerator) {
                self.send(Event::KernelFailed { kernel: self.kernel, state });
            }
            return Err(Ended);
        }
    }
}

/// Where to look for more.
const CONSOLE: &str =
    "the console's last lines are in report.json, and `append` in the manifest can make the kernel say more";

fn failed_state(failure: BootFailure, attempts: u32, accelerator: Accelerator) -> Option<KernelState> {
    let told = |reason: String| if attempts > 1 { format!("{reason} ({attempts} attempts)") } else { reason };
    match failure {
        BootFailure::Kernel { reason, console } => Some(KernelState::BootFailed {
            reason: told(reason),
            hint: Some(match accelerator {
                Accelerator::Kvm => format!("`--accel tcg` tells whether KVM is to blame; {CONSOLE}"),
                Accelerator::Tcg => CONSOLE.to_owned(),
            }),
            console_tail: console,
        }),
        BootFailure::Harness { reason, hint, console, .. } => {
            Some(KernelState::HarnessFailed { reason: told(reason), hint, console_tail: console })
        }
        BootFailure::Stopped => None,
    }
}

/// How long a guest may be silent while it opens and prepares an object: that parses the kernel's BTF.
pub(super) fn prepare_limit(deadlines: &Deadlines) -> Duration {
    deadlines.program * 2
}

//! [`KernelContext`]: what all cells of one kernel share: how its guests start, and its types.

mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::failed_boot::state_after;
use super::kernel_modules::{CellModules, KernelModules};
use super::kernel_view::StoredView;
use super::run_scope::RunScope;
use super::{RunContext, cell, feature_probe, proof_of_boot};
use crate::event::Event;
use crate::manifest::KernelSpec;
use crate::plan::PlannedObject;
use crate::store::{ProofOfBoot, Shelf, Snapshot, StoredKernel};
use crate::vm::{self, BootFailure, Deadlines, GuestFile, GuestLink, GuestShape, Machine, MachineSpec};

/// A boot that fails is tried once more: an emulator's hiccup must not be taken for the kernel's fault.
const BOOT_ATTEMPTS: u32 = 2;

/// The kernel is out of the run, and has said why; or the user stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// How guests of a kernel start.
#[derive(Debug, Clone, Default)]
enum Start {
    /// Not known yet.
    #[default]
    Unknown,
    /// From this snapshot.
    Warm(Arc<Snapshot>),
    /// By booting.
    Cold,
    /// Not at all.
    Never,
}

/// What all cells of one kernel share. Dropping it says that the kernel is done.
pub(super) struct KernelContext<'a> {
    pub(super) run: &'a RunContext<'a>,
    /// The kernel's index in the plan.
    pub(super) index: usize,
    pub(super) spec: &'a KernelSpec,
    pub(super) deadlines: Deadlines,
    pub(super) stored: StoredKernel,
    /// The loaders that its guests have.
    files: Vec<GuestFile>,
    /// The shape of its guests, unless an object needs another.
    pub(super) standard: GuestShape,
    starts: Mutex<BTreeMap<GuestShape, Start>>,
    /// What the restored guests' generators of random numbers gave.
    drawn: Mutex<BTreeSet<u64>>,
    /// What the store knows of the kernel.
    view: StoredView<'a>,
    /// What modules it has.
    pub(super) modules: KernelModules<'a>,
    /// What the kernel lacks, by its config and by what is active in it; known from the first guest on.
    lacks: OnceLock<Vec<String>>,
    pub(super) common: &'a RunScope,
    events: Sender<Event>,
}

impl<'a> KernelContext<'a> {
    pub(super) fn new(
        run: &'a RunContext<'a>,
        index: usize,
        stored: StoredKernel,
        common: &'a RunScope,
        events: Sender<Event>,
    ) -> Self {
        let spec = &run.plan.kernels[index];
        let deadlines = Deadlines::scaled(spec.boot_timeout, spec.program_timeout, run.accelerator);
        let (starts, drawn, lacks) = (Mutex::default(), Mutex::default(), OnceLock::new());
        let view = StoredView::of_run(run, index, stored.clone(), events.clone());
        let modules = KernelModules::of_run(run, index, stored.clone(), events.clone());
        let files = cell::loader_files(run.plan);
        KernelContext {
            run,
            index,
            spec,
            deadlines,
            stored,
            files,
            standard: GuestShape::of(spec),
            starts,
            drawn,
            view,
            modules,
            lacks,
            common,
            events,
        }
    }

    /// What the store knows of the kernel.
    pub(super) fn view(&self) -> &StoredView<'a> {
        &self.view
    }

    /// The modules that the guest of an object, an index, loads.
    pub(super) fn modules_of(&self, object: usize, planned: &PlannedObject) -> CellModules {
        let names = self.common.subjects.names(object, planned, self.run.reach);
        names.map(|names| self.modules.of_cell(names, &self.view)).unwrap_or_default()
    }

    pub(super) fn send(&self, event: Event) {
        // The collector outlives every session; if it is gone the run has failed and says so itself.
        let _ = self.events.send(event);
    }

    /// Asks a guest for its kernel's features, if a failure of this run is about them and the store does not know them.
    pub(super) fn ask_for_features(&self, machine: &mut dyn GuestLink) {
        let (store, stop) = (self.run.store, self.run.stop);
        let Some(helpers_of) = self.common.wanted.helpers_of().filter(|_| !stop.requested()) else { return };
        if feature_probe::knows(self.run, &self.stored, &helpers_of) {
            return;
        }
        let limit = self.deadlines.boot;
        if let Err(error) =
            feature_probe::probe(machine, &self.stored, store, Some(helpers_of), limit, &|| stop.at_once())
        {
            // Every verdict is known by now; only advice is poorer.
            self.send(Event::Notice(format!("`{}`: {error}", self.spec.name)));
        }
    }

    /// Whether each cell gets a guest of its own.
    pub(super) fn is_warm(&self, shape: &GuestShape) -> bool {
        matches!(self.start(shape), Start::Warm(_))
    }

    fn start(&self, shape: &GuestShape) -> Start {
        self.lock_starts().get(shape).cloned().unwrap_or_default()
    }

    fn lock_starts(&self) -> MutexGuard<'_, BTreeMap<GuestShape, Start>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_start(&self, shape: &GuestShape, start: Start) {
        self.lock_starts().insert(shape.clone(), start);
    }

    /// A fresh guest of this shape, as soon as there is room for it; if there is none, one like the kernel's other guests.
    pub(super) fn machine(&self, shape: &GuestShape) -> Result<Machine, Ended> {
        let is_restored = matches!(self.start(shape), Start::Warm(_));
        let room = self.run.jobs.room_for(shape, is_restored, &|| self.run.stop.requested()).ok_or(Ended)?;
        let mut machine = self.start_machine(shape)?;
        machine.room = Some(Box::new(room));
        Ok(machine)
    }

    /// The first call decides how the others start.
    fn start_machine(&self, shape: &GuestShape) -> Result<Machine, Ended> {
        match self.start(shape) {
            Start::Unknown => self.first_machine(shape),
            Start::Warm(snapshot) => self.restore(shape, snapshot, None),
            Start::Cold => self.boot(shape, Purpose::Serve),
            Start::Never if *shape != self.standard => self.start_machine(&self.standard),
            Start::Never => Err(Ended),
        }
    }

    fn first_machine(&self, shape: &GuestShape) -> Result<Machine, Ended> {
        if self.run.cold {
            self.set_start(shape, Start::Cold);
            return self.boot(shape, Purpose::Serve);
        }
        if let Some(reason) = self.run.tools.cannot_snapshot() {
            self.run_cold(shape, &reason);
            return self.boot(shape, Purpose::Serve);
        }
        match self.find_snapshot(shape) {
            Ok(Shelf::Sound(snapshot)) => self.restore(shape, Arc::new(snapshot), None),
            Ok(Shelf::Empty(place)) => match self.run.store.failed_snapshots(place.key()) {
                Some(why) => {
                    let way_out = "`corematrix store clear` allows a new attempt";
                    self.run_cold(
                        shape,
                        &format!(
                            "its snapshots could not be restored in earlier runs: {why}; \
    {way_out}"
                        ),
                    );
                    self.boot(shape, Purpose::Serve)
                }
                None => self.boot_and_save(shape, place),
            },
            // It waited for another run.
            Err(_) if self.run.stop.requested() => Err(Ended),
            Err(reason) => {
                self.run_cold(shape, &reason);
                self.boot(shape, Purpose::Serve)
            }
        }
    }

    /// What the kernel lacks, if the store knows what is active in its guests.
    pub(super) fn known_lacks(&self) -> &[String] {
        if self.lacks.get().is_none()
            && let Some(proof) = self.run.store.proof(&self.stored.identity, &self.standard.append)
        {
            let _ = self.lacks.set(self.lacks_by(&proof));
        }
        self.lacks.get().map_or(&[], Vec::as_slice)
    }

    fn lacks_by(&self, proof: &ProofOfBoot) -> Vec<String> {
        vm::config_notes(&self.stored).into_iter().chain(proof.facts.notes()).collect()
    }

    /// Adds what the kernel lacks to the guest's notes. The first guest reports what is active in it, unless the store knows.
    fn proven(&self, mut machine: Machine, spec: &MachineSpec<'_>) -> Result<Machine, BootFailure> {
        if self.lacks.get().is_none() {
            let store = self.run.store;
            let proof = match store.proof(&self.stored.identity, &spec.shape.append) {
                Some(proof) => proof,
                None => proof_of_boot::prove(&mut machine, spec, store)?,
            };
            // Another worker may have been faster, with the same.
            let _ = self.lacks.set(self.lacks_by(&proof));
        }
        machine.notes.extend(self.lacks.get().into_iter().flatten().cloned());
        Ok(machine)
    }

    fn run_cold(&self, shape: &GuestShape, reason: &str) {
        if self.go_cold(shape) {
            self.note(format!("runs cold: {reason}"));
        }
    }

    /// Lets all further guests boot. Returns whether they would not have anyway: workers find out the same at once.
    fn go_cold(&self, shape: &GuestShape) -> bool {
        !matches!(self.lock_starts().insert(shape.clone(), Start::Cold), Some(Start::Cold))
    }

    fn note(&self, line: String) {
        self.send(Event::KernelNote { kernel: self.index, note: line });
    }

    pub(super) fn machine_spec<'s>(
        &'s self,
        shape: &'s GuestShape,
        stop: &'s (dyn Fn() -> bool + Sync),
    ) -> MachineSpec<'s> {
        let kernel = (self.index, &self.stored);
        MachineSpec { files: &self.files, ..super::machine_spec(self.run, kernel, shape, stop) }
    }

    fn boot(&self, shape: &GuestShape, purpose: Purpose) -> Result<Machine, Ended> {
        let stop = || self.run.stop.at_once();
        let mut attempt = 1;
        loop {
            self.send(Event::Booting { kernel: self.index, attempt });
            // The first try may have failed in silence; the second one shall log more.
            let spec = MachineSpec { talkative: attempt > 1, ..self.machine_spec(shape, &stop) };
            let booted = match purpose {
                Purpose::Serve => Machine::boot(&spec).and_then(|machine| self.proven(machine, &spec)),
                // The first guest that is restored reports what is active: looking costs the kernel memory, up to 11 MiB, which
                // would be in the snapshot.
                Purpose::Save => Machine::boot_to_snapshot(&spec),
            };
            let failure = match booted {
                Ok(machine) => {
                    let (took, notes) = (machine.to_hello, machine.notes.clone());
                    self.send(Event::Booted { kernel: self.index, took, notes });
                    return Ok(machine);
                }
                Err(failure) => failure,
            };
            let again = match &failure {
                BootFailure::Kernel { .. } => true,
                BootFailure::Harness { passing, .. } => *passing,
                BootFailure::Unfit { .. } => false,
                BootFailure::Stopped => return Err(Ended),
            };
            if attempt < BOOT_ATTEMPTS && again && !self.run.stop.requested() {
                let reason = format!("boot {attempt}: {}", failure.reason());
                self.send(Event::GuestLost { kernel: self.index, reason });
                attempt += 1;
                continue;
            }
            if *shape != self.standard {
                // That does not show anything about the kernel.
                self.set_start(shape, Start::Never);
                let wanted = shape.beside(&self.standard);
                self.note(format!("no guest with {wanted} could be started: {}", failure.reason()));
                return self.start_machine(&self.standard);
            }
            if let Some(state) = state_after(failure, attempt, self.run.accelerator) {
                self.set_start(shape, Start::Never);
                self.send(Event::KernelFailed { kernel: self.index, state });
            }
            return Err(Ended);
        }
    }
}

/// What a guest is booted for.
#[derive(Clone, Copy)]
enum Purpose {
    /// To judge objects.
    Serve,
    /// To be saved as a snapshot.
    Save,
}

impl Drop for KernelContext<'_> {
    fn drop(&mut self) {
        self.send(Event::KernelDone { kernel: self.index });
    }
}

//! [`Session`]: a worker's stay with one kernel: load objects, replace a guest that dies.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::arrangement::{self, arrange, shortcoming};
use super::cell_view::CellView;
use super::kernel::{Ended, KernelContext};
use super::kernel_modules::CellModules;
use super::probe_requests::ProbeRequests;
use super::trial::{Kept, Trial};
use super::{Isolation, RunContext};
use crate::event::{CellOutcome, Event};
use crate::explain::KernelTypes;
use crate::manifest::KernelSpec;
use crate::object::btf::ModuleNames;
use crate::plan::{CellMachine, PlannedObject, Room};
use crate::predict::{PredictedTypes, Prediction};
use crate::protocol::machine::MachineFacts;
use crate::record::{MachineRecord, MachineSettings, ProgramRecord};
use crate::vm::{Deadlines, GuestLink, GuestLoss, GuestShape, Machine};

/// A worker's stay with one kernel. It has at most one guest at a time.
pub(super) struct Session<'a> {
    pub(super) run: &'a RunContext<'a>,
    pub(super) kernel: usize,
    pub(super) deadlines: Deadlines,
    /// What kernels are requested at the end.
    pub(super) wanted: &'a ProbeRequests,
    pub(super) shared: Arc<KernelContext<'a>>,
    machine: Option<Box<dyn GuestLink + Send>>,
    start: Start<'a>,
    /// What the guest shall be like.
    shape: GuestShape,
    /// The modules of the cell.
    pub(super) modules: CellModules,
    /// What the cell wants of its machine.
    machine_wanted: CellMachine,
    /// What the guest's machine is like, once it was arranged.
    facts: Option<MachineFacts>,
    /// How many guests were started.
    guests: usize,
    /// Whether the guest is still at work on a cell that is no longer waited for.
    is_busy: bool,
    /// The outcome of a cell that is judged on trial.
    trial: RefCell<Option<Trial>>,
}

/// Starts another guest, of this shape.
pub(super) type Start<'a> = Box<dyn FnMut(&GuestShape) -> Result<Box<dyn GuestLink + Send>, Ended> + Send + 'a>;

impl<'a> Session<'a> {
    pub(super) fn new(shared: Arc<KernelContext<'a>>, machine: Option<Machine>) -> Self {
        let context = Arc::clone(&shared);
        let start = move |shape: &GuestShape| {
            context.machine(shape).map(|machine| Box::new(machine) as Box<dyn GuestLink + Send>)
        };
        Session { machine: machine.map(|machine| Box::new(machine) as _), ..Session::with(shared, Box::new(start)) }
    }

    /// A stay with guests that are started so.
    pub(super) fn with(shared: Arc<KernelContext<'a>>, start: Start<'a>) -> Self {
        let (run, kernel, deadlines, wanted) = (shared.run, shared.index, shared.deadlines, &shared.common.wanted);
        let shape = shared.standard.clone();
        let machine_wanted = CellMachine::of(shared.spec, &MachineSettings::default());
        let deadlines = deadlines.with_cpus(machine_wanted.cpus, run.accelerator);
        Session {
            run,
            kernel,
            deadlines,
            wanted,
            shared,
            machine: None,
            start,
            shape,
            modules: CellModules::default(),
            machine_wanted,
            facts: None,
            guests: 0,
            is_busy: false,
            trial: RefCell::new(None),
        }
    }

    /// What BTF predicts for an object; `None` if they or the object cannot be read.
    pub(super) fn predict(&self, object: usize, planned: &PlannedObject) -> Option<Prediction> {
        let target = self.view().target()?.into_owned();
        let types = PredictedTypes { target, names: ModuleNames::default() };
        self.shared.common.subjects.predict(object, planned, (&types, self.view().release_name())).ok()
    }

    /// Runs some of the plan's objects, given by their indexes.
    pub(super) fn run(mut self, objects: &[usize]) {
        let (run, kernel) = (self.run, self.kernel);
        for object in objects {
            if self.run.stop.requested() {
                break;
            }
            self.send(Event::CellStarted { kernel, object: *object });
            if super::cell::run(&mut self, *object, &run.plan.objects[*object]).is_err() {
                break;
            }
            if self.is_warm() {
                // The next object gets a guest that has seen nothing. Messages of this one are no longer read.
                self.machine = None;
            }
        }
        if let Some(mut machine) = self.machine.take() {
            // What settings forbid is no lack of the kernel's.
            if self.machine_wanted.profiles.is_empty() {
                self.shared.ask_for_features(&mut *machine);
            }
            machine.shut_down();
        }
    }

    /// The kernel's types; `None` if its BTF cannot be read.
    pub(super) fn types(&self) -> Option<KernelTypes<'_>> {
        Some(KernelTypes { name: &self.shared.spec.name, btf: self.view().types()?, booted: true, modules: None })
    }

    /// What is known about the kernel as the cell has it.
    pub(super) fn view(&self) -> CellView<'_, 'a> {
        CellView { stored: self.shared.view(), modules: &self.modules }
    }

    pub(super) fn send(&self, event: Event) {
        match &mut *self.trial.borrow_mut() {
            Some(trial) => trial.events.push(event),
            None => self.shared.send(event),
        }
    }

    /// From now on no result of the cell is reported or kept.
    pub(super) fn begin_trial(&self) {
        *self.trial.borrow_mut() = Some(Trial::default());
    }

    /// Whether the cell is judged on trial.
    pub(super) fn is_trial(&self) -> bool {
        self.trial.borrow().is_some()
    }

    /// The outcome of the cell since the trial began.
    pub(super) fn end_trial(&self) -> Trial {
        self.trial.borrow_mut().take().unwrap_or_default()
    }

    /// Reports and keeps the outcome of a cell that was judged on trial.
    pub(super) fn accept(&self, trial: Trial) {
        trial.events.into_iter().for_each(|event| self.send(event));
        if let Some(Kept { object, programs, outcome }) = trial.kept {
            self.shared.keep(object, &programs, &outcome, Isolation::Shared);
        }
    }

    /// Whether guests like that of the session are restored.
    pub(super) fn is_warm(&self) -> bool {
        self.shared.is_warm(&self.shape)
    }

    /// Keeps what became of a cell for later runs, if its guest had seen nothing else, or is going to prove that this made no difference.
    pub(super) fn keep(&self, object: usize, programs: &[ProgramRecord], outcome: &CellOutcome) {
        match &mut *self.trial.borrow_mut() {
            Some(trial) => {
                let (programs, outcome) = (programs.to_vec(), outcome.clone());
                trial.kept = Some(Kept { object, programs, outcome });
            }
            None if self.is_warm() => self.shared.keep(object, programs, outcome, Isolation::Cell),
            None => {}
        }
    }

    /// Decides about the guest of an object. If the one that is there has another shape, it goes.
    pub(super) fn make_room(&mut self, object: usize, planned: &PlannedObject) -> Room {
        self.modules = self.shared.modules_of(object, planned);
        let wanted = planned.machine_on(self.shared.spec);
        let room = Room::of(planned, wanted.cpus, wanted.memory_mib, self.run.jobs.largest_mib());
        let modules = self.modules.files.clone();
        let shape = GuestShape { modules, ..shape_of(self.shared.spec, &wanted, room.mib) };
        // Not every sysctl can be set back.
        if shape != self.shape || wanted.sysctls != self.machine_wanted.sysctls {
            if let Some(mut machine) = self.machine.take() {
                machine.shut_down();
            }
            self.shape = shape;
        }
        if wanted.cpus != self.machine_wanted.cpus {
            self.deadlines = self.shared.deadlines.with_cpus(wanted.cpus, self.run.accelerator);
        }
        self.machine_wanted = wanted;
        room
    }

    /// The guest, started if there is none.
    pub(super) fn machine(&mut self) -> Result<&mut dyn GuestLink, Ended> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => {
                self.facts = None;
                self.guests += 1;
                (self.start)(&self.shape)?
            }
        };
        if self.modules.loads.is_empty() && !self.modules.files.is_empty() {
            self.modules.observe(machine.modules());
        }
        Ok(&mut **self.machine.insert(machine))
    }

    /// Sets what the machine needs beyond its boot, once for each guest. The inner error is why the guest is lost.
    pub(super) fn arrange(&mut self, limit: Duration) -> Result<Result<(), GuestLoss>, Ended> {
        let wanted = self.machine_wanted.clone();
        if wanted.is_plain() || self.facts.is_some() || shortcoming(&wanted, self.machine()?.shape(), None).is_some() {
            return Ok(Ok(()));
        }
        let stop = self.run.stop;
        Ok(arrange(self.machine()?, &wanted.sysctls, limit, &|| stop.at_once()).map(|facts| self.facts = Some(facts)))
    }

    /// Why the machine is not as the cell wants it, if so.
    pub(super) fn shortcoming(&mut self) -> Result<Option<String>, Ended> {
        let (wanted, facts) = (self.machine_wanted.clone(), self.facts.clone());
        Ok(shortcoming(&wanted, self.machine()?.shape(), facts.as_ref()))
    }

    /// What the machine is like.
    pub(super) fn machine_record(&mut self) -> Result<MachineRecord, Ended> {
        let (wanted, facts) = (self.machine_wanted.clone(), self.facts.clone());
        Ok(arrangement::record(&wanted, self.machine()?.shape(), facts.as_ref()))
    }

    /// What the cell wants of its machine.
    pub(super) fn wanted_machine(&self) -> &CellMachine {
        &self.machine_wanted
    }

    /// Leaves the guest to its work.
    pub(super) fn abandon(&mut self) {
        self.is_busy = true;
    }

    /// Whether the guest is still at work on a cell that was abandoned.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Ends the guest; the next one is started when it is needed.
    pub(super) fn end_machine(&mut self) {
        (self.machine, self.is_busy) = (None, false);
    }

    /// How many guests were started.
    pub(super) fn guests_started(&self) -> usize {
        self.guests
    }

    /// Whether there is a guest.
    pub(super) fn has_machine(&self) -> bool {
        self.machine.is_some()
    }

    /// Gives up the guest; the next one is started when it is needed.
    pub(super) fn lose_machine(&mut self, reason: &str) {
        self.machine = None;
        self.send(Event::GuestLost { kernel: self.kernel, reason: reason.to_owned() });
    }
}

/// What a guest boots with for a cell.
pub(super) fn shape_of(spec: &KernelSpec, wanted: &CellMachine, memory_mib: u64) -> GuestShape {
    GuestShape {
        memory_mib,
        cpus: wanted.cpus,
        numa_nodes: wanted.numa_nodes,
        append: spec.append.iter().chain(&wanted.boot).cloned().collect(),
        modules: Vec::new(),
    }
}

/// How long a guest may be silent while it opens and prepares an object: that parses the kernel's BTF.
pub(super) fn prepare_limit(deadlines: &Deadlines) -> Duration {
    deadlines.program * 2
}

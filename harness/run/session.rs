//! [`Session`]: a worker's stay with one kernel: load objects, replace a guest that dies.

use std::sync::Arc;
use std::time::Duration;

use super::cell_view::CellView;
use super::jobs::Extra;
use super::kernel::{Ended, KernelContext};
use super::kernel_modules::CellModules;
use super::{ProbeRequests, RunContext};
use crate::event::Event;
use crate::explain::KernelTypes;
use crate::plan::{PlannedObject, Room};
use crate::predict::Prediction;
use crate::vm::{Deadlines, GuestLink, GuestShape, Machine};

/// A worker's stay with one kernel. It has at most one guest at a time.
pub(super) struct Session<'a> {
    pub(super) run: &'a RunContext<'a>,
    pub(super) kernel: usize,
    pub(super) deadlines: Deadlines,
    /// What kernels are asked for at the end.
    pub(super) wanted: &'a ProbeRequests,
    shared: Arc<KernelContext<'a>>,
    machine: Option<Box<dyn GuestLink + Send>>,
    start: Start<'a>,
    /// What the guest shall be like.
    shape: GuestShape,
    /// The modules of the cell.
    pub(super) modules: CellModules,
    /// The room for a guest that is larger than the others.
    extra: Option<Extra<'a>>,
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
        let (run, kernel, deadlines, wanted) = (shared.run, shared.index, shared.deadlines, shared.wanted);
        let shape = shared.standard.clone();
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
            extra: None,
        }
    }

    /// What the kernel's types say of an object; `None` if they or the object cannot be read.
    pub(super) fn predict(&self, object: usize, planned: &PlannedObject) -> Option<Prediction> {
        let kernel = (self.view().target()?, self.view().release_name());
        self.shared.subjects.predict(object, planned, (&kernel.0, kernel.1)).ok()
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
            if self.shared.is_warm(&self.shape) {
                // The next object gets a guest that has seen nothing. This one has nothing to say any more.
                self.machine = None;
            }
        }
        if let Some(mut machine) = self.machine.take() {
            self.shared.ask_for_features(&mut *machine);
            machine.shut_down();
        }
    }

    /// The kernel's types; `None` if its BTF cannot be read.
    pub(super) fn types(&self) -> Option<KernelTypes<'_>> {
        Some(KernelTypes { name: &self.shared.spec.name, btf: self.view().types()?, booted: true })
    }

    /// What is known of the kernel as the cell has it.
    pub(super) fn view(&self) -> CellView<'_, 'a> {
        CellView { stored: self.shared.view(), modules: &self.modules }
    }

    pub(super) fn send(&self, event: Event) {
        self.shared.send(event);
    }

    /// Decides about the guest of an object. If the one that is there has another shape, it goes.
    pub(super) fn make_room(&mut self, object: usize, planned: &PlannedObject) -> Room {
        self.modules = self.shared.modules_of(object, planned);
        let standard = &self.shared.standard;
        let room = Room::of(planned, standard.memory_mib, self.run.jobs.largest_mib());
        let modules = self.modules.files.clone();
        let shape = GuestShape { memory_mib: room.mib, modules, ..standard.clone() };
        if shape != self.shape {
            if let Some(mut machine) = self.machine.take() {
                machine.shut_down();
            }
            self.extra = None;
            self.shape = shape;
        }
        room
    }

    /// The guest, started if there is none.
    pub(super) fn machine(&mut self) -> Result<&mut dyn GuestLink, Ended> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => {
                if self.extra.is_none() {
                    let stop = || self.run.stop.requested();
                    self.extra = Some(self.run.jobs.room_for(self.shape.memory_mib, &stop).ok_or(Ended)?);
                }
                (self.start)(&self.shape)?
            }
        };
        if self.modules.loads.is_empty() && !self.modules.files.is_empty() {
            self.modules.observe(machine.modules());
        }
        Ok(&mut **self.machine.insert(machine))
    }

    /// Gives up the guest; the next one is started when it is needed.
    pub(super) fn lose_machine(&mut self, reason: &str) {
        self.machine = None;
        self.send(Event::GuestLost { kernel: self.kernel, reason: reason.to_owned() });
    }
}

/// How long a guest may be silent while it opens and prepares an object: that parses the kernel's BTF.
pub(super) fn prepare_limit(deadlines: &Deadlines) -> Duration {
    deadlines.program * 2
}

//! [`Session`]: a worker's stay with one kernel: load objects, replace a guest that dies.

use std::sync::Arc;
use std::time::Duration;

use super::Bench;
use super::kernel::{Ended, KernelContext};
use crate::event::Event;
use crate::explain::{self, Danger, KernelTypes, LocalSpec};
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, Want};
use crate::plan::PlannedObject;
use crate::record::DangerRecord;
use crate::relocation::{RelocationOutcome, RelocationRecord};
use crate::vm::{Deadlines, Machine};

/// A worker's stay with one kernel. It has at most one guest at a time.
pub(super) struct Session<'a> {
    pub(super) bench: &'a Bench<'a>,
    pub(super) kernel: usize,
    pub(super) deadlines: Deadlines,
    shared: Arc<KernelContext<'a>>,
    machine: Option<Machine>,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: Arc<KernelContext<'a>>, machine: Option<Machine>) -> Self {
        let (bench, kernel, deadlines) = (shared.bench, shared.index, shared.deadlines);
        Session { bench, kernel, deadlines, shared, machine }
    }

    /// Runs some of the plan's objects, given by their indexes.
    pub(super) fn run(mut self, objects: &[usize]) {
        let (bench, kernel) = (self.bench, self.kernel);
        for object in objects {
            if self.bench.stop.requested() {
                break;
            }
            self.send(Event::CellStarted { kernel, object: *object });
            if super::cell::run(&mut self, *object, &bench.plan.objects[*object]).is_err() {
                break;
            }
            if self.shared.is_warm() {
                // The next object gets a guest that has seen nothing. This one has nothing to say any more.
                self.machine = None;
            }
        }
        if let Some(machine) = self.machine.take() {
            machine.shut_down();
        }
    }

    /// The kernel's types; `None` if its BTF cannot be read.
    fn types(&self) -> Option<&Btf> {
        self.shared.types()
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
        let kernel = KernelTypes { name: &self.shared.spec.name, btf };
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
        self.shared.send(event);
    }

    /// The guest, started if there is none.
    pub(super) fn machine(&mut self) -> Result<&mut Machine, Ended> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.shared.machine()?,
        };
        Ok(self.machine.insert(machine))
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

//! [`start_guest`]: one guest of a kernel that can run commands of the user.

use std::sync::mpsc::Sender;

use super::arrangement::arranged;
use super::kernel::{Ended, KernelContext};
use super::kernel_modules::CellModules;
use super::run_scope::RunScope;
use super::wanted_names::WantedNames;
use super::{RunContext, fetch, fetch_failed};
use crate::event::Event;
use crate::record::KernelState;
use crate::source::FileSystems;
use crate::store::StoredKernel;
use crate::vm::{GuestShape, Machine};

/// A guest, and what it needs to show the host's files.
#[derive(Debug)]
pub struct Guest {
    /// The guest.
    pub machine: Machine,
    /// Its modules.
    pub file_systems: FileSystems,
}

/// Starts a guest of a kernel of the plan, in the fastest way there is. `None` if there is none, or the user stopped it: the events say
/// why. The guest lives as long as the calling thread.
pub fn start_guest(run: &RunContext<'_>, kernel: usize, events: &Sender<Event>) -> Option<Guest> {
    let stored = match fetch(run, kernel, events) {
        Ok(stored) => stored,
        Err(error) => {
            fetch_failed(kernel, &error, events);
            return None;
        }
    };
    let file_systems = file_systems(run, kernel, &stored, events);
    let common = RunScope::of_guests();
    let context = KernelContext::new(run, kernel, stored, &common, events.clone());
    match context.command_machine().ok()? {
        Ok((mut machine, modules)) => {
            if let Err(reason) = arranged(&mut machine, &context) {
                let state = KernelState::HarnessFailed { reason, hint: None, console_tail: Vec::new() };
                context.send(Event::KernelFailed { kernel, state });
                return None;
            }
            for note in modules.notes.into_iter().chain(modules.reasons.into_iter().map(refused)) {
                context.send(Event::KernelNote { kernel, note });
            }
            Some(Guest { machine, file_systems })
        }
        Err(reason) => {
            context.send(Event::KernelFailed { kernel, state: KernelState::Unavailable { reason, hint: None } });
            None
        }
    }
}

impl KernelContext<'_> {
    /// A guest for a command of the user, with the modules that were asked for by name, and what became of them.
    ///
    /// # Errors
    /// Why they are unavailable, if it is that; as a lowercase fragment.
    pub(super) fn command_machine(&self) -> Result<Result<(Machine, CellModules), String>, Ended> {
        let mut modules = self.modules.of_cell(&WantedNames::default(), self.view());
        if let Some(impossible) = modules.impossible {
            return Ok(Err(impossible));
        }
        let shape = GuestShape { modules: modules.files.clone(), ..self.standard.clone() };
        let machine = self.machine(&shape)?;
        modules.observe(&machine.modules);
        Ok(Ok((machine, modules)))
    }
}

/// A module that is not loaded, and why.
pub(super) fn refused((module, why): (String, String)) -> String {
    format!("module `{module}` is not loaded: {why}")
}

/// The modules that the kernel needs to show the host's files.
pub(super) fn file_systems(
    run: &RunContext<'_>,
    kernel: usize,
    stored: &StoredKernel,
    events: &Sender<Event>,
) -> FileSystems {
    let step = |step: String| {
        let _ = events.send(Event::Fetching { kernel, step });
    };
    let spec = &run.plan.kernels[kernel];
    let found = run.store.file_systems(spec, stored, run.lock, run.offline, &step);
    let found = found.unwrap_or_else(|error| FileSystems { trouble: Some(error.reason()), ..FileSystems::default() });
    if let Some(trouble) = &found.trouble {
        let note = format!("modules for the file systems of commands cannot be fetched: {trouble}");
        let _ = events.send(Event::KernelNote { kernel, note });
    }
    found
}

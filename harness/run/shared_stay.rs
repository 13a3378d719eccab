//! [`SharedStay`]: a worker's stay with one kernel whose objects share guests.
//!
//! Of a restored guest the first object is judged as in a guest of its own. Before each further object the guest has to be as it was
//! before the first one, or it is replaced. Every later object is on trial: only what passes may count, or fails as BTF predicts
//! ([`certain_failure`](super::certain_failure)), and only after the guest has given the right answers to a question that it cannot know ([`canary`]).
//! That question is asked when outcomes have been held back for a while, and before the guest ends.
//! Anything else is judged again in a guest of its own. So nothing is ever red for what another object has done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::kernel::Ended;
use super::leftovers::leftover;
use super::session::{Session, prepare_limit};
use super::trial::Trial;
use super::{canary, cell};
use crate::event::Event;
use crate::protocol::residue::GuestState;
use crate::protocol::{GuestMessage, HostMessage};
use crate::vm::GuestLink;

/// Objects that a guest serves at most. A guest that is not to be trusted costs as many cells.
const MOST_SERVED: usize = 32;
/// So few objects are not worth another guest while other kernels need the processors.
const FEW: usize = 4;
/// Outcomes that are held back for longer are reported when the object that is being judged is done: who stops the run loses what is held back.
const HELD: Duration = Duration::from_secs(1);
/// How long the kernel may take to free what an object had.
const SETTLING: Duration = Duration::from_millis(500);
/// The first pause until the guest is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

/// The objects of a kernel that share guests, by their indexes.
pub(super) struct SharedObjects(Mutex<VecDeque<usize>>);

impl SharedObjects {
    pub(super) fn new(objects: Vec<usize>) -> SharedObjects {
        SharedObjects(Mutex::new(objects.into()))
    }

    /// How many guests it is worth to start for them, if the kernel has so many workers for itself.
    pub(super) fn guests(&self, workers: usize) -> usize {
        self.with(|objects| objects.len().div_ceil(FEW).max(workers.min(objects.len())))
    }

    /// The next object for a guest that has seen nothing yet, or for one that has seen others. What is known to fail needs a guest of its
    /// own anyway.
    fn next(&self, is_new: bool, fails: impl Fn(usize) -> bool) -> Option<usize> {
        self.with(|objects| {
            let fitting = objects.iter().position(|object| fails(*object) == is_new);
            objects.remove(fitting.unwrap_or_default())
        })
    }

    fn rest(&self) -> Vec<usize> {
        self.with(|objects| objects.drain(..).collect())
    }

    fn is_empty(&self) -> bool {
        self.with(|objects| objects.is_empty())
    }

    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<usize>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A worker's stay with one kernel.
pub(super) struct SharedStay<'a> {
    session: Session<'a>,
    objects: Arc<SharedObjects>,
    /// What the guest was like before its first object; `None` if no one has looked, or could.
    pristine: Option<GuestState>,
    /// Objects that the guest has seen.
    served: usize,
    /// The outcome of objects in this guest that is not reported yet, and since when the first one is held back.
    held: Vec<(usize, Trial)>,
    held_since: Instant,
}

impl<'a> SharedStay<'a> {
    pub(super) fn new(session: Session<'a>, objects: Arc<SharedObjects>) -> SharedStay<'a> {
        SharedStay { session, objects, pristine: None, served: 0, held: Vec::new(), held_since: Instant::now() }
    }

    /// Judges objects until there are none left, or the user wants to stop.
    pub(super) fn run(mut self) {
        while !self.session.run.stop.requested() {
            let known = &self.session.shared.common.failed;
            let Some(object) = self.objects.next(self.served == 0, |object| known.has(object)) else { break };
            if self.served == 0 {
                if self.session.machine().is_err() {
                    return;
                }
                if !self.session.is_warm() {
                    // Another guest would cost a boot.
                    let rest: Vec<usize> = std::iter::once(object).chain(self.objects.rest()).collect();
                    return self.session.run(&rest);
                }
            }
            if self.judge(object).is_err() {
                return;
            }
        }
        // The kernel has said itself why it is out of the run, if so.
        let _ = self.change_guest();
    }

    fn judge(&mut self, object: usize) -> Result<(), Ended> {
        let is_fit = (1..MOST_SERVED).contains(&self.served) && !self.session.shared.common.failed.has(object);
        if is_fit && self.leftover().is_none() && self.on_trial(object)? {
            if self.held_since.elapsed() > HELD {
                self.report_held()?;
            }
            return Ok(());
        }
        self.change_guest()?;
        self.in_own_guest(object)
    }

    /// Judges an object in a guest that has seen others. Returns whether the outcome of it may count.
    fn on_trial(&mut self, object: usize) -> Result<bool, Ended> {
        let run = self.session.run;
        let planned = &run.plan.objects[object];
        // So that who looks on sees what takes time; it may come once more.
        self.session.send(Event::CellStarted { kernel: self.session.kernel, object });
        self.session.begin_trial();
        let ended = cell::run(&mut self.session, object, planned);
        let trial = self.session.end_trial();
        let is_certain = ended?;
        let expected = planned.cell(self.session.shared.spec);
        let is_sound = is_certain && trial.is_sound(planned, expected, &run.accelerator.to_string());
        if is_sound {
            if self.held.is_empty() {
                self.held_since = Instant::now();
            }
            self.held.push((object, trial));
            self.served += 1;
        }
        Ok(is_sound)
    }

    /// Judges an object in a guest that has seen nothing.
    fn in_own_guest(&mut self, object: usize) -> Result<(), Ended> {
        if !self.objects.is_empty() {
            let (limit, stop) = (prepare_limit(&self.session.deadlines), self.session.run.stop);
            self.pristine = state(self.session.machine()?, limit, &|| stop.at_once()).ok();
        }
        let guests = self.session.guests_started();
        self.session.send(Event::CellStarted { kernel: self.session.kernel, object });
        let run = self.session.run;
        cell::run(&mut self.session, object, &run.plan.objects[object])?;
        self.served = 1;
        if self.session.guests_started() != guests {
            // No one knows what the guest that took its place was like.
            self.pristine = None;
        }
        Ok(())
    }

    /// What is left of the objects that the guest has seen; `None` if nothing is.
    fn leftover(&mut self) -> Option<String> {
        let Some(pristine) = &self.pristine else { return Some("what the guest was like is unknown".to_owned()) };
        let (limit, stop) = (prepare_limit(&self.session.deadlines), self.session.run.stop);
        let (begin, mut pause) = (Instant::now(), PAUSE);
        if !self.session.has_machine() {
            return Some("the guest is gone".to_owned());
        }
        loop {
            let Ok(machine) = self.session.machine() else { return Some("the guest is gone".to_owned()) };
            let left = match state(machine, limit, &|| stop.at_once()) {
                Ok(now) => leftover(pristine, &now)?,
                Err(reason) => return Some(reason),
            };
            if begin.elapsed() > SETTLING {
                return Some(left);
            }
            // The kernel frees in its own time.
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    /// Reports what the guest has judged if it can be trusted; else judges it again, each object in a guest of its own.
    fn report_held(&mut self) -> Result<(), Ended> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        let (limit, stop) = (prepare_limit(&self.session.deadlines), self.session.run.stop);
        let is_busy = self.session.is_busy();
        let answer = canary::ask(self.session.machine()?, is_busy, limit, &|| stop.at_once());
        if answer.is_ok() {
            held.into_iter().for_each(|(_, trial)| self.session.accept(trial));
        } else if stop.at_once() {
            return Err(Ended);
        } else {
            for (object, _) in held {
                self.end_guest();
                self.in_own_guest(object)?;
            }
        }
        Ok(())
    }

    /// Ends the guest.
    fn change_guest(&mut self) -> Result<(), Ended> {
        self.report_held()?;
        if self.served > 0 {
            self.end_guest();
        }
        Ok(())
    }

    fn end_guest(&mut self) {
        self.session.end_machine();
        (self.pristine, self.served) = (None, 0);
    }
}

/// What a guest is like.
///
/// # Errors
/// Why it does not say, as a lowercase fragment.
fn state(machine: &mut dyn GuestLink, limit: Duration, stop: &(dyn Fn() -> bool + Sync)) -> Result<GuestState, String> {
    machine.send(&HostMessage::TellState, &[], limit, stop).map_err(|loss| loss.to_string())?;
    match machine.receive(limit, stop).map_err(|loss| loss.to_string())? {
        (GuestMessage::State(state), _) => Ok(*state),
        (other, _) => Err(format!("the guest sent {} instead of its state", other.name())),
    }
}

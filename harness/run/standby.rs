//! [`Standby`]: guests that wait for the next run, started while the user has nothing to wait for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::{Stop, host_memory};
use crate::store::{Snapshot, StoredKernel};
use crate::vm::{
    Accelerator, Deadlines, DebugOptions, GuestShape, MachineSpec, PausedMachine, RestoreFailure, Toolchain,
};

/// Guests that wait at most. Each takes about 20 MiB.
const MOST: usize = 16;
/// MiB that have to be free for another one.
const SPARE_MIB: u64 = 1024;

/// What it takes to start a guest from a snapshot.
#[derive(Debug)]
pub(super) struct GuestOrder {
    /// The kernel's name in the manifest.
    pub kernel: String,
    pub stored: StoredKernel,
    pub shape: GuestShape,
    pub snapshot: Arc<Snapshot>,
    pub tools: Toolchain,
    pub accelerator: Accelerator,
    pub deadlines: Deadlines,
}

/// Guests that wait for the next run of the same kernels, and stand still meanwhile. Dropping it ends them.
#[derive(Debug)]
pub struct Standby {
    shared: Arc<Shared>,
    /// Guests die with the thread that started them.
    starter: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue<Arc<GuestOrder>, PausedMachine>>,
    changed: Condvar,
    /// Ends what the starter is doing.
    stop: Stop,
}

/// Which guests are wanted, and which are there.
#[derive(Debug)]
struct Queue<O, G> {
    /// Of each guest that runs have started: how to start another.
    known: Vec<O>,
    wanted: VecDeque<O>,
    ready: Vec<(O, G)>,
}

impl Standby {
    /// Guests are started by a thread of their own.
    ///
    /// # Errors
    /// That there is no thread.
    pub fn new() -> std::io::Result<Standby> {
        let shared = Arc::new(Shared::default());
        let of_starter = Arc::clone(&shared);
        let starter =
            std::thread::Builder::new().name("standby".to_owned()).spawn(move || of_starter.start_guests())?;
        Ok(Standby { shared, starter: Some(starter) })
    }

    /// Lets a guest like this one wait for the next run, too.
    pub(super) fn know(&self, order: GuestOrder) {
        self.shared.queue().know(Arc::new(order));
    }

    /// Starts no further guest of this snapshot.
    pub(super) fn forget(&self, snapshot: &Snapshot) {
        let gone = self.shared.queue().remove(|order| order.snapshot.is(snapshot));
        drop(gone);
    }

    /// A guest of this snapshot, if one waits.
    pub(super) fn take(&self, snapshot: &Snapshot, shape: &GuestShape) -> Option<PausedMachine> {
        self.shared.queue().take(|order| order.is_of(snapshot, shape))
    }

    /// Starts guests until the next run begins.
    pub fn begin(&self) {
        self.shared.queue().want_all();
        self.shared.changed.notify_all();
    }

    /// Starts no further guests: a run begins, and needs the processors.
    pub fn end(&self) {
        self.shared.queue().wanted.clear();
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        {
            // Who has the lock cannot be about to wait.
            let _queue = self.shared.queue();
            self.shared.stop.ask();
        }
        self.shared.changed.notify_all();
        if let Some(starter) = self.starter.take() {
            let _ = starter.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue<Arc<GuestOrder>, PausedMachine>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_guests(&self) {
        while !self.stop.requested() {
            let order = self.queue().next();
            match order {
                Some(order) => self.start_guest(order),
                None => self.wait(),
            }
        }
        let ready = std::mem::take(&mut self.queue().ready);
        drop(ready);
    }

    fn start_guest(&self, order: Arc<GuestOrder>) {
        if host_memory::available_mib().is_some_and(|mib| mib < SPARE_MIB.max(order.shape.memory_mib)) {
            return;
        }
        // One that fails is no loss: the run starts its own, and says what is wrong.
        if let Ok(machine) = order.start(&self.stop) {
            self.queue().ready.push((order, machine));
        }
    }

    /// Waits until another guest is wanted.
    fn wait(&self) {
        let queue = self.queue();
        if queue.wanted.is_empty() && !self.stop.requested() {
            drop(self.changed.wait(queue));
        }
    }
}

impl GuestOrder {
    fn is_of(&self, snapshot: &Snapshot, shape: &GuestShape) -> bool {
        self.snapshot.is(snapshot) && self.shape == *shape
    }

    fn start(&self, stop: &Stop) -> Result<PausedMachine, RestoreFailure> {
        let stop = || stop.requested();
        let spec = MachineSpec {
            name: &self.kernel,
            tools: &self.tools,
            kernel: &self.stored,
            shape: &self.shape,
            accelerator: self.accelerator,
            deadlines: self.deadlines,
            stop: &stop,
            debug: DebugOptions::default(),
            talkative: false,
            files: &[],
        };
        PausedMachine::restore(&spec, &self.snapshot)
    }
}

impl PartialEq for GuestOrder {
    fn eq(&self, other: &Self) -> bool {
        self.is_of(&other.snapshot, &other.shape)
    }
}

impl<O, G> Default for Queue<O, G> {
    fn default() -> Self {
        Queue { known: Vec::new(), wanted: VecDeque::new(), ready: Vec::new() }
    }
}

impl<O: Clone + PartialEq, G> Queue<O, G> {
    /// Only the latest ones stay known.
    fn know(&mut self, order: O) {
        self.known.retain(|known| *known != order);
        self.known.push(order);
        let excess = self.known.len().saturating_sub(MOST);
        self.known.drain(..excess);
    }

    /// Forgets these orders. Returns the guests that waited.
    fn remove(&mut self, is_it: impl Fn(&O) -> bool) -> Vec<(O, G)> {
        self.known.retain(|order| !is_it(order));
        self.wanted.retain(|order| !is_it(order));
        self.ready.extract_if(.., |(order, _)| is_it(order)).collect()
    }

    fn want_all(&mut self) {
        self.wanted = self.known.iter().cloned().collect();
    }

    /// The next order of which no guest waits.
    fn next(&mut self) -> Option<O> {
        while let Some(order) = self.wanted.pop_front() {
            if self.ready.len() < MOST && self.ready.iter().all(|(ready, _)| *ready != order) {
                return Some(order);
            }
        }
        None
    }

    fn take(&mut self, is_it: impl Fn(&O) -> bool) -> Option<G> {
        let place = self.ready.iter().position(|(order, _)| is_it(order))?;
        Some(self.ready.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(queue: &mut Queue<u32, String>) -> Vec<u32> {
        let mut orders = Vec::new();
        while let Some(order) = queue.next() {
            queue.ready.push((order, format!("guest of {order}")));
            orders.push(order);
        }
        orders
    }

    #[test]
    fn one_guest_waits_of_each_that_a_run_has_started() {
        let mut queue: Queue<u32, String> = Queue::default();
        [1, 2, 1, 3].into_iter().for_each(|order| queue.know(order));
        assert!(started(&mut queue).is_empty(), "nothing is wanted while a run lasts");
        queue.want_all();
        assert_eq!(started(&mut queue), [2, 1, 3]);
        assert_eq!(queue.take(|order| *order == 1), Some("guest of 1".to_owned()));
        assert_eq!(queue.take(|order| *order == 1), None);
        queue.want_all();
        assert_eq!(started(&mut queue), [1], "the others are still there");
    }

    #[test]
    fn number_of_guests_is_bounded_and_a_useless_snapshot_is_forgotten() {
        let mut queue: Queue<u32, String> = Queue::default();
        (0..100).for_each(|order| queue.know(order));
        queue.want_all();
        let latest: Vec<u32> = (100 - MOST as u32..100).collect();
        assert_eq!(started(&mut queue), latest);
        assert_eq!(queue.remove(|order| *order == 99).len(), 1);
        queue.want_all();
        assert!(started(&mut queue).is_empty());
    }
}

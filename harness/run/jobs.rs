//! [`Jobs`]: how many guests run at once, within the machine's cores and memory.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::host_memory;
use crate::vm::{GuestShape, RunningGuest};

/// Guests may take this share of the memory that is free when the run begins.
const MEMORY_SHARE: f64 = 0.75;
/// MiB that even the smallest guest takes: QEMU itself, and what an object needs.
const LEAST_MIB: u64 = 32;
/// How much more than any guest before it a further one may take, as a factor.
const MARGIN: f64 = 1.5;
/// How often who waits for memory looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How many guests run at once. A guest counts with all memory that it has until one like it has ended; then with what that one took.
#[derive(Debug)]
pub struct Jobs {
    count: usize,
    host: Arc<Host>,
}

/// What guests share.
#[derive(Debug)]
struct Host {
    /// MiB for all guests.
    budget_mib: u64,
    /// Processors of this machine: as many run guests with several of them.
    cores: u32,
    /// MiB that are free now; `None` if this machine does not say.
    available_mib: fn() -> Option<u64>,
    in_use: Mutex<InUse>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct InUse {
    guests: usize,
    mib: u64,
    cores: u32,
    /// The most MiB that a guest of each kind took.
    taken: HashMap<Kind, u64>,
}

/// Guests of one kind take about the same memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    /// MiB that it has.
    mib: u64,
    /// A guest that boots touches far more of its memory than one that is restored.
    is_restored: bool,
}

/// The room of a guest. Dropping it gives it back.
#[derive(Debug)]
pub struct GuestRoom {
    host: Arc<Host>,
    kind: Kind,
    mib: u64,
    cores: u32,
}

impl Jobs {
    /// `asked` by the user, else one for each core; never more than the memory can hold, and at least one.
    pub fn choose(asked: Option<usize>) -> Jobs {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Jobs::within(asked.unwrap_or(cores), host_memory::available_mib)
    }

    fn within(wanted: usize, available_mib: fn() -> Option<u64>) -> Jobs {
        let budget_mib = available_mib().map_or(u64::MAX, |available| (available as f64 * MEMORY_SHARE) as u64);
        let fitting = usize::try_from(budget_mib / LEAST_MIB).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let host = Host { budget_mib, cores, available_mib, in_use: Mutex::default(), freed: Condvar::new() };
        Jobs { count: wanted.min(fitting).max(1), host: Arc::new(host) }
    }

    /// How many workers start guests.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many guests that take all of these MiB can run at once.
    pub fn count_of(&self, guest_mib: u64) -> usize {
        let fitting = usize::try_from(self.host.budget_mib / guest_mib.max(1)).unwrap_or(usize::MAX);
        self.count.min(fitting).max(1)
    }

    /// MiB of the largest guest that there is room for.
    pub fn largest_mib(&self) -> u64 {
        self.host.budget_mib
    }

    /// Waits until there is room for a guest; if no other runs, there is. `is_restored` says whether it is certain that it starts from a snapshot. Guests with one processor do not wait for processors; those with
    /// more have as many in all as this machine, so that they do not take each other's time. `None` if the user stops it first.
    pub fn room_for(&self, shape: &GuestShape, is_restored: bool, stop: &dyn Fn() -> bool) -> Option<GuestRoom> {
        let kind = Kind { mib: shape.memory_mib, is_restored };
        let cores = if shape.cpus > 1 { shape.cpus.min(self.host.cores) } else { 0 };
        let mut in_use = self.host.in_use();
        loop {
            let mib = in_use.expected_mib(kind);
            if in_use.guests == 0 || self.host.has_room(&in_use, kind, mib, cores) {
                in_use.guests += 1;
                (in_use.mib, in_use.cores) = (in_use.mib.saturating_add(mib), in_use.cores + cores);
                return Some(GuestRoom { host: Arc::clone(&self.host), kind, mib, cores });
            }
            if stop() {
                return None;
            }
            in_use = self.host.freed.wait_timeout(in_use, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Host {
    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Others may use this machine, too: for a guest that takes more than those before it there has to be memory now.
    fn has_room(&self, in_use: &InUse, kind: Kind, mib: u64, cores: u32) -> bool {
        in_use.mib.saturating_add(mib) <= self.budget_mib
            && in_use.cores + cores <= self.cores
            && (self.available_mib)().is_none_or(|available| available >= kind.mib)
    }
}

impl InUse {
    /// MiB that a guest is going to take.
    fn expected_mib(&self, kind: Kind) -> u64 {
        self.taken.get(&kind).map_or(kind.mib, |taken| ((*taken as f64 * MARGIN) as u64).min(kind.mib))
    }
}

impl RunningGuest for GuestRoom {
    fn took(&mut self, mib: u64, was_restored: bool) {
        let kind = Kind { is_restored: was_restored, ..self.kind };
        let mut in_use = self.host.in_use();
        let most = in_use.taken.entry(kind).or_default();
        *most = mib.max(*most);
    }
}

impl Drop for GuestRoom {
    fn drop(&mut self) {
        let mut in_use = self.host.in_use();
        in_use.guests -= 1;
        (in_use.mib, in_use.cores) = (in_use.mib.saturating_sub(self.mib), in_use.cores - self.cores);
        drop(in_use);
        self.host.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(memory_mib: u64, cpus: u32) -> GuestShape {
        GuestShape { memory_mib, cpus, numa_nodes: 1, append: Vec::new(), modules: Vec::new() }
    }

    /// Room for a restored guest with one processor, if there is now.
    fn room(jobs: &Jobs, mib: u64) -> Option<GuestRoom> {
        jobs.room_for(&shape(mib, 1), true, &|| true)
    }

    #[test]
    fn memory_bounds_what_cores_allow() {
        let jobs = Jobs::within(8, || Some(4096));
        assert_eq!((jobs.count(), jobs.count_of(1024), jobs.largest_mib()), (8, 3, 3072));
        let jobs = Jobs::within(2, || Some(1 << 20));
        assert_eq!((jobs.count(), jobs.count_of(1024)), (2, 2));
        let jobs = Jobs::within(64, || Some(100));
        assert_eq!((jobs.count(), jobs.count_of(1024)), (2, 1));
        let jobs = Jobs::within(4, || None);
        assert_eq!((jobs.count(), jobs.count_of(1024), jobs.largest_mib()), (4, 4, u64::MAX));
        assert!(Jobs::choose(None).count() > 0);
    }

    #[test]
    fn guests_count_with_what_those_before_them_took() {
        // 1536 MiB for guests.
        let jobs = Jobs::within(64, || Some(2048));
        let mut guests: Vec<GuestRoom> = std::iter::from_fn(|| room(&jobs, 512)).collect();
        assert_eq!(guests.len(), 3, "nothing is known of them, so that each may take all it has");
        guests[0].took(60, true);
        guests[1].took(100, true);
        guests.clear();
        guests.extend(std::iter::from_fn(|| room(&jobs, 512)));
        assert_eq!(guests.len(), 10, "150 MiB each: half more than the largest took");
        assert!(jobs.room_for(&shape(512, 1), false, &|| true).is_none(), "one that boots is of another kind");
        guests.pop();
        guests[0].took(90, false);
        assert!(
            jobs.room_for(&shape(512, 1), false, &|| true).is_some(),
            "one that was booted nevertheless shows what they take"
        );
        guests[0].took(4096, true);
        guests.clear();
        assert_eq!(std::iter::from_fn(|| room(&jobs, 512)).take(4).count(), 4, "given back at once");
        guests.extend(std::iter::from_fn(|| room(&jobs, 512)));
        assert_eq!(guests.len(), 3, "never more than it has");
    }

    #[test]
    fn memory_that_others_take_meanwhile_is_not_there() {
        static LEFT: Mutex<u64> = Mutex::new(4096);
        let jobs = Jobs::within(8, || LEFT.lock().ok().map(|left| *left));
        *LEFT.lock().expect("is not poisoned") = 500;
        let first = room(&jobs, 512);
        assert!(first.is_some(), "one guest can always run");
        assert!(room(&jobs, 512).is_none());
        *LEFT.lock().expect("is not poisoned") = 512;
        assert!(room(&jobs, 512).is_some());
    }

    #[test]
    fn room_is_waited_for_and_given_back() {
        let jobs = Jobs::within(1, || Some(4096));
        let large = room(&jobs, 3072).expect("there is room");
        assert!(room(&jobs, 512).is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(jobs.room_for(&shape(2048, 1), true, &|| false).is_some()));
            drop(large);
        });
        assert!(room(&jobs, 8192).is_some(), "what does not fit runs alone");
    }

    #[test]
    fn guests_with_several_processors_wait_for_each_other_and_others_do_not() {
        let jobs = Jobs::within(4, || None);
        let wide = jobs.room_for(&shape(512, 255), true, &|| false).expect("there is room");
        assert!(jobs.room_for(&shape(512, 2), true, &|| true).is_none() || jobs.host.cores == 1);
        assert!(room(&jobs, 512).is_some());
        drop(wide);
        assert!(jobs.room_for(&shape(512, 2), true, &|| true).is_some());
    }
}

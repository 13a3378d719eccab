//! [`Jobs`]: how many guests run at once, within the machine's cores and memory.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Guests may take this share of the memory that is free when the run begins.
const MEMORY_SHARE: f64 = 0.75;
/// How often who waits for memory looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How many guests run at once, and the memory that is left for guests that are larger than the others.
#[derive(Debug)]
pub struct Jobs {
    count: usize,
    /// MiB that every guest has.
    standard_mib: u64,
    /// MiB for larger guests, over what every guest has.
    spare_mib: u64,
    /// Processors of this machine: as many run guests with several of them.
    cores: u32,
    free: Mutex<Free>,
    freed: Condvar,
}

/// What is left for guests that are larger than the others.
#[derive(Debug, Clone, Copy)]
struct Free {
    mib: u64,
    cores: u32,
}

/// What a guest takes that is larger than the others. Dropping it gives it back.
#[derive(Debug)]
pub struct Extra<'a> {
    jobs: &'a Jobs,
    mib: u64,
    cores: u32,
}

impl Jobs {
    /// `asked` by the user, else one for each core; never more than the memory holds, and at least one. Every guest has
    /// `standard_mib`; there is room for at least one of those `larger` guests that the machine can hold.
    pub fn choose(asked: Option<usize>, standard_mib: u64, larger: impl IntoIterator<Item = u64>) -> Jobs {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Jobs::within(asked.unwrap_or(cores), standard_mib, larger, available_mib())
    }

    fn within(
        wanted: usize,
        standard_mib: u64,
        larger: impl IntoIterator<Item = u64>,
        available_mib: Option<u64>,
    ) -> Jobs {
        let standard_mib = standard_mib.max(1);
        let budget = available_mib.map(|available| (available as f64 * MEMORY_SHARE) as u64);
        let fits = |mib: &u64| budget.is_none_or(|budget| *mib <= budget);
        let largest = larger.into_iter().filter(fits).max().unwrap_or_default().max(standard_mib);
        // One guest may be the largest; the others have what every guest has.
        let fitting = budget.map(|budget| 1 + budget.saturating_sub(largest) / standard_mib);
        let fitting = fitting.map_or(usize::MAX, |fitting| usize::try_from(fitting).unwrap_or(usize::MAX));
        let count = wanted.min(fitting).max(1);
        let taken = standard_mib.saturating_mul(count as u64);
        let spare_mib = budget.map_or(u64::MAX, |budget| budget.saturating_sub(taken));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let free = Mutex::new(Free { mib: spare_mib, cores });
        Jobs { count, standard_mib, spare_mib, cores, free, freed: Condvar::new() }
    }

    /// The number.
    pub fn count(&self) -> usize {
        self.count
    }

    /// MiB of the largest guest that there is room for.
    pub fn largest_mib(&self) -> u64 {
        self.standard_mib.saturating_add(self.spare_mib)
    }

    /// Waits until there is room for a guest of this size, at most [`Jobs::largest_mib`], and with so many processors. Guests with one
    /// do not wait for processors; those with more have as many in all as this machine, so that they do not take each other's time.
    /// `None` if the user stops it first.
    pub fn room_for(&self, guest_mib: u64, cpus: u32, stop: &dyn Fn() -> bool) -> Option<Extra<'_>> {
        let mib = guest_mib.saturating_sub(self.standard_mib).min(self.spare_mib);
        let cores = if cpus > 1 { cpus.min(self.cores) } else { 0 };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while free.mib < mib || free.cores < cores {
            if stop() {
                return None;
            }
            free = self.freed.wait_timeout(free, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        (free.mib, free.cores) = (free.mib - mib, free.cores - cores);
        Some(Extra { jobs: self, mib, cores })
    }
}

impl Drop for Extra<'_> {
    fn drop(&mut self) {
        let mut free = self.jobs.free.lock().unwrap_or_else(PoisonError::into_inner);
        (free.mib, free.cores) = (free.mib + self.mib, free.cores + self.cores);
        drop(free);
        self.jobs.freed.notify_all();
    }
}

fn available_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_what_cores_allow() {
        let count = |wanted, mib, available| Jobs::within(wanted, mib, [], available).count();
        assert_eq!(count(8, 1024, Some(4096)), 3);
        assert_eq!(count(2, 1024, Some(1 << 20)), 2);
        assert_eq!(count(4, 1024, Some(100)), 1);
        assert_eq!(count(4, 1024, None), 4);
        assert!(available_mib().is_some_and(|mib| mib > 0));
    }

    #[test]
    fn a_larger_guest_has_room_beside_the_others() {
        // 6144 MiB for guests.
        let jobs = Jobs::within(8, 512, [4096, 1024], Some(8192));
        assert_eq!((jobs.count(), jobs.largest_mib()), (5, 512 + 6144 - 5 * 512));
        // One that does not fit at all costs the others nothing.
        let jobs = Jobs::within(8, 512, [65536], Some(8192));
        assert_eq!((jobs.count(), jobs.largest_mib()), (8, 512 + 6144 - 8 * 512));
        assert_eq!(Jobs::within(2, 512, [], None).largest_mib(), u64::MAX);
    }

    #[test]
    fn room_is_waited_for_and_given_back() {
        let jobs = Jobs::within(1, 512, [2048], Some(4096));
        assert_eq!(jobs.largest_mib(), 3072);
        let first = jobs.room_for(2048, 1, &|| false).expect("there is room");
        assert!(jobs.room_for(2048, 1, &|| true).is_none());
        assert!(jobs.room_for(512, 1, &|| true).is_some() && jobs.room_for(1024, 1, &|| true).is_some());
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(jobs.room_for(2048, 1, &|| false).is_some()));
            drop(first);
        });
        assert!(jobs.room_for(3072, 1, &|| true).is_some());
    }

    #[test]
    fn guests_with_several_processors_wait_for_each_other_and_others_do_not() {
        let jobs = Jobs::within(4, 512, [], None);
        let wide = jobs.room_for(512, 255, &|| false).expect("there is room");
        assert!(jobs.room_for(512, 2, &|| true).is_none() || jobs.cores == 1);
        assert!(jobs.room_for(512, 1, &|| true).is_some());
        drop(wide);
        assert!(jobs.room_for(512, 2, &|| true).is_some());
    }
}

//! [`Jobs`]: how many guests run at once, within the machine's cores and memory.

/// Guests may take this share of the memory that is free when the run begins.
const MEMORY_SHARE: f64 = 0.75;

/// How many guests run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs(usize);

impl Jobs {
    /// `asked` by the user, else one for each core; never more than the memory holds, and at least one.
    pub fn choose(asked: Option<usize>, largest_guest_mib: u64) -> Jobs {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Jobs::within(asked.unwrap_or(cores), largest_guest_mib, available_mib())
    }

    fn within(wanted: usize, guest_mib: u64, available_mib: Option<u64>) -> Jobs {
        let fitting = available_mib.map(|available| (available as f64 * MEMORY_SHARE) as u64 / guest_mib.max(1));
        let fitting = fitting.map_or(usize::MAX, |fitting| usize::try_from(fitting).unwrap_or(usize::MAX));
        Jobs(wanted.min(fitting).max(1))
    }

    /// The number.
    pub fn count(self) -> usize {
        self.0
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
        assert_eq!(Jobs::within(8, 1024, Some(4096)).count(), 3);
        assert_eq!(Jobs::within(2, 1024, Some(1 << 20)).count(), 2);
        assert_eq!(Jobs::within(4, 1024, Some(100)).count(), 1);
        assert_eq!(Jobs::within(4, 1024, None).count(), 4);
        assert!(available_mib().is_some_and(|mib| mib > 0));
    }
}

//! [`RunningGuest`]: hears what a guest took of this machine's memory.

use crate::process::ChildGroup;

/// What stands for a guest as long as it runs.
pub trait RunningGuest: std::fmt::Debug + Send {
    /// The guest, which was restored or booted, is about to end, and took so many MiB that it shares with nothing else.
    fn took(&mut self, mib: u64, was_restored: bool);
}

/// MiB that a QEMU shares with nothing else; `None` if it has ended.
pub(super) fn private_mib(qemu: &ChildGroup) -> Option<u64> {
    private_of(&qemu.proc_status()?)
}

/// A saved memory is mapped privately: what the guest has not written counts as a file's. The memory of a guest that is going to be saved
/// is in no file, and shared with this process alone.
fn private_of(status: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kib("RssAnon:")? + kib("RssShmem:")?) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_files_are_not_counted() {
        let status =
            "Name:\tqemu\nVmRSS:\t  170240 kB\nRssAnon:\t   40960 kB\nRssFile:\t  120000 kB\nRssShmem:\t    2048 kB\n";
        assert_eq!(private_of(status), Some(42));
        assert_eq!(private_of("Name:\tqemu\nState:\tZ (zombie)\n"), None);
        let mut sleeping = std::process::Command::new("sleep");
        sleeping.arg("60");
        let mut child = ChildGroup::spawn(sleeping).expect("starts");
        assert!(private_mib(&child).is_some());
        child.end(std::time::Duration::ZERO);
        assert_eq!(private_mib(&child), None);
    }
}

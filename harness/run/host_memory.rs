//! [`available_mib`]: the memory that guests can have on this machine.

use std::fs;
use std::path::Path;

/// How a version of control groups says what a group may have and what it has.
struct Version {
    /// What a line of `/proc/self/cgroup` has between its two colons.
    controllers: &'static str,
    /// Where its groups are.
    root: &'static str,
    /// The files with the limit and with what is in use, in bytes.
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat` about files that are cached: they go where memory is needed.
    cached: [&'static str; 2],
}

const VERSIONS: [Version; 2] = [
    Version {
        controllers: "",
        root: "sys/fs/cgroup",
        limit: "memory.max",
        usage: "memory.current",
        cached: ["inactive_file", "active_file"],
    },
    Version {
        controllers: "memory",
        root: "sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        cached: ["total_inactive_file", "total_active_file"],
    },
];

/// MiB that this process and its children can have: what the machine has left, or less where a control group, such as that of a
/// container, limits it. `None` if the machine does not say.
pub(super) fn available_mib() -> Option<u64> {
    available_beneath(Path::new("/"))
}

/// The same on a machine whose `/proc` and `/sys` are beneath `root`.
fn available_beneath(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kib = number_of(&text, "MemAvailable:")?;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let left = VERSIONS.iter().filter_map(|version| left_in_groups(root, version, &groups));
    Some(left.fold(kib / 1024, |least, bytes| least.min(bytes >> 20)))
}

/// Bytes left in the group of this process and in all above it. In a container the groups above are not to be seen, and its own is the root.
fn left_in_groups(root: &Path, version: &Version, groups: &str) -> Option<u64> {
    let line = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let mut line = line.filter(|(controllers, _)| controllers.split(',').any(|one| one == version.controllers));
    let own = line.next()?.1.trim_start_matches('/');
    let all = Path::new(own).ancestors().map(|group| root.join(version.root).join(group));
    all.filter_map(|group| left_in_group(&group, version)).min()
}

/// `None` for a group without limit.
fn left_in_group(group: &Path, version: &Version) -> Option<u64> {
    let bytes = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let (limit, usage) = (bytes(version.limit)?, bytes(version.usage)?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached: u64 = version.cached.iter().filter_map(|line| number_of(&stat, line)).sum();
    Some(limit.saturating_sub(usage.saturating_sub(cached)))
}

/// The number behind a word at the start of a line.
fn number_of(text: &str, word: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next()? == word).then_some(words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with 8 GiB free, and these files.
    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().expect("a folder");
        let meminfo = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            fs::write(path, text).expect("writes");
        }
        available_beneath(folder.path())
    }

    #[test]
    fn smallest_limit_of_all_groups_counts_and_cached_files_do_not() {
        assert_eq!(machine(&[]), Some(8192));
        let group = [
            ("proc/self/cgroup", "0::/user.slice/job\n"),
            ("sys/fs/cgroup/user.slice/job/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/job/memory.current", "1073741824\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "3221225472\n"),
            (
                "sys/fs/cgroup/user.slice/memory.stat",
                "anon 5\nfile 9\ninactive_file 536870912\nactive_file 536870912\n",
            ),
        ];
        assert_eq!(machine(&group), Some(2048));
    }

    #[test]
    fn container_is_the_root_of_what_it_sees() {
        let second = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/memory.current", "1048576\n"),
        ];
        assert_eq!(machine(&second), Some(2047));
        // Of the first version the group's name is that on the host.
        let first = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1610612736\n"),
        ];
        assert_eq!(machine(&first), Some(512));
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(available_mib().is_some_and(|mib| mib > 0));
    }
}

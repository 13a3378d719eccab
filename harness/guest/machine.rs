//! [`arrange`]: sets sysctls, and reports what the machine is like.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use corematrix_protocol::machine::{MachineFacts, SysctlFact};

/// Sets the sysctls, one after the other, and looks at the machine.
pub fn arrange(sysctls: &BTreeMap<String, String>) -> MachineFacts {
    let count = |path: &str| text(Path::new(path)).and_then(|list| ids(&list));
    MachineFacts {
        sysctls: sysctls.iter().map(|(name, value)| set(name, value)).collect(),
        possible_cpus: count("/sys/devices/system/cpu/possible"),
        online_cpus: count("/sys/devices/system/cpu/online"),
        numa_nodes: count("/sys/devices/system/node/online"),
        lockdown: text(Path::new("/sys/kernel/security/lockdown")).as_deref().and_then(in_brackets),
        lsm: text(Path::new("/sys/kernel/security/lsm")),
    }
}

fn set(name: &str, value: &str) -> SysctlFact {
    let path = path(name);
    let errno = match fs::write(&path, value) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    SysctlFact { name: name.to_owned(), value: text(&path), errno }
}

/// As `sysctl` finds it: dots are slashes, unless there are slashes.
fn path(name: &str) -> PathBuf {
    let below = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    Path::new("/proc/sys").join(below.trim_start_matches('/'))
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// How many ids a list such as `0-3,8` has.
fn ids(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The word that is chosen: `none [integrity] confidentiality`.
fn in_brackets(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ids_are_counted() {
        assert_eq!([ids("0"), ids("0-7"), ids("0-3,8,10-11")], [Some(1), Some(8), Some(7)]);
        assert_eq!([ids(""), ids("3-1"), ids("x"), ids("0-4294967295")], [None; 4]);
    }

    #[test]
    fn sysctls_are_found_as_sysctl_finds_them() {
        assert_eq!(path("net.core.bpf_jit_harden"), Path::new("/proc/sys/net/core/bpf_jit_harden"));
        assert_eq!(path("net/ipv4/conf/eth0.1/rp_filter"), Path::new("/proc/sys/net/ipv4/conf/eth0.1/rp_filter"));
        assert_eq!(in_brackets("none [integrity] confidentiality").as_deref(), Some("integrity"));
        let none = set("no.such.sysctl", "1");
        assert_eq!((none.errno, none.value), (libc::ENOENT, None));
    }
}

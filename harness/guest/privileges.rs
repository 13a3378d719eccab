//! [`take_on`]: the privileges that an object is loaded with, taken on by the process that loads it.

use std::fs;
use std::ops::Range;

use corematrix_record::{CAPABILITIES, LoadingPrivileges, capability_number, capability_since};
use rustix::process::{Resource, setrlimit};

use super::{init, token};

/// The root of a token's user namespace, outside of it: `nobody`.
pub(super) const USER: u32 = 65534;
/// Users that load objects without being root. Each load has one of its own: 5.10 counts the memory that a user locks, and gives that of
/// maps and programs back some time after their process is gone.
const USERS: Range<u32> = 60_000..64_000;

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

/// Why a process cannot have some privileges.
#[derive(Debug)]
pub struct Refused {
    /// The capabilities that the kernel does not know, if that is why.
    pub missing: Vec<String>,
    /// Why, as a lowercase fragment.
    pub reason: String,
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Refused { missing: Vec::new(), reason }
    }
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all privileges of this process but these. It had those of root.
pub fn take_on(privileges: &LoadingPrivileges) -> Result<(), Refused> {
    let last = last_capability()?;
    let wanted = match privileges {
        LoadingPrivileges::Capabilities(names) => numbers(names, last)?,
        LoadingPrivileges::AllCapabilities => (0..=last).collect(),
        LoadingPrivileges::Token => Vec::new(),
    };
    // As a user's process has it: kernels before 5.11 count the memory of maps and programs. Only some may raise it again.
    setrlimit(Resource::Memlock, init::memlock_at_boot())
        .map_err(|error| format!("cannot limit locked memory: {error}"))?;
    if *privileges == LoadingPrivileges::Token {
        return Ok(token::enter()?);
    }
    for number in (0..=last).filter(|number| !wanted.contains(number)) {
        control(libc::PR_CAPBSET_DROP, number, "drop a capability from the bounding set")?;
    }
    control(libc::PR_SET_KEEPCAPS, 1, "keep capabilities")?;
    become_user(USERS.start + std::process::id() % (USERS.end - USERS.start))?;
    let mut sets = [Sets::default(); 2];
    for number in &wanted {
        let set = &mut sets[number / 32];
        set.effective |= 1 << (number % 32);
        set.permitted = set.effective;
    }
    let mut header = Header { version: VERSION, pid: 0 };
    // SAFETY: the header and two sets, as this version has them, are valid for the call.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) } != 0 {
        return Err(failed("set capabilities").into());
    }
    let mut now = [Sets::default(); 2];
    // SAFETY: as above; the kernel writes two sets.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, now.as_mut_ptr()) } != 0 || now != sets {
        return Err(Refused::from("the process did not get the capabilities that were set".to_owned()));
    }
    // Or its own files in `/proc` would belong to root.
    Ok(control(libc::PR_SET_DUMPABLE, 1, "stay readable")?)
}

/// Makes this process one of a user that is in no group but its own.
pub(super) fn become_user(user: u32) -> Result<(), String> {
    // SAFETY: takes a length of 0 and no list; the others take numbers.
    let results = unsafe {
        [libc::setgroups(0, std::ptr::null()), libc::setresgid(user, user, user), libc::setresuid(user, user, user)]
    };
    if results.contains(&-1) { Err(failed("become another user")) } else { Ok(()) }
}

/// The number of the last capability that the kernel has.
fn last_capability() -> Result<usize, String> {
    const PATH: &str = "/proc/sys/kernel/cap_last_cap";
    let text = fs::read_to_string(PATH).map_err(|error| format!("cannot read {PATH}: {error}"))?;
    let last = text.trim().parse::<usize>().map_err(|error| format!("cannot read {PATH}: {error}"))?;
    // Kernels keep 64 bits.
    Ok(last.min(63))
}

fn numbers(names: &[String], last: usize) -> Result<Vec<usize>, Refused> {
    let (mut numbers, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match capability_number(name) {
            Some(number) if number <= last => numbers.push(number),
            _ => missing.push(name.clone()),
        }
    }
    let Some(first) = missing.first() else { return Ok(numbers) };
    let since =
        capability_since(first).map_or_else(String::new, |since| format!(", which needs Linux {since} or later"));
    let last = CAPABILITIES.get(last).map_or_else(String::new, |last| format!(" (its last one is {last})"));
    let reason = format!("this kernel has no {first}{since}{last}");
    Err(Refused { missing, reason })
}

pub(super) fn control(option: i32, value: usize, what: &str) -> Result<(), String> {
    // SAFETY: these options take numbers.
    match unsafe { libc::prctl(option, value, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(failed(what)),
    }
}

pub(super) fn failed(what: &str) -> String {
    format!("cannot {what}: {}", std::io::Error::last_os_error())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_the_kernel_lacks_are_named() {
        let names = ["CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"].map(str::to_owned);
        assert_eq!(numbers(&names, 40).unwrap(), [12, 39, 38]);
        let refused = numbers(&names, 37).unwrap_err();
        assert_eq!(refused.missing, ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(
            refused.reason,
            "this kernel has no CAP_BPF, which needs Linux 5.8 or later (its last one is CAP_AUDIT_READ)"
        );
    }
}

//! [`set_up`]: makes the bare guest a place in which BPF objects load as they do on a real machine.

use std::ffi::CString;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::modules;

/// Source, target, type, options, and whether the guest is useless without it.
const MOUNTS: [(&str, &str, &str, &str, bool); 9] = [
    ("proc", "/proc", "proc", "", true),
    ("sysfs", "/sys", "sysfs", "", true),
    ("devtmpfs", "/dev", "devtmpfs", "", true),
    ("tmpfs", "/tmp", "tmpfs", "", false),
    ("securityfs", "/sys/kernel/security", "securityfs", "", false),
    ("debugfs", "/sys/kernel/debug", "debugfs", "", false),
    ("tracefs", "/sys/kernel/tracing", "tracefs", "", false),
    ("bpf", "/sys/fs/bpf", "bpf", "", false),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2", "", false),
];

/// The limit of locked memory that the kernel gives its first process.
static MEMLOCK: OnceLock<Rlimit> = OnceLock::new();

/// The limit of locked memory that processes have if no one raises it: 64 KiB, and 8 MiB from 5.16 on.
pub fn memlock_at_boot() -> Rlimit {
    MEMLOCK.get().copied().unwrap_or(Rlimit { current: Some(64 << 10), maximum: Some(64 << 10) })
}

/// Mounts, modules, limits and loopback. Returns what was unavailable and is not vital.
pub fn set_up() -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    for (source, target, kind, options, vital) in MOUNTS {
        if let Err(error) = mount_one(source, target, kind, options) {
            let reason = format!("cannot mount {kind} on {target}: {error}");
            if vital {
                return Err(reason);
            }
            notes.push(reason);
        }
    }
    modules::load_drivers(&mut notes)?;
    MEMLOCK.get_or_init(|| getrlimit(Resource::Memlock));
    // Kernels before 5.11 charge BPF memory to this limit.
    for (resource, limit) in [(Resource::Memlock, None), (Resource::Nofile, Some(65536))] {
        if let Err(error) = setrlimit(resource, Rlimit { current: limit, maximum: limit }) {
            notes.push(format!("cannot raise {resource:?}: {error}"));
        }
    }
    if let Err(error) = loopback_up() {
        notes.push(format!("cannot bring loopback up: {error}"));
    }
    Ok(notes)
}

fn mount_one(source: &str, target: &str, kind: &str, options: &str) -> std::io::Result<()> {
    let target = Path::new(target);
    if !target.is_dir() {
        fs::create_dir_all(target)?;
    }
    let options = CString::new(options)?;
    match mount(source, target, kind, MountFlags::empty(), options.as_c_str()) {
        // The kernel may have mounted devtmpfs itself.
        Ok(()) | Err(rustix::io::Errno::BUSY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn loopback_up() -> std::io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: `ifreq` is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the socket is open and `request` is a valid `ifreq` for the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

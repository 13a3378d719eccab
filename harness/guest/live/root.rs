//! The root that a command runs on: the host's files, with what the guest writes over them in memory.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_move};
use rustix::process::{chdir, chroot};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{folder, make_folder};
use corematrix_protocol::live::{self, LiveCommand};

/// What a command may write to where nothing can be laid over the host's files, unless it is given something in there.
const WRITABLE: [&str; 3] = ["/tmp", "/var/tmp", "/root"];
/// Where it finds room in any case.
const ROOM: &str = "/run";

/// Loads a kernel module.
pub fn load_module(bytes: &[u8]) -> std::io::Result<()> {
    // SAFETY: the bytes are valid for the call, which reads no more of them than the given length, and the parameters are a C string.
    let result = unsafe { libc::syscall(libc::SYS_init_module, bytes.as_ptr(), bytes.len(), c"".as_ptr()) };
    match std::io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        error => Err(error),
    }
}

/// Mounts the host's files; the kernel asks for them through the file that is returned. No one here may touch them.
pub fn mount_host_files() -> Result<File, String> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/fuse");
    let device =
        device.map_err(|error| format!("this kernel has no FUSE, through which the host's files are seen: {error}"))?;
    let place = folder("host");
    make_folder(&place)?;
    let options =
        format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device.as_raw_fd());
    let options = CString::new(options).map_err(|error| error.to_string())?;
    mount("corematrix", place.as_str(), "fuse.corematrix", MountFlags::RDONLY | MountFlags::NODEV, options.as_c_str())
        .map_err(|error| format!("cannot mount the host's files: {error}"))?;
    Ok(device)
}

/// Makes what the root is put together from, as far as that touches no file of the host.
pub fn prepare(command: &LiveCommand) -> Result<(), String> {
    if let Some((_, kernel)) = command.environment.iter().find(|(name, _)| name == live::KERNEL) {
        // Prompts show it. A kernel whose name is none for a host keeps none.
        let _ = rustix::system::sethostname(kernel.as_bytes());
    }
    for name in ["cow", "root", "out"] {
        make_folder(&folder(name))?;
    }
    for (kind, target) in [
        ("tmpfs", folder("cow")),
        ("tmpfs", folder("out")),
        ("devpts", "/dev/pts".to_owned()),
        ("tmpfs", "/dev/shm".to_owned()),
    ] {
        make_folder(&target)?;
        let options = if kind == "devpts" { c"mode=620,ptmxmode=666" } else { c"" };
        mount(kind, target.as_str(), kind, MountFlags::empty(), options)
            .map_err(|error| format!("cannot mount {kind} on {target}: {error}"))?;
    }
    Ok(())
}

/// Puts the root together and makes it this process' own. Returns what is not as it should be. Only for a process of its own: it waits
/// for the host's files.
pub fn enter(command: &LiveCommand) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    // SAFETY: this process has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(|error| format!("cannot get mounts of its own: {error}"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| format!("cannot get mounts of its own: {error}"))?;
    lay_over(command, &mut notes)?;
    let root = folder("root");
    for (own, place) in [("/proc", "/proc"), ("/sys", "/sys"), ("/dev", "/dev"), ("/boot", "/boot")] {
        let target = format!("{root}{place}");
        let bound = Path::new(&target).is_dir().then(|| mount_bind_recursive(own, target.as_str()));
        match bound {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(format!("cannot show the guest's {own}: {error}")),
            None => notes.push(format!("the host has no directory {place}, so the guest has none either")),
        }
    }
    own_folder(&format!("{root}/run"))?;
    bind(&folder("out"), &format!("{root}{}", live::out_folder()))?;
    if let Some(given) = &command.given {
        let target = format!("{root}{}", live::in_folder());
        bind(&format!("{root}{given}"), &target)?;
        rustix::mount::mount_remount(target.as_str(), MountFlags::BIND | MountFlags::RDONLY, c"")
            .map_err(|error| format!("cannot protect `{given}`: {error}"))?;
    }
    let entered =
        chdir(root.as_str()).and_then(|()| mount_move(".", "/")).and_then(|()| chroot(".")).and_then(|()| chdir("/"));
    entered.map_err(|error| format!("cannot make it the root: {error}"))?;
    chdir(command.folder.as_str()).map_err(|error| format!("cannot work in `{}`: {error}", command.folder))?;
    Ok(notes)
}

/// Lays a file system in memory over the host's files.
fn lay_over(command: &LiveCommand, notes: &mut Vec<String>) -> Result<(), String> {
    let (host, root, cow) = (folder("host"), folder("root"), folder("cow"));
    let (upper, work) = (format!("{cow}/upper"), format!("{cow}/work"));
    make_folder(&upper)?;
    make_folder(&work)?;
    let options =
        CString::new(format!("lowerdir={host},upperdir={upper},workdir={work}")).map_err(|error| error.to_string())?;
    match mount("corematrix", root.as_str(), "overlay", MountFlags::empty(), options.as_c_str()) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::NODEV) => {}
        Err(error) => return Err(format!("cannot lay memory over the host's files: {error}")),
    }
    mount_bind_recursive(host.as_str(), root.as_str())
        .map_err(|error| format!("cannot show the host's files: {error}"))?;
    let mut writable = vec![ROOM];
    for place in WRITABLE.into_iter().filter(|place| !is_given_something_in(command, place)) {
        let target = format!("{root}{place}");
        if Path::new(&target).is_dir() && own_folder(&target).is_ok() {
            writable.push(place);
        }
    }
    notes.push(format!(
        "overlayfs is not available on this kernel: commands cannot write to the view of the host's files; {} are theirs, and empty",
        writable.join(", ")
    ));
    Ok(())
}

/// Whether the command's own words, its directory or what it is given lie there, so that it must not be covered.
fn is_given_something_in(command: &LiveCommand, place: &str) -> bool {
    let named = command.words.iter().chain(command.environment.iter().map(|(_, value)| value));
    let mut all = named.chain(command.given.as_ref()).chain([&command.folder]);
    all.any(|text| text == place || text.contains(&format!("{place}/")))
}

/// An empty directory in memory.
fn own_folder(target: &str) -> Result<(), String> {
    mount("tmpfs", target, "tmpfs", MountFlags::empty(), c"mode=1777")
        .map_err(|error| format!("cannot mount tmpfs on {target}: {error}"))
}

fn bind(from: &str, to: &str) -> Result<(), String> {
    make_folder(to)?;
    mount_bind_recursive(from, to).map_err(|error| format!("cannot show `{from}`: {error}"))
}

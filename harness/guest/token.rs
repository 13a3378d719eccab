//! [`enter`]: puts this process into a user namespace of its own, with a BPF file system from which libbpf creates a BPF token.
//!
//! Only root of the guest may say what a BPF file system delegates, and only a process of the namespace may create the context of a
//! mount that belongs to the namespace. So a copy of this process stays root, shares its descriptors, and does the first for it.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

use super::privileges::{USER, become_user, control, failed};

/// Where libbpf looks for the file system if the object's loader names none.
const VARIABLE: &str = "LIBBPF_BPF_TOKEN_PATH";

/// What is delegated: all of each.
const DELEGATED: [&str; 4] = ["delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs"];

/// How long the other process may take for what is a few system calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the other process answers: a descriptor or 0, or why not.
type Answer = Result<RawFd, String>;

/// Becomes the root of a user namespace that has a BPF token and nothing else, for everything that libbpf loads from now on.
pub fn enter() -> Result<(), String> {
    let pipe = || rustix::pipe::pipe().map_err(|error| format!("cannot make a pipe: {error}"));
    let ((orders, to_root), (answers, to_here)) = (pipe()?, pipe()?);
    // They are shared, so neither process may close them while the other one lives.
    let [orders, to_root, answers, to_here] = [orders, to_root, answers, to_here].map(IntoRawFd::into_raw_fd);
    let this = std::process::id();
    // SAFETY: a copy of this process as `fork` makes it, which has one thread; it shares nothing but the table of descriptors.
    match unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0) } {
        -1 => return Err(failed("make a process that sets up a BPF token")),
        0 => {
            serve(this, orders, to_here);
            // SAFETY: leaves at once, without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        _ => {}
    }
    let ask = |order: RawFd| -> Answer {
        write(to_root, &order.to_ne_bytes())?;
        read_answer(answers)
    };
    // SAFETY: takes flags alone; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        return Err(failed("make a user namespace"));
    }
    ask(-1)?;
    become_user(0)?;
    control(libc::PR_SET_DUMPABLE, 1, "stay readable")?;
    let context =
        fsopen("bpf", FsOpenFlags::empty()).map_err(|error| format!("cannot open a BPF file system: {error}"))?;
    let mounted = ask(context.as_raw_fd())?;
    // SAFETY: nothing else runs in this process that could read the environment meanwhile.
    unsafe { std::env::set_var(VARIABLE, format!("/proc/self/fd/{mounted}")) };
    Ok(())
}

/// The part of root: writes the maps of the namespace, then mounts the file system.
fn serve(process: u32, orders: RawFd, answers: RawFd) {
    // SAFETY: takes a number. If the other process dies, no further request comes.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    loop {
        let mut order = [0; 4];
        if read(orders, &mut order).is_err() {
            return;
        }
        let answer = match RawFd::from_ne_bytes(order) {
            -1 => map_users(process).map(|()| 0),
            context => mount(context),
        };
        let is_last = answer.is_err() || answer.as_ref().is_ok_and(|descriptor| *descriptor > 0);
        let text = match answer {
            Ok(descriptor) => format!("+{descriptor}"),
            Err(reason) => format!("-{reason}"),
        };
        let length = u32::try_from(text.len()).unwrap_or(0).to_ne_bytes();
        if write(answers, &[&length, text.as_bytes()].concat()).is_err() || is_last {
            return;
        }
    }
}

/// Makes the root of the namespace a user without privileges outside of it.
fn map_users(process: u32) -> Result<(), String> {
    for (file, text) in [("uid_map", format!("0 {USER} 1")), ("gid_map", format!("0 {USER} 1"))] {
        let path = format!("/proc/{process}/{file}");
        fs::write(&path, text).map_err(|error| format!("cannot write {path}: {error}"))?;
    }
    Ok(())
}

fn mount(context: RawFd) -> Answer {
    // SAFETY: the other process keeps it open until it has the answer.
    let context = unsafe { BorrowedFd::borrow_raw(context) };
    for name in DELEGATED {
        fsconfig_set_string(context, name, "any")
            .map_err(|error| format!("cannot set `{name}` of a BPF file system: {error}"))?;
    }
    fsconfig_create(context).map_err(|error| format!("cannot create a BPF file system: {error}"))?;
    let mounted = fsmount(context, FsMountFlags::empty(), MountAttrFlags::empty());
    mounted.map(IntoRawFd::into_raw_fd).map_err(|error| format!("cannot mount a BPF file system: {error}"))
}

fn read_answer(from: RawFd) -> Answer {
    let mut length = [0; 4];
    read_soon(from, &mut length)?;
    let mut text = vec![0; usize::try_from(u32::from_ne_bytes(length)).unwrap_or(0).min(4096)];
    read_soon(from, &mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    match (text.strip_prefix('+').and_then(|number| number.parse().ok()), text.strip_prefix('-')) {
        (Some(descriptor), _) => Ok(descriptor),
        (None, Some(reason)) => Err(reason.to_owned()),
        (None, None) => Err("the process that sets up a BPF token died".to_owned()),
    }
}

/// As [`read`], but not for ever: this process holds the other end open itself.
fn read_soon(from: RawFd, into: &mut [u8]) -> Result<(), String> {
    // SAFETY: the descriptor is never closed.
    let source = unsafe { BorrowedFd::borrow_raw(from) };
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut [PollFd::from_borrowed_fd(source, PollFlags::IN)], Some(&patience)) {
        Ok(0) => Err("the process that sets up a BPF token does not answer".to_owned()),
        Ok(_) => read(from, into),
        Err(error) => Err(format!("cannot wait for a BPF token: {error}")),
    }
}

fn read(from: RawFd, into: &mut [u8]) -> Result<(), String> {
    // SAFETY: the descriptor is never closed.
    let source = unsafe { BorrowedFd::borrow_raw(from) };
    let mut done = 0;
    while done < into.len() {
        match rustix::io::read(source, &mut into[done..]) {
            Ok(0) => return Err("the pipe ended".to_owned()),
            Ok(length) => done += length,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("cannot read from a pipe: {error}")),
        }
    }
    Ok(())
}

fn write(to: RawFd, bytes: &[u8]) -> Result<(), String> {
    // SAFETY: the descriptor is never closed.
    let sink = unsafe { BorrowedFd::borrow_raw(to) };
    // It fits into the pipe, which takes it whole.
    rustix::io::write(sink, bytes).map(|_| ()).map_err(|error| format!("cannot write to a pipe: {error}"))
}

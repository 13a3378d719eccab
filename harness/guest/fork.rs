//! [`run`]: runs a closure in a forked copy of this process.
//!
//! The guest side has one thread, so a forked copy is a whole process: it can use libbpf's prepared state without repeating the
//! work, and it can break only itself.

use std::fs::File;
use std::io::Read;

/// How the copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
}

/// Like [`run`], and returns what `work` wrote into the pipe it was given.
pub fn run_piped(work: impl FnOnce(&mut File) -> i32) -> Result<(Ending, Vec<u8>), String> {
    let (from, to) = rustix::pipe::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
    let (mut from, mut to) = (File::from(from), File::from(to));
    let child = fork(|| work(&mut to))?;
    // Or the pipe would never end.
    drop(to);
    let mut written = Vec::new();
    from.read_to_end(&mut written).map_err(|error| format!("cannot read from process {child}: {error}"))?;
    Ok((wait(child)?, written))
}

/// Runs `work` in a forked copy of this process and waits for it; `work` returns the exit code.
pub fn run(work: impl FnOnce() -> i32) -> Result<Ending, String> {
    wait(fork(work)?)
}

/// Runs `work` in a forked copy of this process, for which no one waits here. Returns its number.
pub fn start(work: impl FnOnce() -> i32) -> Result<libc::pid_t, String> {
    fork(work)
}

fn fork(work: impl FnOnce() -> i32) -> Result<libc::pid_t, String> {
    // SAFETY: PID 1 of the guest and its forked copies have one thread, so the copy owns every lock it may need.
    match unsafe { libc::fork() } {
        -1 => Err(format!("cannot fork: {}", std::io::Error::last_os_error())),
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(101);
            // SAFETY: leaves at once, without running the parent's exit handlers a second time.
            unsafe { libc::_exit(code) }
        }
        child => Ok(child),
    }
}

fn wait(child: libc::pid_t) -> Result<Ending, String> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the call. -1 waits for any child: PID 1 inherits and must reap strays as well.
        let ended = unsafe { libc::waitpid(-1, &mut status, 0) };
        if ended == child {
            return Ok(match libc::WIFSIGNALED(status) {
                true => Ending::Signal(libc::WTERMSIG(status)),
                false => Ending::Code(libc::WEXITSTATUS(status)),
            });
        }
        if ended == -1 {
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(format!("cannot wait for process {child}: {error}"));
            }
        }
    }
}

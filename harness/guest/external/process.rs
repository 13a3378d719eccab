//! [`LoaderProcess`]: a loader that runs, watched, and answers requests.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};

use super::bpf_call::BpfCall;
use super::message::{Answer, Request};
use super::watch::{Watch, ask_to_be_watched};
use crate::fork::{self, Ending};

/// Where a loader's standard error goes.
const ERRORS: &str = "/corematrix/loader.stderr";
/// An answer is a line of text; more is no answer.
const MOST_ANSWER: usize = 16 << 20;
/// How much of a loader's last words is kept.
const MOST_LAST_WORDS: usize = 2000;
/// What a loader ends with that the kernel would not stop at calls, or not execute.
const NOT_WATCHED: i32 = 126;
const NOT_EXECUTED: i32 = 127;

/// A loader that runs.
pub struct LoaderProcess {
    watch: Watch,
    requests: File,
    answers: File,
    /// Of an answer that is not complete.
    read: Vec<u8>,
    stops: SignalFd,
}

/// Why a loader gives no answer.
#[derive(Debug)]
pub enum Gone {
    /// It ended; with what it said last.
    Ended(Ending, String),
    /// It does not speak the protocol, as a lowercase fragment.
    Garbage(String),
    /// This side failed, as a lowercase fragment.
    Broken(String),
}

impl LoaderProcess {
    /// Starts an executable.
    pub fn start(path: &str) -> Result<LoaderProcess, String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: &dyn std::fmt::Display| format!("cannot {what} for the loader `{path}`: {error}")
        };
        let executable = CString::new(path).map_err(|error| failed("make a name")(&error))?;
        let pipe = || rustix::pipe::pipe().map_err(|error| failed("make a pipe")(&error));
        let ((input, requests), (answers, output), (go, start)) = (pipe()?, pipe()?, pipe()?);
        let errors = File::create(ERRORS).map_err(|error| failed("make a file")(&error))?;
        // Stops of what is watched come as this signal, which the loader is not to inherit blocked.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let (mut go, mut start) = (File::from(go), File::from(start));
        let ours = [requests.as_raw_fd(), answers.as_raw_fd(), start.as_raw_fd()];
        let child = fork::start(|| {
            // A loader before this one has had it blocked here.
            let _ = mask.thread_unblock();
            for ours in ours {
                // SAFETY: closes this process's copies of ends that belong to its parent, which nothing here uses.
                unsafe { libc::close(ours) };
            }
            let streams = [input.as_raw_fd(), output.as_raw_fd(), errors.as_raw_fd()];
            for (stream, number) in streams.into_iter().zip(0..) {
                // SAFETY: both are descriptors of this process, and what had the number before is no longer used.
                unsafe { libc::dup2(stream, number) };
            }
            // Calls that are stopped before anybody watches would fail.
            if go.read_exact(&mut [0]).is_err() {
                return NOT_WATCHED;
            }
            if let Err(error) = ask_to_be_watched() {
                eprintln!("seccomp filters: {error}");
                return NOT_WATCHED;
            }
            for left in [input.as_raw_fd(), output.as_raw_fd(), errors.as_raw_fd(), go.as_raw_fd()] {
                if left > 2 {
                    // SAFETY: closes what the loader shall not have.
                    unsafe { libc::close(left) };
                }
            }
            let arguments = [executable.as_ptr(), std::ptr::null()];
            let environment = [c"PATH=/usr/bin:/bin".as_ptr(), c"HOME=/".as_ptr(), std::ptr::null()];
            // SAFETY: all are arrays of C strings that end with null and outlive the call.
            unsafe { libc::execve(executable.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            eprintln!("{}", std::io::Error::last_os_error());
            NOT_EXECUTED
        })?;
        mask.thread_block().map_err(|error| failed("block a signal")(&error))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let stops = SignalFd::with_flags(&mask, flags).map_err(|error| failed("wait for a signal")(&error))?;
        let watch = Watch::begin(Pid::from_raw(child)).map_err(|error| failed("watch calls")(&error))?;
        start.write_all(&[1]).map_err(|error| failed("begin")(&error))?;
        let (requests, answers) = (File::from(requests), File::from(answers));
        Ok(LoaderProcess { watch, requests, answers, read: Vec::new(), stops })
    }

    /// Asks, and waits for the answer. `Ok` has the calls that were made meanwhile.
    pub fn ask(&mut self, request: &Request<'_>) -> (Result<Answer, Gone>, Vec<BpfCall>) {
        let answer = self.answer(request);
        (answer, self.watch.take_calls())
    }

    /// Has the kernel refuse the next load of the program of this name, as the kernel keeps it, if it is requested without a log.
    pub fn refuse_without_log(&mut self, program: Option<String>) {
        self.watch.refuse_without_log(program);
    }

    fn answer(&mut self, request: &Request<'_>) -> Result<Answer, Gone> {
        let broken = |error: &dyn std::fmt::Display| Gone::Broken(format!("cannot talk to the loader: {error}"));
        let mut line = serde_json::to_vec(request).map_err(|error| broken(&error))?;
        line.push(b'\n');
        // One that has ended does not read; how it ended says more.
        let _ = self.requests.write_all(&line);
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| {
                    let line = String::from_utf8_lossy(&line[..line.len().min(200)]).trim_end().to_owned();
                    Gone::Garbage(format!("the loader answered `{line}`, which is no answer: {error}"))
                });
            }
            if self.read.len() > MOST_ANSWER {
                return Err(Gone::Garbage("the loader answered with a line that does not end".to_owned()));
            }
            self.watch.attend().map_err(|error| broken(&error))?;
            if let Some(ending) = self.watch.ending() {
                return Err(Gone::Ended(ending, last_words()));
            }
            let mut sources = [
                PollFd::from_borrowed_fd(self.answers.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.stops.as_fd(), PollFlags::IN),
            ];
            match poll(&mut sources, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(broken(&error)),
            }
            let answered = sources[0].revents();
            // Several stops may have become one signal: what is waiting is looked for in any case.
            while matches!(self.stops.read_signal(), Ok(Some(_))) {}
            if answered.contains(PollFlags::IN) {
                let mut piece = [0; 64 << 10];
                let length = self.answers.read(&mut piece).map_err(|error| broken(&error))?;
                self.read.extend_from_slice(&piece[..length]);
            } else if answered.intersects(PollFlags::HUP | PollFlags::ERR) {
                // It has closed its output; its end is near, or it has stopped sending.
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

impl Drop for LoaderProcess {
    fn drop(&mut self) {
        self.watch.end();
    }
}

/// What a loader wrote to its standard error last.
fn last_words() -> String {
    let all = fs::read(ERRORS).unwrap_or_default();
    let text = String::from_utf8_lossy(&all[all.len().saturating_sub(MOST_LAST_WORDS)..]).into_owned();
    text.trim().to_owned()
}

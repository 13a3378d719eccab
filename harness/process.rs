//! [`ChildGroup`]: every child process of the host side is started, watched and ended here.
//!
//! A child gets its own process group, dies with the thread that started it, and has its output drained all the time, so that
//! neither a full pipe nor a forgotten grandchild can hold up a run. Keep the starting thread alive as long as the child.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use wait_timeout::ChildExt;

/// How much of each output stream of a machine is kept; older bytes are dropped and counted.
const MACHINE_KEPT: usize = 256 * 1024;
/// How much of each output stream of a command is kept: package indexes are tens of megabytes.
const COMMAND_KEPT: usize = 64 << 20;
/// How long a reader may outlive its child because a stray process still holds the pipe.
const LEAK_LIMIT: Duration = Duration::from_millis(500);

/// What can go wrong with a child process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no such program.
    #[error("`{program}` is not installed")]
    Missing {
        /// The program.
        program: String,
    },
    /// The program could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The program ran, and failed.
    #[error("`{program}` ended with {status}{}", output_clause(.output))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to standard error and standard output.
        output: String,
    },
    /// The program did not end in time and was killed.
    #[error("`{program}` did not finish within {}s{}", .limit.as_secs(), output_clause(.output))]
    Deadline {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
        /// The end of what it wrote.
        output: String,
    },
}

fn output_clause(output: &str) -> String {
    match output.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// The end of one output stream, filled by its own thread.
#[derive(Debug, Clone, Default)]
pub struct Tail(Arc<Mutex<TailBytes>>);

#[derive(Debug, Default)]
struct TailBytes {
    bytes: VecDeque<u8>,
    kept: usize,
    dropped: u64,
}

impl Tail {
    fn keeping(kept: usize) -> Self {
        Tail(Arc::new(Mutex::new(TailBytes { kept, ..TailBytes::default() })))
    }

    fn push(&self, chunk: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.bytes.extend(chunk);
        let excess = tail.bytes.len().saturating_sub(tail.kept);
        tail.bytes.drain(..excess);
        tail.dropped += excess as u64;
    }

    /// How many bytes were written so far: whether there is anything new is cheaper to know than what.
    pub fn written(&self) -> u64 {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.dropped + tail.bytes.len() as u64
    }

    /// All that is kept, with bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        if tail.dropped == 0 { text.into_owned() } else { format!("[{} bytes dropped]\n{text}", tail.dropped) }
    }
}

/// A child process that leads its own process group. Dropping it kills the whole group.
#[derive(Debug)]
pub struct ChildGroup {
    program: String,
    child: Child,
    status: Option<ExitStatus>,
    stdout: Tail,
    stderr: Tail,
    readers: Vec<JoinHandle<()>>,
}

impl ChildGroup {
    /// Starts `command` with standard input closed and both outputs drained.
    pub fn spawn(command: Command) -> Result<Self, ProcessError> {
        Self::spawn_showing(command, None)
    }

    /// Starts `command` likewise, and shows each line of its outputs on standard error, with a name before it.
    pub fn spawn_showing(mut command: Command, name: Option<&str>) -> Result<Self, ProcessError> {
        Self::spawn_keeping(&mut command, MACHINE_KEPT, name)
    }

    fn spawn_keeping(command: &mut Command, kept: usize, shown_as: Option<&str>) -> Result<Self, ProcessError> {
        let path = Path::new(command.get_program());
        let program = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let mut child = command.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ProcessError::Missing { program: program.clone() },
            _ => ProcessError::Start { program: program.clone(), source },
        })?;
        let (stdout, stderr) = (Tail::keeping(kept), Tail::keeping(kept));
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(drain(pipe, stdout.clone(), shown_as.map(Echo::new)));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(drain(pipe, stderr.clone(), shown_as.map(Echo::new)));
        }
        Ok(ChildGroup { program, child, status: None, stdout, stderr, readers })
    }

    /// The end of its standard output.
    pub fn stdout(&self) -> &Tail {
        &self.stdout
    }

    /// The end of its standard error.
    pub fn stderr(&self) -> &Tail {
        &self.stderr
    }

    /// What the kernel says of the leader in `/proc/PID/status`; `None` if it has ended.
    pub fn proc_status(&self) -> Option<String> {
        // The id of one that was reaped may be another's.
        let id = self.status.is_none().then(|| self.child.id())?;
        std::fs::read_to_string(format!("/proc/{id}/status")).ok()
    }

    /// Waits at most `limit` for the leader to end. `None` if it is still running.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            // An error here means that someone else reaped the child; then there is nothing left to wait for.
            self.status = match self.child.wait_timeout(limit) {
                Ok(status) => status,
                Err(_) => Some(ExitStatus::from_raw(255 << 8)),
            };
            if self.status.is_some() {
                self.join_readers();
            }
        }
        self.status
    }

    /// Ends the whole group: politely first if `grace` is not zero, then by force.
    pub fn end(&mut self, grace: Duration) -> ExitStatus {
        if self.status.is_none() && !grace.is_zero() {
            self.signal(Signal::TERM);
            self.wait(grace);
        }
        // Also when the leader is gone: grandchildren may still be there. The id cannot have been given to another group as
        // long as a member lives, and killing an empty group fails harmlessly.
        self.signal(Signal::KILL);
        loop {
            if let Some(status) = self.wait(Duration::from_secs(1)) {
                return status;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // The group may be gone already, which is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn join_readers(&mut self) {
        let end = Instant::now() + LEAK_LIMIT;
        for reader in self.readers.drain(..) {
            while !reader.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(2));
            }
            if reader.is_finished() {
                // A reader cannot panic, and if it did its tail is still there.
                let _ = reader.join();
            }
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.end(Duration::ZERO);
        }
    }
}

/// Bytes of a line that are kept until they are shown.
const LONGEST_LINE: usize = 64 << 10;

/// Shows whole lines of an output on standard error.
struct Echo {
    name: String,
    open: Vec<u8>,
}

impl Echo {
    fn new(name: &str) -> Echo {
        Echo { name: name.to_owned(), open: Vec::new() }
    }

    fn push(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(piece);
            // A guest may write a line without end.
            if piece.ends_with(b"\n") || self.open.len() > LONGEST_LINE {
                let line = String::from_utf8_lossy(&self.open);
                // Firmware clears the screen and moves about.
                let line = console::strip_ansi_codes(line.trim_end()).into_owned();
                if !line.trim().is_empty() {
                    eprintln!("[{}] {}", self.name, line.replace(|c: char| c.is_control() && c != '\t', ""));
                }
                self.open.clear();
            }
        }
    }
}

fn drain(mut pipe: impl Read + Send + 'static, tail: Tail, mut echo: Option<Echo>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => {
                    tail.push(&chunk[..read]);
                    if let Some(echo) = &mut echo {
                        echo.push(&chunk[..read]);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })
}

/// A command that ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs `command` to its end in the C locale, at most for `limit`. How it ended is for the caller to judge.
pub fn finish(command: &mut Command, limit: Duration) -> Result<Finished, ProcessError> {
    command.env("LC_ALL", "C");
    let mut child = ChildGroup::spawn_keeping(command, COMMAND_KEPT, None)?;
    let Some(status) = child.wait(limit) else {
        child.end(Duration::ZERO);
        let output = both(&child.stdout.text(), &child.stderr.text());
        return Err(ProcessError::Deadline { program: child.program.clone(), limit, output });
    };
    Ok(Finished { status, stdout: child.stdout.text(), stderr: child.stderr.text() })
}

/// Runs `command` as [`finish`] does, and returns what it wrote to standard output if it succeeded.
pub fn run(mut command: Command, limit: Duration) -> Result<String, ProcessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = finish(&mut command, limit)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let (status, output) = (done.status.to_string(), both(&done.stdout, &done.stderr));
    Err(ProcessError::Failed { program, status, output })
}

fn both(stdout: &str, stderr: &str) -> String {
    format!("{stdout}\n{stderr}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_of_a_child_is_returned() {
        assert_eq!(run(shell("echo hello"), Duration::from_secs(10)).expect("runs"), "hello\n");
    }

    #[test]
    fn failure_carries_status_and_output() {
        let error = run(shell("echo why >&2; exit 7"), Duration::from_secs(10)).expect_err("fails");
        assert_eq!(error.to_string(), "`sh` ended with exit status: 7: why");
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_block() {
        let text = run(shell("head -c 1000000 /dev/zero"), Duration::from_secs(20)).expect("runs");
        assert_eq!(text.len(), 1_000_000);
        let mut child = ChildGroup::spawn(shell("head -c 1000000 /dev/zero")).expect("starts");
        assert!(child.wait(Duration::from_secs(20)).is_some());
        assert!(child.stdout().text().starts_with("[737856 bytes dropped]"));
        assert_eq!(child.stdout().written(), 1_000_000);
    }

    #[test]
    fn deadline_kills_grandchildren_too() {
        let begin = Instant::now();
        let error = run(shell("sleep 60 & echo $!; wait"), Duration::from_millis(300)).expect_err("is killed");
        assert!(begin.elapsed() < Duration::from_secs(20));
        let ProcessError::Deadline { output, .. } = error else { panic!("{error}") };
        let grandchild: i32 = output.trim().parse().expect("a pid");
        let gone = || !std::path::Path::new(&format!("/proc/{grandchild}/status")).exists() || zombie(grandchild);
        for _ in 0..500 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("grandchild {grandchild} is still running");
    }

    fn zombie(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains("State:\tZ"))
    }

    #[test]
    fn missing_program_is_named() {
        let error = run(Command::new("no-such-program-here"), Duration::from_secs(1)).expect_err("fails");
        assert_eq!(error.to_string(), "`no-such-program-here` is not installed");
    }
}

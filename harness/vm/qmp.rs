//! [`Qmp`]: the few words of QEMU's monitor protocol that stop a machine, save its state, and bring it back.
//!
//! A few commands over a unix socket, blocking and in lockstep; the client crates generate the whole protocol for them.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::state_transfer::{self, StateSocket};

/// The monitor's socket, in the scratch directory.
const MONITOR_SOCKET: &str = "qmp.sock";
/// How often the progress of a migration is queried.
const POLL: Duration = Duration::from_micros(500);
/// How often who waits for QEMU's connection looks at whether to go on.
const CONNECTING: Duration = Duration::from_millis(5);
/// How often who waits for an answer looks at whether to go on.
const SLICE: Duration = Duration::from_millis(100);
/// What QEMU does with a machine's state.
const SAVE: &str = "save the machine's state";
const READ: &str = "read the machine's state";
/// RAM that a file holds is left out of the state. Known under this name since QEMU 4.0.
const IGNORE_SHARED: &str = "x-ignore-shared";

/// Why the monitor did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QmpError {
    /// QEMU did not connect, or the connection broke or fell silent.
    #[error("QEMU's monitor does not respond: {0}")]
    Io(#[from] io::Error),
    /// QEMU takes too long.
    #[error("QEMU did not {what} within {}s", .limit.as_secs())]
    Deadline {
        /// What it was to do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// QEMU refused a command; its own words.
    #[error("QEMU refused `{command}`: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        reason: String,
    },
    /// Saving or reading the state failed; QEMU's own words.
    #[error("QEMU cannot {what}: {reason}")]
    Migration {
        /// What it was to do.
        what: &'static str,
        /// QEMU's words.
        reason: String,
    },
}

/// Waits for QEMU to connect to its monitor's socket, which it does once.
#[derive(Debug)]
pub struct Monitor {
    listener: UnixListener,
    socket: PathBuf,
    /// The connection, while no one uses it.
    kept: RefCell<Option<BufReader<UnixStream>>>,
}

impl Monitor {
    /// Binds the socket in the machine's directory.
    pub fn bind(scratch: &Path) -> io::Result<Self> {
        let socket = scratch.join(MONITOR_SOCKET);
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        Ok(Monitor { listener, socket, kept: RefCell::default() })
    }

    /// QEMU's options for a machine with this monitor. QEMU ends if no one listens.
    pub fn options(&self) -> [String; 2] {
        ["-qmp".to_owned(), format!("unix:{}", self.socket.display())]
    }

    /// Takes QEMU's connection and makes it ready for commands, all of which have to be done before `limit` is over. `give_up` ends the
    /// waiting; its answer is the reason.
    pub fn connect<'g>(&self, limit: Limit, give_up: &'g GiveUp<'g>) -> Result<Qmp<'g>, QmpError> {
        let scratch = self.socket.parent().unwrap_or(Path::new("/"));
        let state = StateSocket::beneath(scratch);
        if let Some(reader) = self.kept.take() {
            return Ok(Qmp { reader, state, limit, give_up });
        }
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(reason) = give_up() {
                return Err(io::Error::other(reason).into());
            }
            if limit.is_over() {
                return Err(limit.error("connect to its monitor"));
            }
            let pause = Timespec { tv_sec: 0, tv_nsec: CONNECTING.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&pause)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SLICE))?;
        let mut qmp = Qmp { reader: BufReader::new(stream), state, limit, give_up };
        // The greeting comes unasked.
        qmp.line()?;
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Keeps the connection for further commands.
    pub fn keep(&self, qmp: Qmp<'_>) {
        self.kept.replace(Some(qmp.reader));
    }
}

/// Why to wait no longer, if there is a reason.
pub type GiveUp<'g> = dyn Fn() -> Option<String> + 'g;

/// A time by which something must be done.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    begin: Instant,
    length: Duration,
}

impl Limit {
    /// `length` from `begin` on.
    pub fn from(begin: Instant, length: Duration) -> Limit {
        Limit { begin, length }
    }

    /// What is left of it.
    pub fn left(self) -> Duration {
        self.length.saturating_sub(self.begin.elapsed())
    }

    fn is_over(self) -> bool {
        self.left().is_zero()
    }

    fn error(self, what: &'static str) -> QmpError {
        QmpError::Deadline { what, limit: self.length }
    }
}

/// A connection to QEMU's monitor.
pub struct Qmp<'g> {
    reader: BufReader<UnixStream>,
    state: StateSocket,
    limit: Limit,
    give_up: &'g GiveUp<'g>,
}

impl Qmp<'_> {
    /// Stops the machine and writes its state, without its RAM, to `file`. The machine stays stopped.
    pub fn save_state(&mut self, file: &Path) -> Result<(), QmpError> {
        self.pause()?;
        self.ignore_shared_memory()?;
        let listener = self.state.listen()?;
        self.execute("migrate", &json!({ "uri": self.state.uri() }))?;
        // No word to the monitor before all is read: QEMU does not listen to it while it writes.
        state_transfer::receive(&listener, file, &mut || self.go_on_within(SAVE))?;
        self.migrated(SAVE)
    }

    /// Reads the state in `file` into a machine that was started to wait for it, and lets it run.
    pub fn resume_from(&mut self, file: &Path) -> Result<(), QmpError> {
        self.ignore_shared_memory()?;
        self.execute("migrate-incoming", &json!({ "uri": self.state.uri() }))?;
        let mut stream = self.state.connect()?;
        state_transfer::send(&mut stream, file, &mut || self.go_on_within(READ))?;
        drop(stream);
        self.migrated(READ)?;
        self.run()
    }

    /// Stops the machine, and its clock.
    pub fn pause(&mut self) -> Result<(), QmpError> {
        self.execute("stop", &json!({})).map(drop)
    }

    /// Lets a machine run that stands still.
    pub fn run(&mut self) -> Result<(), QmpError> {
        self.execute("cont", &json!({})).map(drop)
    }

    /// Ends QEMU, which has done nothing yet.
    pub fn quit(&mut self) -> Result<(), QmpError> {
        self.execute("quit", &json!({})).map(drop)
    }

    fn ignore_shared_memory(&mut self) -> Result<(), QmpError> {
        let capability = json!({ "capability": IGNORE_SHARED, "state": true });
        self.execute("migrate-set-capabilities", &json!({ "capabilities": [capability] }))?;
        Ok(())
    }

    fn migrated(&mut self, what: &'static str) -> Result<(), QmpError> {
        loop {
            let answer = self.execute("query-migrate", &json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let reason = answer["error-desc"].as_str().unwrap_or("no reason given").to_owned();
                    return Err(QmpError::Migration { what, reason });
                }
                _ => {
                    self.go_on_within(what)?;
                    std::thread::sleep(POLL);
                }
            }
        }
    }

    /// Sends a command and returns what it returns. Events in between are passed over.
    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, QmpError> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.reader.get_mut(), "{request}")?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                let reason = error["desc"].as_str().unwrap_or("no reason given").to_owned();
                return Err(QmpError::Refused { command: command.to_owned(), reason });
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn go_on(&self) -> Result<(), QmpError> {
        (self.give_up)().map_or(Ok(()), |reason| Err(io::Error::other(reason).into()))
    }

    fn go_on_within(&self, what: &'static str) -> Result<(), QmpError> {
        self.go_on()?;
        if self.limit.is_over() { Err(self.limit.error(what)) } else { Ok(()) }
    }

    fn line(&mut self) -> Result<Value, QmpError> {
        let mut line = Vec::new();
        loop {
            // What was read before the time was up stays in `line`.
            match self.reader.read_until(b'\n', &mut line) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => return Ok(serde_json::from_slice(&line).map_err(io::Error::from)?),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            self.go_on_within("respond on its monitor")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A monitor that answers each command with the next of `answers`, then hangs up.
    fn fake(folder: &Path, answers: &'static [&'static str]) -> std::thread::JoinHandle<Vec<String>> {
        let stream = UnixStream::connect(folder.join(MONITOR_SOCKET)).expect("connects");
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            writeln!(reader.get_mut(), r#"{{"QMP": {{}}}}"#).expect("greets");
            let mut heard = Vec::new();
            for answer in [r#"{"return": {}}"#].iter().chain(answers) {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                heard.push(line);
                if writeln!(reader.get_mut(), "{answer}").is_err() {
                    break;
                }
            }
            heard
        })
    }

    fn run(answers: &'static [&'static str]) -> (Result<(), QmpError>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let monitor = Monitor::bind(folder.path()).expect("binds");
        let qemu = fake(folder.path(), answers);
        // What fits into the socket need not be read.
        let _incoming = StateSocket::beneath(folder.path()).listen().expect("listens");
        let state = folder.path().join("state");
        std::fs::write(&state, b"a machine").expect("writes");
        let result = monitor
            .connect(Limit::from(Instant::now(), Duration::from_secs(5)), &|| None)
            .and_then(|mut qmp| qmp.resume_from(&state));
        (result, qemu.join().expect("ends"))
    }

    #[test]
    fn state_is_read_before_the_machine_runs() {
        let (result, heard) = run(&[
            r#"{"return": {}}"#,
            "{\"event\": \"MIGRATION\"}\n{\"return\": {}}",
            r#"{"return": {"status": "active"}}"#,
            r#"{"return": {"status": "completed"}}"#,
            r#"{"return": {}}"#,
        ]);
        result.expect("resumes");
        assert!(heard[2].contains("\"uri\":\"unix:/"), "{heard:?}");
        assert!(heard.last().is_some_and(|line| line.contains("\"cont\"")), "{heard:?}");
    }

    #[test]
    fn refusal_failure_and_hanging_up_are_told_in_qemu_s_words() {
        let (refused, _) = run(&[r#"{"error": {"class": "GenericError", "desc": "no such capability"}}"#]);
        assert_eq!(
            refused.expect_err("is refused").to_string(),
            "QEMU refused `migrate-set-capabilities`: no such capability"
        );
        let failure = r#"{"return": {"status": "failed", "error-desc": "Unknown section footer"}}"#;
        let (failed, _) = run(Box::leak(Box::new([r#"{"return": {}}"#, r#"{"return": {}}"#, failure])));
        assert_eq!(
            failed.expect_err("fails").to_string(),
            "QEMU cannot read the machine's state: Unknown section footer"
        );
        assert!(matches!(run(&[]).0.expect_err("was removed"), QmpError::Io(_)));
    }

    #[test]
    fn qemu_that_never_connects_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let monitor = Monitor::bind(folder.path()).expect("binds");
        let minute = Limit::from(Instant::now(), Duration::from_secs(60));
        let Err(error) = monitor.connect(minute, &|| Some("QEMU ended".to_owned())) else { panic!("must give up") };
        assert_eq!(error.to_string(), "QEMU's monitor does not respond: QEMU ended");
    }

    #[test]
    fn silent_monitor_is_given_up_with_its_own_limit_in_the_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let monitor = Monitor::bind(folder.path()).expect("binds");
        let connect = |length| monitor.connect(Limit::from(Instant::now(), length), &|| None).err();
        let error = connect(Duration::from_millis(10)).expect("nobody connects");
        assert_eq!(error.to_string(), "QEMU did not connect to its monitor within 0s");
        let _silent = UnixStream::connect(folder.path().join(MONITOR_SOCKET)).expect("connects");
        let error = connect(Duration::from_millis(1050)).expect("nobody greets");
        assert_eq!(error.to_string(), "QEMU did not respond on its monitor within 1s");
        let _silent = UnixStream::connect(folder.path().join(MONITOR_SOCKET)).expect("connects");
        let minute = Limit::from(Instant::now(), Duration::from_secs(60));
        let Err(error) = monitor.connect(minute, &|| Some("QEMU ended".to_owned())) else { panic!("must give up") };
        assert_eq!(error.to_string(), "QEMU's monitor does not respond: QEMU ended");
    }
}

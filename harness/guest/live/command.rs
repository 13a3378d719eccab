//! [`Running`]: the command's process, its terminal or pipes, and how it began and ended.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::fork;
use super::{root, set_size};
use corematrix_protocol::live::{CommandEnd, LiveCommand, Stream, TerminalSize};

/// A command that was started.
pub struct Running {
    process: libc::pid_t,
    end: Option<CommandEnd>,
    /// Standard input, or the terminal; `None` once it has ended.
    pub input: Option<File>,
    out: Option<File>,
    error: Option<File>,
    is_terminal: bool,
    /// What the process says until it is the command.
    pub reports: File,
    heard: Vec<u8>,
    notes: Vec<String>,
}

/// What is known about a command's beginning.
pub enum StartReport {
    /// It is about to run, with these shortcomings of its root.
    Begins(Vec<String>),
    /// It has no root.
    NoRoot(String),
    /// It could not be started.
    NotStarted(i32),
}

/// The command's ends of its terminal or pipes.
struct Ends {
    input: File,
    out: File,
    error: File,
}

impl Running {
    /// Starts the process that becomes the command once it has its root.
    pub fn start(command: &LiveCommand) -> Result<Running, String> {
        let broken = |error: io::Error| format!("cannot make a pipe: {error}");
        let (reports, tell) = pipe().map_err(broken)?;
        let (ends, input, out, error) = match command.terminal {
            Some(size) => {
                let (master, slave) = terminal().map_err(|error| format!("cannot make a terminal: {error}"))?;
                set_size(&master, size);
                let twin = |file: &File| file.try_clone().map_err(broken);
                let ends = Ends { input: twin(&slave)?, out: twin(&slave)?, error: slave };
                (ends, twin(&master)?, master, None)
            }
            None => {
                let ((input, to), (out, from), (error, from_error)) =
                    (pipe().map_err(broken)?, pipe().map_err(broken)?, pipe().map_err(broken)?);
                (Ends { input, out: from, error: from_error }, to, out, Some(error))
            }
        };
        for file in [&input, &out, &reports].into_iter().chain(&error) {
            unblock(file).map_err(broken)?;
        }
        let is_terminal = command.terminal.is_some();
        let process = fork::start(|| become_command(command, &ends, tell, is_terminal))?;
        let (input, out) = (Some(input), Some(out));
        Ok(Running {
            process,
            end: None,
            input,
            out,
            error,
            is_terminal,
            reports,
            heard: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// What can be read from.
    pub fn outputs(&self) -> impl Iterator<Item = &File> {
        self.out.iter().chain(&self.error)
    }

    /// Where a stream is read from; `None` if it has ended.
    pub fn output(&mut self, stream: Stream) -> Option<&mut File> {
        match stream {
            Stream::Out => self.out.as_mut(),
            Stream::Error => self.error.as_mut(),
        }
    }

    /// A stream has ended.
    pub fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Out => self.out = None,
            Stream::Error => self.error = None,
        }
    }

    /// There is no more input. On a terminal someone has to type that.
    pub fn end_input(&mut self) {
        if !self.is_terminal {
            self.input = None;
        }
    }

    /// The terminal has another size; the kernel signals the processes on it.
    pub fn resize(&mut self, size: TerminalSize) {
        if let (true, Some(terminal)) = (self.is_terminal, &self.out) {
            set_size(terminal, size);
        }
    }

    /// How the command ended, if it has.
    pub fn ended(&mut self) -> Option<CommandEnd> {
        self.reap();
        self.end.clone()
    }

    /// Buries processes that have ended; whether none is left.
    pub fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: `status` is valid for the call. -1 is any child: the first process inherits those of others.
            match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
                0 => return false,
                -1 => return true,
                ended if ended == self.process => {
                    self.end = Some(match libc::WIFSIGNALED(status) {
                        true => CommandEnd::Signal { signal: libc::WTERMSIG(status) },
                        false => CommandEnd::Code { code: libc::WEXITSTATUS(status) },
                    });
                }
                _ => {}
            }
        }
    }

    /// What was reported since the last call.
    pub fn listen(&mut self) -> Vec<StartReport> {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = self.reports.read(&mut chunk) {
            self.heard.extend_from_slice(&chunk[..read]);
        }
        let mut reports = Vec::new();
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
            self.heard.drain(..=end);
            match line.split_once(' ') {
                Some(("note", note)) => self.notes.push(note.to_owned()),
                Some(("root", reason)) => reports.push(StartReport::NoRoot(reason.to_owned())),
                Some(("exec", errno)) => reports.push(StartReport::NotStarted(errno.parse().unwrap_or(0))),
                _ => reports.push(StartReport::Begins(std::mem::take(&mut self.notes))),
            }
        }
        reports
    }
}

/// In the new process. Returns the exit code of one that could not become the command.
fn become_command(command: &LiveCommand, ends: &Ends, mut tell: File, is_terminal: bool) -> i32 {
    // Lines of reasons must stay lines. If no one listens, the error is lost.
    let mut say = |what: &str, text: &str| {
        let _ = writeln!(tell, "{what} {}", text.replace('\n', " "));
    };
    // SAFETY: plain numbers; the process has just been forked and leads no group, so that it can have a session of its own.
    unsafe { libc::setsid() };
    match root::enter(command) {
        Ok(notes) => notes.iter().for_each(|note| say("note", note)),
        Err(reason) => {
            say("root", &reason);
            return 126;
        }
    }
    let to = [(&ends.input, 0), (&ends.out, 1), (&ends.error, 2)];
    for (file, number) in to {
        // SAFETY: plain numbers; the standard streams are this process' own.
        unsafe { libc::dup2(file.as_raw_fd(), number) };
    }
    if is_terminal {
        // SAFETY: plain numbers; a session that leads no terminal takes its standard input for one.
        unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    }
    // SAFETY: plain numbers. Rust ignores this signal, and the command would inherit that.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    for (name, _) in std::env::vars_os().collect::<Vec<_>>() {
        // SAFETY: this process has one thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in &command.environment {
        // SAFETY: this process has one thread; the host has seen to it that the names are names.
        unsafe { std::env::set_var(name, value) };
    }
    say("begin", "");
    let errno = exec(&command.words);
    say("exec", &errno.to_string());
    127
}

/// Becomes the command; returns the errno if that fails.
fn exec(words: &[String]) -> i32 {
    let Ok(words) = words.iter().map(|word| std::ffi::CString::new(word.as_str())).collect::<Result<Vec<_>, _>>()
    else {
        return libc::EINVAL;
    };
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: all strings are valid and the list ends with null. A call that returns has failed.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Both ends of a new pipe, not to be inherited by the command.
fn pipe() -> io::Result<(File, File)> {
    let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((from.into(), to.into()))
}

fn unblock(file: &File) -> io::Result<()> {
    Ok(fcntl_setfl(file, fcntl_getfl(file)? | OFlags::NONBLOCK)?)
}

/// Both ends of a new terminal.
fn terminal() -> io::Result<(File, File)> {
    let open = |path: &str| fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
    let master = open("/dev/pts/ptmx")?;
    let (mut number, unlocked): (libc::c_uint, libc::c_int) = (0, 0);
    // SAFETY: the descriptor is open and both numbers are valid for the calls.
    let made = unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) == 0
            && libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) == 0
    };
    if !made {
        return Err(io::Error::last_os_error());
    }
    Ok((master, open(&format!("/dev/pts/{number}"))?))
}

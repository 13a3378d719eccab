//! [`serve`]: runs a command of the user on the host's files, and hands on what it and the kernel ask for.
//!
//! The guest side stays one thread: it waits for the port, the kernel's requests for files, and the command's output at once. Anything that
//! touches the host's files does so in another process, since it waits for answers that pass through here.

mod command;
mod output_files;
mod root;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::exercise::trigger;
use super::fork;
use command::{Running, StartReport};
use corematrix_protocol::live::{CommandEnd, LiveCommand, LiveOrder, LiveReport, Stream, TerminalSize};
use corematrix_protocol::{self as protocol, FrameReader, GuestMessage, HostMessage};

/// How often the end of processes is looked for.
const TICK: Duration = Duration::from_millis(20);
/// A request of the kernel's file system has far less; the kernel wants room for the largest.
const REQUEST_ROOM: usize = 1 << 17;
/// Output goes to the host in pieces of this size, so that it never holds up requests for files.
const PIECE: usize = 16 << 10;
/// Between two rounds of forks, files, connections and so on.
const EXERCISE_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether killed processes are gone.
const FAREWELL: u32 = 100;

/// Obeys an order that is no command in a loop of its own: those that come too late are useless.
pub fn serve(port: &mut File, order: LiveOrder, blob: &[u8]) -> Result<(), String> {
    match order {
        LiveOrder::Module { name } => {
            if let Err(error) = root::load_module(blob) {
                // What needs it fails, and says so.
                eprintln!("corematrix guest: cannot load module {name}: {error}");
            }
            Ok(())
        }
        LiveOrder::Begin(command) => run(port, &command),
        LiveOrder::Answer | LiveOrder::Input | LiveOrder::Resize(_) | LiveOrder::Kill => Ok(()),
    }
}

fn run(port: &mut File, command: &LiveCommand) -> Result<(), String> {
    let mut log = output_files::LogSinceStart::from_now_on();
    let mut live = match Live::begin(port, command) {
        Ok(live) => live,
        Err(reason) => {
            report(port, LiveReport::NoRoot { reason }, &[])?;
            return report(port, LiveReport::KernelLog, &log.text());
        }
    };
    live.attend()?;
    output_files::send(|kept, blob| report(port, kept, blob))?;
    report(port, LiveReport::KernelLog, &log.text())
}

fn report(port: &mut File, report: LiveReport, blob: &[u8]) -> Result<(), String> {
    protocol::write_message(port, &GuestMessage::Live(report), blob).map_err(|error| error.to_string())
}

/// A command that runs.
struct Live<'a> {
    port: &'a mut File,
    reader: FrameReader,
    /// Where the kernel asks for the host's files.
    files: File,
    running: Running,
    /// Input that the command has not taken yet; `None` at its end.
    input: VecDeque<Option<Vec<u8>>>,
    /// Whether it was reported how the command began.
    began: bool,
    /// How the command ended before it could begin.
    failed: Option<CommandEnd>,
}

impl<'a> Live<'a> {
    fn begin(port: &'a mut File, command: &LiveCommand) -> Result<Self, String> {
        let files = root::mount_host_files()?;
        root::prepare(command)?;
        if command.exercise {
            // Before the command has pipes, of which another process would keep the ends open.
            fork::start(|| {
                loop {
                    trigger::pull_all();
                    std::thread::sleep(EXERCISE_PAUSE);
                }
            })?;
        }
        let running = Running::start(command)?;
        let (reader, input) = (FrameReader::for_guest(), VecDeque::new());
        Ok(Live { port, reader, files, running, input, began: false, failed: None })
    }

    /// Until the command has ended.
    fn attend(&mut self) -> Result<(), String> {
        let end = loop {
            let ready = self.wait().map_err(|error| format!("cannot wait: {error}"))?;
            if ready.port {
                self.obey()?;
            }
            if ready.files {
                self.hand_on_requests()?;
            }
            if ready.reports {
                self.listen()?;
            }
            self.feed()?;
            for stream in [Stream::Out, Stream::Error] {
                self.pass_on(stream, PIECE)?;
            }
            if let Some(end) = self.running.ended() {
                break end;
            }
        };
        self.listen()?;
        for stream in [Stream::Out, Stream::Error] {
            while self.pass_on(stream, PIECE)? {}
        }
        self.kill();
        let end = self.failed.take().unwrap_or(end);
        if !self.began {
            // It was killed before it began.
            report(self.port, LiveReport::Started { notes: Vec::new() }, &[])?;
        }
        report(self.port, LiveReport::Ended(end), &[])
    }

    fn wait(&mut self) -> io::Result<Ready> {
        let mut what = vec![
            PollFd::new(&*self.port, PollFlags::IN),
            PollFd::new(&self.files, PollFlags::IN),
            PollFd::new(&self.running.reports, PollFlags::IN),
        ];
        what.extend(self.running.outputs().map(|output| PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)));
        if !self.input.is_empty()
            && let Some(input) = &self.running.input
        {
            what.push(PollFd::new(input, PollFlags::OUT));
        }
        let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        match poll(&mut what, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| !what[at].revents().is_empty();
        let ready = Ready { port: is_ready(0), files: is_ready(1), reports: is_ready(2) };
        if what[2].revents() == PollFlags::HUP {
            // A closed pipe would never let anybody wait.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(ready)
    }

    /// Reads what the host says, and does it.
    fn obey(&mut self) -> Result<(), String> {
        let mut chunk = vec![0; 1 << 16];
        let read = self.port.read(&mut chunk).map_err(|error| format!("the data channel broke: {error}"))?;
        if read == 0 {
            return Err("the data channel closed".to_owned());
        }
        self.reader.push(&chunk[..read]);
        while let Some((message, blob)) = self.reader.take_message().map_err(|error| error.to_string())? {
            match message {
                HostMessage::Live(LiveOrder::Answer) => {
                    // The kernel may have given up the request meanwhile.
                    let _ = self.files.write(&blob);
                }
                HostMessage::Live(LiveOrder::Input) => self.input.push_back((!blob.is_empty()).then_some(blob)),
                HostMessage::Live(LiveOrder::Resize(size)) => self.running.resize(size),
                HostMessage::Live(LiveOrder::Kill) => self.kill(),
                HostMessage::Shutdown => return Err("the host ended the guest".to_owned()),
                other => return Err(format!("the host said {other:?} while a command runs")),
            }
        }
        Ok(())
    }

    fn hand_on_requests(&mut self) -> Result<(), String> {
        let mut request = vec![0; REQUEST_ROOM];
        loop {
            match self.files.read(&mut request) {
                Ok(length) => report(self.port, LiveReport::Asked, &request[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A request was given up before it was read.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {}
                Err(error) => return Err(format!("the kernel's requests for files cannot be read: {error}")),
            }
        }
    }

    /// Hears how the command began.
    fn listen(&mut self) -> Result<(), String> {
        for begin in self.running.listen() {
            match begin {
                StartReport::Begins(notes) => {
                    self.began = true;
                    report(self.port, LiveReport::Started { notes }, &[])?;
                }
                StartReport::NoRoot(reason) => {
                    self.began = true;
                    report(self.port, LiveReport::NoRoot { reason }, &[])?;
                }
                StartReport::NotStarted(errno) => self.failed = Some(CommandEnd::NotStarted { errno }),
            }
        }
        Ok(())
    }

    /// Gives the command its input, as much as it takes.
    fn feed(&mut self) -> Result<(), String> {
        let mut took = 0;
        while let Some(next) = self.input.front_mut() {
            let (Some(piece), Some(input)) = (next.as_mut(), self.running.input.as_mut()) else {
                // The end of the input; or there is no one to take it.
                took += self.input.pop_front().flatten().map_or(0, |piece| piece.len());
                self.running.end_input();
                continue;
            };
            match input.write(piece) {
                Ok(written) => {
                    took += written;
                    piece.drain(..written);
                    if piece.is_empty() {
                        self.input.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.running.input = None,
            }
        }
        if took > 0 {
            report(self.port, LiveReport::Took { bytes: took }, &[])?;
        }
        Ok(())
    }

    /// Hands on a piece of output; whether there may be more.
    fn pass_on(&mut self, stream: Stream, most: usize) -> Result<bool, String> {
        let mut piece = vec![0; most];
        let Some(output) = self.running.output(stream) else { return Ok(false) };
        match output.read(&mut piece) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            // A terminal whose last user is gone fails to be read.
            Ok(0) | Err(_) => {
                self.running.close(stream);
                Ok(false)
            }
            Ok(read) => {
                report(self.port, LiveReport::Output { stream }, &piece[..read])?;
                Ok(true)
            }
        }
    }

    /// Kills every process but this one, and waits until they are gone.
    fn kill(&mut self) {
        for _ in 0..FAREWELL {
            // SAFETY: plain numbers; the first process is spared by the kernel.
            if unsafe { libc::kill(-1, libc::SIGKILL) } != 0 {
                return;
            }
            if self.running.reap() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What there is to do.
struct Ready {
    port: bool,
    files: bool,
    reports: bool,
}

/// What is in the guest's own file system, where the command's root is put together.
fn folder(name: &str) -> String {
    format!("/corematrix/{name}")
}

fn make_folder(path: &str) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|error| format!("cannot make `{path}`: {error}"))
}

fn set_size(terminal: &File, size: TerminalSize) {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open and `size` is valid for the call. A terminal of the wrong size is no failure.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

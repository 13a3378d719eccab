//! A command in one guest, attended by whoever has the standard streams of this process: [`start`] and [`User`].

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::SIGWINCH;

use super::failure::Failure;
use crate::event::Event;
use crate::exec::{Attendant, OutputFiles};
use crate::output;
use crate::protocol::live::{LeftKind, Stream, TerminalSize};
use crate::record::KernelState;
use crate::run::{Guest, RunContext, Stop};

/// Ctrl-], as telnet has it: three of them end a guest that no longer answers.
const ESCAPE: u8 = 0x1d;
/// How many of them, one after the other.
const ESCAPES: u32 = 3;
/// As much input is read at once.
const INPUT_PIECE: usize = 16 << 10;

/// Starts the guest of the plan's only kernel. `tell` gets every event on the way.
pub(super) fn start(context: &RunContext<'_>, mut tell: impl FnMut(&Event) + Send + 'static) -> Result<Guest, Failure> {
    let (sender, events) = mpsc::channel();
    let teller = std::thread::spawn(move || {
        let mut failed = None;
        for event in events {
            tell(&event);
            if let Event::KernelFailed { state, .. } = event {
                failed = Some(state);
            }
        }
        failed
    });
    // QEMU dies with the thread that starts it, so it is this one.
    let guest = crate::run::start_guest(context, 0, &sender);
    drop(sender);
    let failed = teller.join().ok().flatten();
    guest.ok_or_else(|| match failed {
        Some(
            KernelState::Unavailable { reason, hint }
            | KernelState::BootFailed { reason, hint, .. }
            | KernelState::HarnessFailed { reason, hint, .. },
        ) => Failure::infrastructure(format!("kernel `{}`: {reason}", context.plan.kernels[0].name), hint),
        _ => Failure::interrupted(),
    })
}

/// The terminal, if there is one, in the state in which each key goes to the guest.
pub(super) struct Screen {
    /// `None` if standard input or output is no terminal.
    pub(super) size: Option<TerminalSize>,
    /// How the terminal was.
    before: Option<Termios>,
}

impl Screen {
    /// The terminal that standard input and output are, if they are one.
    pub(super) fn open() -> Screen {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Screen { size: is_terminal.then(size), before: None }
    }

    /// None, no matter what the streams are: they are handed on as they come.
    pub(super) fn none() -> Screen {
        Screen { size: None, before: None }
    }

    /// Hands each key on as it is.
    fn make_raw(&mut self) -> std::io::Result<()> {
        if self.size.is_some() {
            let before = tcgetattr(std::io::stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            self.before = Some(before);
            tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw)?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // There is no one left to read it.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &before);
        }
    }
}

fn size() -> TerminalSize {
    let found = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    found
        .map_or(TerminalSize { rows: 24, columns: 80 }, |size| TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Who sits at the terminal, or at the other ends of the standard streams.
pub(super) struct User {
    screen: Screen,
    input: File,
    resized: Arc<AtomicBool>,
    escapes: u32,
    stop: Stop,
    left: Option<OutputFiles>,
    /// Whether the command has begun.
    pub(super) began: bool,
    /// What its root lacks.
    pub(super) notes: Vec<String>,
}

impl User {
    pub(super) fn new(screen: Screen, left: Option<OutputFiles>, stop: Stop) -> Result<User, Failure> {
        let no_input =
            |error: std::io::Error| Failure::infrastructure(format!("cannot read standard input: {error}"), None);
        let resized = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGWINCH, Arc::clone(&resized)).map_err(no_input)?;
        let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(no_input)?;
        let (began, notes) = (false, Vec::new());
        Ok(User { screen, input: input.into(), resized, escapes: 0, stop, left, began, notes })
    }

    /// Gives the terminal back and says what could not be done.
    pub(super) fn leave(self) {
        drop(self.screen);
        for note in self.left.iter().flat_map(|left| left.notes()) {
            eprintln!("warning: {note}");
        }
    }

    /// Ends the guest by force after some Ctrl-], one after the other.
    fn mind_escapes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.escapes = if *byte == ESCAPE { self.escapes + 1 } else { 0 };
            if self.escapes == ESCAPES {
                self.stop.ask();
                self.stop.ask();
            }
        }
    }
}

impl Attendant for User {
    fn started(&mut self, notes: &[String]) {
        self.began = true;
        self.notes.extend_from_slice(notes);
        if self.screen.size.is_some() {
            notes.iter().for_each(|note| eprintln!("note: {note}"));
            eprintln!(
                "the files of the host are visible, but changes to them stay in the guest; `exit` leaves, Ctrl-] three \
    times kills the guest"
            );
        }
        if let Err(error) = self.screen.make_raw() {
            eprintln!("warning: cannot set the terminal to raw mode: {error}");
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Out => output::write(bytes),
            // There is nowhere to say that it cannot be written.
            Stream::Error => _ = std::io::stderr().write_all(bytes),
        }
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        Some(self.input.as_fd())
    }

    fn read(&mut self, most: usize) -> Option<Vec<u8>> {
        let mut ready = [PollFd::new(&self.input, PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
            return None;
        }
        let mut bytes = vec![0; most.min(INPUT_PIECE)];
        // What cannot be read has ended.
        let read = self.input.read(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        if self.screen.size.is_some() {
            self.mind_escapes(&bytes);
        }
        Some(bytes)
    }

    fn resized(&mut self) -> Option<TerminalSize> {
        (self.screen.size.is_some() && self.resized.swap(false, Ordering::Relaxed)).then(size)
    }

    fn left(&mut self, path: &str, kind: LeftKind, bytes: &[u8]) {
        if let Some(left) = &mut self.left {
            left.take(path, kind, bytes);
        }
    }
}

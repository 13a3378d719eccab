//! What host and guest say to each other while a command of the user runs in a guest: [`LiveOrder`] and [`LiveReport`].
//!
//! The guest's root is the host's file system: the guest's kernel asks by FUSE, the guest hands each request on unread, and the
//! host answers it. What the command writes stays in the guest's memory.

use serde::{Deserialize, Serialize};

/// Where the guest has what the command gets and leaves.
pub const FOLDER: &str = "/run/corematrix";
/// The variable with the kernel's name in the manifest.
pub const KERNEL: &str = "COREMATRIX_KERNEL";
/// As many bytes of input as may be on their way to a command that does not read them.
pub const INPUT_WINDOW: usize = 64 << 10;

/// Directory of [`FOLDER`] with what is to be taken out, which is `$OUT` in the guest.
pub fn out_folder() -> String {
    format!("{FOLDER}/out")
}

/// Directory of [`FOLDER`] with what was given in, which is `$IN` in the guest.
pub fn in_folder() -> String {
    format!("{FOLDER}/in")
}

/// From host to guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum LiveOrder {
    /// Load the kernel module in the blob. Nothing answers.
    Module {
        /// Its name, for messages.
        name: String,
    },
    /// Run a command on the host's files.
    Begin(LiveCommand),
    /// The blob answers a request of the guest's kernel for a file.
    Answer,
    /// The blob is input for the command; none means that there is no more.
    Input,
    /// The terminal has another size.
    Resize(TerminalSize),
    /// Kill everything that the command has started.
    Kill,
}

/// A command, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCommand {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub folder: String,
    /// A directory of the host that it finds as `$IN`.
    pub given: Option<String>,
    /// Whether it gets a terminal, and of which size; otherwise it gets pipes.
    pub terminal: Option<TerminalSize>,
    /// Whether the guest makes forks, files, connections and so on as long as the command runs.
    pub exercise: bool,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// From guest to host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum LiveReport {
    /// The blob is a request of the guest's kernel for a file.
    Asked,
    /// The command is about to run on its root.
    Started {
        /// What could not be set up as it should be.
        notes: Vec<String>,
    },
    /// The root could not be made, so that the command never ran.
    NoRoot {
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// The blob is what the command wrote.
    Output {
        /// Where to.
        stream: Stream,
    },
    /// So many bytes of input were taken by the command, or dropped because it is gone.
    Took {
        /// How many.
        bytes: usize,
    },
    /// The command ended.
    Ended(CommandEnd),
    /// The blob is a piece of a file that the command left in `$OUT`, or all of it.
    Left {
        /// Relative to `$OUT`.
        path: String,
        /// What it is.
        kind: LeftKind,
    },
    /// The blob is what the kernel logged meanwhile. This is the last report.
    KernelLog,
}

/// Where a command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output, or the terminal.
    Out,
    /// Standard error.
    Error,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum CommandEnd {
    /// By itself.
    Code {
        /// The exit code.
        code: i32,
    },
    /// By a signal.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// It could not be started.
    NotStarted {
        /// Positive errno.
        errno: i32,
    },
}

/// What a command left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftKind {
    /// A directory.
    Folder,
    /// The beginning of a file.
    File,
    /// More of the same file.
    More,
    /// Something else, which is not taken out.
    Other,
}

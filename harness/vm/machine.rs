//! [`Machine`]: one guest that said hello, and what becomes of it. `boot` and `restore` make machines.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::channel::{Channel, Listeners, Received, SendError};
use super::console::{self, Culprit};
use super::initramfs::GuestFile;
use super::last_words::LastWords;
use super::running_guest::{RunningGuest, private_mib};
use super::snapshot::Recording;
use super::{Accelerator, Deadlines, DebugOptions, GuestShape, Toolchain};
use crate::manifest::KernelSpec;
use crate::process::ChildGroup;
use crate::protocol::{GuestMessage, HostMessage, ModuleLoad, Woken};
use crate::store::StoredKernel;

/// How long QEMU may take to end after its guest is gone, and its last output to arrive.
pub(super) const AFTERMATH: Duration = Duration::from_secs(2);
/// How long it takes to read what a guest that is no more has left in the channel.
const LEFTOVER: Duration = Duration::from_millis(10);
/// How long a guest may take to power off when asked.
const FAREWELL: Duration = Duration::from_secs(3);

/// What to boot and how.
#[derive(Clone, Copy)]
pub struct MachineSpec<'a> {
    /// The kernel's name in the manifest.
    pub name: &'a str,
    /// The programs that make machines.
    pub tools: &'a Toolchain,
    /// The kernel.
    pub kernel: &'a StoredKernel,
    /// What the guest is like.
    pub shape: &'a GuestShape,
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// Whether the user wants to stop at once.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// What helps to look into the guest.
    pub debug: DebugOptions,
    /// Whether the kernel shall log all it does: a silent boot may have failed before its console worked.
    pub talkative: bool,
    /// What is in its initramfs beside what every guest has.
    pub files: &'a [GuestFile],
}

impl<'a> MachineSpec<'a> {
    /// What a kernel of the manifest boots with.
    pub fn new(
        tools: &'a Toolchain,
        spec: &'a KernelSpec,
        (kernel, shape): (&'a StoredKernel, &'a GuestShape),
        accelerator: Accelerator,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let deadlines = Deadlines::scaled(spec.boot_timeout, spec.program_timeout, accelerator);
        let deadlines = deadlines.with_cpus(shape.cpus, accelerator);
        MachineSpec {
            name: &spec.name,
            tools,
            kernel,
            shape,
            accelerator,
            deadlines,
            stop,
            debug: DebugOptions::default(),
            talkative: false,
            files: &[],
        }
    }
}

/// A guest that said hello. Dropping it kills QEMU and removes the machine's directory.
#[derive(Debug)]
pub struct Machine {
    pub(super) child: ChildGroup,
    pub(super) channel: Channel,
    /// Whether QEMU has given up its guest.
    pub(super) last_words: LastWords,
    /// Removed when the machine goes.
    pub(super) scratch: TempDir,
    /// What it takes to snapshot this machine; `None` if it was not booted for that.
    pub(super) recording: Option<Recording>,
    /// What it is like.
    pub shape: GuestShape,
    /// What could not be set up in the guest and is not vital.
    pub notes: Vec<String>,
    /// What became of the modules that it had to load.
    pub modules: Vec<ModuleLoad>,
    /// What a restored guest has of its own.
    pub woken: Option<Woken>,
    /// From starting QEMU until the guest answered.
    pub to_hello: Duration,
    /// Has to last as long as QEMU does.
    pub room: Option<Box<dyn RunningGuest>>,
}

/// Why there is no machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootFailure {
    /// Its config says that no guest can start on this kernel, so that none was tried.
    Unfit {
        /// A lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// The kernel or its image is to blame.
    Kernel {
        /// A lowercase fragment.
        reason: String,
        /// What the user can do, if it is known.
        hint: Option<String>,
        /// The last lines of the console.
        console: Vec<String>,
    },
    /// QEMU, virtme-ng or the host is to blame.
    Harness {
        /// A lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
        /// The last lines of the console and of QEMU's error output.
        console: Vec<String>,
        /// Whether another try could go better.
        passing: bool,
    },
    /// The user wants to stop.
    Stopped,
}

impl BootFailure {
    /// Why, as a lowercase fragment.
    pub fn reason(&self) -> &str {
        match self {
            BootFailure::Unfit { reason, .. }
            | BootFailure::Kernel { reason, .. }
            | BootFailure::Harness { reason, .. } => reason,
            BootFailure::Stopped => "stopped by the user",
        }
    }

    /// What the user can do, if it is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            BootFailure::Unfit { hint, .. } => Some(hint),
            BootFailure::Kernel { hint, .. } | BootFailure::Harness { hint, .. } => hint.as_deref(),
            BootFailure::Stopped => None,
        }
    }
}

/// Why a machine is useless.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestLoss {
    /// The kernel crashed; its own words.
    Crashed(String),
    /// Nothing was heard until the deadline.
    Silent,
    /// QEMU or the channel broke, or the guest ended silently.
    Harness(String),
    /// The user wants to stop.
    Stopped,
}

impl std::fmt::Display for GuestLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GuestLoss::Crashed(line) | GuestLoss::Harness(line) => line,
            GuestLoss::Silent => "no response in time",
            GuestLoss::Stopped => "stopped by the user",
        })
    }
}

/// The host's side of a guest that said hello; a [`Machine`], or a test's script.
pub trait GuestLink {
    /// Sends a request. A guest that takes none of it for as long as `limit` is lost.
    ///
    /// # Errors
    /// Why the guest is lost.
    fn send(
        &mut self,
        message: &HostMessage,
        blob: &[u8],
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), GuestLoss>;

    /// Waits for the guest's next message, at most for `limit`.
    ///
    /// # Errors
    /// Why the guest is lost, silence included.
    fn receive(
        &mut self,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(GuestMessage, Vec<u8>), GuestLoss>;

    /// Waits for the guest's next message for a moment, at most for `limit`; `None` if there is none, or if there is something to read
    /// from `beside`. Of silence nothing is concluded.
    ///
    /// # Errors
    /// Why the guest is lost.
    fn attend(
        &mut self,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<Option<(GuestMessage, Vec<u8>)>, GuestLoss>;

    /// What the console says of a guest that no longer answers: whether its kernel crashed.
    fn silence(&self) -> GuestLoss;

    /// The last lines of the console and of QEMU's error output.
    fn console_tail(&self) -> Vec<String>;

    /// How many bytes the guest has sent so far.
    fn received(&self) -> u64;

    /// What the guest is like.
    fn shape(&self) -> &GuestShape;

    /// What became of the modules that it had to load.
    fn modules(&self) -> &[ModuleLoad];

    /// Asks the guest to end, and sees to it.
    fn shut_down(&mut self);
}

impl GuestLink for Machine {
    fn send(
        &mut self,
        message: &HostMessage,
        blob: &[u8],
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), GuestLoss> {
        let (child, last_words) = (&self.child, &self.last_words);
        self.channel.send(message, blob, limit, &|| stop() || last_words.in_output_of(child)).map_err(|error| {
            match error {
                SendError::Stopped => self.stopped(),
                // The object has done nothing yet, so that it is not to blame.
                SendError::Stuck | SendError::Broken(_) => self.loss(&error.to_string()),
            }
        })
    }

    fn receive(
        &mut self,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(GuestMessage, Vec<u8>), GuestLoss> {
        // A crash that did not end the machine looks like silence; the console knows better.
        self.attend(limit, stop, None)?.ok_or_else(|| self.silence())
    }

    fn attend(
        &mut self,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<Option<(GuestMessage, Vec<u8>)>, GuestLoss> {
        match self.wait_until(Instant::now() + limit, stop, beside) {
            Received::Message(message, blob) => Ok(Some((message, blob))),
            Received::Silence => Ok(None),
            Received::Stopped => Err(self.stopped()),
            Received::Garbage(what) => Err(GuestLoss::Harness(what)),
            Received::Closed => Err(self.loss("the data channel closed")),
        }
    }

    fn silence(&self) -> GuestLoss {
        match console::culprit(&self.output()) {
            Some(Culprit::Kernel(line)) => GuestLoss::Crashed(line),
            Some(Culprit::Harness(line)) => GuestLoss::Harness(line),
            Some(Culprit::Image(_)) | None => GuestLoss::Silent,
        }
    }

    fn console_tail(&self) -> Vec<String> {
        console::tail(&self.output())
    }

    fn received(&self) -> u64 {
        self.channel.received()
    }

    fn shape(&self) -> &GuestShape {
        &self.shape
    }

    fn modules(&self) -> &[ModuleLoad] {
        &self.modules
    }

    fn shut_down(&mut self) {
        if self.channel.send(&HostMessage::Shutdown, &[], FAREWELL, &|| false).is_ok() {
            self.child.wait(FAREWELL);
        }
    }
}

impl Machine {
    /// A machine whose guest has yet to say hello.
    pub(super) fn new(
        child: ChildGroup,
        listeners: Listeners,
        scratch: TempDir,
        recording: Option<Recording>,
        shape: &GuestShape,
    ) -> Machine {
        Machine {
            child,
            channel: Channel::new(listeners),
            last_words: LastWords::default(),
            scratch,
            recording,
            shape: shape.clone(),
            notes: Vec::new(),
            modules: Vec::new(),
            woken: None,
            to_hello: Duration::ZERO,
            room: None,
        }
    }

    /// Waits for what comes over the channel. QEMU's last words end the waiting as a user does who wants to stop.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        stop: &(dyn Fn() -> bool + Sync),
        beside: Option<BorrowedFd<'_>>,
    ) -> Received {
        let (child, last_words) = (&self.child, &self.last_words);
        match self.channel.receive(deadline, &|| stop() || last_words.in_output_of(child), beside) {
            Received::Stopped if last_words.line().is_some() => {
                // What the guest said before that still counts.
                match self.channel.receive(Instant::now() + LEFTOVER, &|| false, None) {
                    Received::Message(message, blob) => Received::Message(message, blob),
                    _ => Received::Stopped,
                }
            }
            received => received,
        }
    }

    /// Who stopped the waiting: the user, or QEMU by its last words, which is ended then: it would stay for ever.
    fn stopped(&mut self) -> GuestLoss {
        match self.last_words.line() {
            Some(line) => {
                self.child.end(Duration::ZERO);
                GuestLoss::Harness(line)
            }
            None => GuestLoss::Stopped,
        }
    }

    /// Finds out why the channel broke.
    fn loss(&mut self, symptom: &str) -> GuestLoss {
        let status = self.child.wait(AFTERMATH);
        match console::culprit(&self.output()) {
            Some(Culprit::Kernel(line)) => GuestLoss::Crashed(line),
            Some(Culprit::Harness(line) | Culprit::Image(line)) => GuestLoss::Harness(line),
            None => match status {
                Some(status) => GuestLoss::Harness(format!("{symptom}: QEMU ended ({status})")),
                None => GuestLoss::Harness(symptom.to_owned()),
            },
        }
    }

    pub(super) fn output(&self) -> String {
        format!("{}\n{}", self.child.stdout().text(), self.child.stderr().text())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let (Some(room), Some(mib)) = (&mut self.room, private_mib(&self.child)) {
            room.took(mib, self.woken.is_some());
        }
        // Before the room is given back.
        self.child.end(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests;

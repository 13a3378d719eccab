//! [`Machine`]: one booted guest, from starting QEMU to its end.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::channel::{Channel, Listeners, Received};
use super::compose::{self, Parts};
use super::console::{self, Culprit};
use super::{Accelerator, Toolchain, initramfs};
use crate::process::ChildGroup;
use crate::protocol::{GuestMessage, HostMessage};
use crate::store::StoredKernel;

/// How long QEMU may take to end after its guest is gone, and its last output to arrive.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How long a guest may take to power off when asked.
const FAREWELL: Duration = Duration::from_secs(3);
/// The kernel limits the path of a unix socket to 108 bytes, with its terminator.
const SOCKET_PATH_LIMIT: usize = 107;

/// What to boot and how.
#[derive(Clone, Copy)]
pub struct MachineSpec<'a> {
    /// The programs that make machines.
    pub tools: &'a Toolchain,
    /// The kernel.
    pub kernel: &'a StoredKernel,
    /// MiB.
    pub memory_mib: u64,
    /// Extra words for the kernel's command line.
    pub append: &'a [String],
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// From starting QEMU to hello.
    pub deadline: Duration,
    /// Whether the user wants to stop at once.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// A guest that said hello. Dropping it kills QEMU and removes the machine's folder.
#[derive(Debug)]
pub struct Machine {
    child: ChildGroup,
    channel: Channel,
    /// Removed when the machine goes.
    _scratch: TempDir,
    /// What could not be set up in the guest and is not vital.
    pub notes: Vec<String>,
    /// From starting QEMU to hello.
    pub to_hello: Duration,
}

/// Why there is no machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootFailure {
    /// The kernel or its image is to blame.
    Kernel {
        /// A lowercase fragment.
        reason: String,
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

/// Why a machine is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestLoss {
    /// The kernel crashed; its own words.
    Crashed(String),
    /// Nothing was heard until the deadline.
    Silent,
    /// QEMU or the channel broke, or the guest ended without a word.
    Harness(String),
    /// The user wants to stop.
    Stopped,
}

impl Machine {
    /// Boots a guest and waits for its hello.
    pub fn boot(spec: &MachineSpec<'_>) -> Result<Machine, BootFailure> {
        let scratch = prepare_scratch(spec.kernel)?;
        let listeners = Listeners::bind(scratch.path()).map_err(|error| scratch_failure(scratch.path(), &error))?;
        let parts = Parts {
            kernel: &spec.kernel.boot_image,
            initramfs: &scratch.path().join("initramfs"),
            memory_mib: spec.memory_mib,
            append: spec.append,
            accelerator: spec.accelerator,
            scratch: scratch.path(),
        };
        let broken = |error: String, program| harness(error, Some(tool_hint(program)), false);
        let virtme_run = &spec.tools.virtme_run;
        let command = compose::compose(spec.tools, &parts).map_err(|error| broken(error.to_string(), virtme_run))?;
        let begin = Instant::now();
        let child = ChildGroup::spawn(command).map_err(|error| broken(error.to_string(), &spec.tools.qemu))?;
        let mut machine = Machine {
            child,
            channel: Channel::new(listeners),
            _scratch: scratch,
            notes: Vec::new(),
            to_hello: Duration::ZERO,
        };
        machine.wait_for_hello(spec, begin)?;
        Ok(machine)
    }

    fn wait_for_hello(&mut self, spec: &MachineSpec<'_>, begin: Instant) -> Result<(), BootFailure> {
        let deadline = begin + spec.deadline;
        loop {
            // Looking at the child first: one that died before it connected leaves nothing to read.
            let ended = self.child.wait(Duration::ZERO).is_some();
            let slice = deadline.min(Instant::now() + Duration::from_millis(200));
            match self.channel.receive(slice, spec.stop) {
                Received::Message(GuestMessage::Hello { release, notes, .. }, _) => {
                    self.to_hello = begin.elapsed();
                    self.notes = notes;
                    return self.check_release(&release, spec.kernel);
                }
                Received::Message(GuestMessage::Failed { reason }, _) => {
                    return Err(harness(format!("the guest could not be set up: {reason}"), None, false));
                }
                Received::Message(other, _) => {
                    return Err(harness(format!("the guest said {other:?} before hello"), None, false));
                }
                Received::Garbage(what) => return Err(harness(what, None, true)),
                Received::Stopped => return Err(BootFailure::Stopped),
                Received::Silence if !ended && Instant::now() < deadline => {}
                Received::Silence | Received::Closed => return Err(self.boot_failure(spec, begin.elapsed())),
            }
        }
    }

    fn check_release(&self, release: &str, kernel: &StoredKernel) -> Result<(), BootFailure> {
        if release == kernel.identity.release {
            return Ok(());
        }
        let reason = format!("the guest runs `{release}`, but the store says `{}`", kernel.identity.release);
        Err(BootFailure::Kernel { reason, console: self.console_tail() })
    }

    /// Judges a boot that ended or took too long.
    fn boot_failure(&mut self, spec: &MachineSpec<'_>, took: Duration) -> BootFailure {
        let limit = spec.deadline;
        let status = self.child.wait(AFTERMATH.min(limit));
        let answered = status.is_some();
        self.child.end(Duration::ZERO);
        let console = self.console_tail();
        let hint = Some(tool_hint(&spec.tools.qemu));
        match console::culprit(&self.output()) {
            Some(Culprit::Kernel(line)) => {
                BootFailure::Kernel { reason: format!("crashed while booting: {line}"), console }
            }
            Some(Culprit::Image(line)) => {
                BootFailure::Kernel { reason: format!("QEMU cannot start the image: {line}"), console }
            }
            Some(Culprit::Harness(line)) => {
                BootFailure::Harness { reason: format!("QEMU failed: {line}"), hint, console, passing: true }
            }
            None if answered => {
                let status = status.map(|status| status.to_string()).unwrap_or_default();
                let reason = format!("QEMU ended ({status}) after {}ms without a word", took.as_millis());
                BootFailure::Harness { reason, hint, console, passing: true }
            }
            None => {
                let reason = format!("did not answer within {}s", limit.as_secs());
                BootFailure::Kernel { reason, console }
            }
        }
    }

    /// Sends a request.
    pub fn send(&mut self, message: &HostMessage, blob: &[u8]) -> Result<(), GuestLoss> {
        self.channel.send(message, blob).map_err(|error| self.loss(&error.to_string()))
    }

    /// Waits for the guest's next message, at most for `limit`.
    pub fn receive(
        &mut self,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(GuestMessage, Vec<u8>), GuestLoss> {
        match self.channel.receive(Instant::now() + limit, stop) {
            Received::Message(message, blob) => Ok((message, blob)),
            Received::Stopped => Err(GuestLoss::Stopped),
            Received::Garbage(what) => Err(GuestLoss::Harness(what)),
            Received::Closed => Err(self.loss("the data channel closed")),
            // A crash that did not end the machine looks like silence; the console knows better.
            Received::Silence => match console::culprit(&self.output()) {
                Some(Culprit::Kernel(line)) => Err(GuestLoss::Crashed(line)),
                Some(Culprit::Harness(line)) => Err(GuestLoss::Harness(line)),
                Some(Culprit::Image(_)) | None => Err(GuestLoss::Silent),
            },
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

    /// Asks the guest to end, and sees to it.
    pub fn shut_down(mut self) {
        if self.channel.send(&HostMessage::Shutdown, &[]).is_ok() {
            self.child.wait(FAREWELL);
        }
    }

    /// The last lines of the console and of QEMU's error output.
    pub fn console_tail(&self) -> Vec<String> {
        console::tail(&self.output())
    }

    fn output(&self) -> String {
        format!("{}\n{}", self.child.stdout().text(), self.child.stderr().text())
    }
}

fn harness(reason: String, hint: Option<String>, passing: bool) -> BootFailure {
    BootFailure::Harness { reason, hint, console: Vec::new(), passing }
}

fn tool_hint(program: &Path) -> String {
    format!(
        "`corematrix doctor` tells whether this machine can boot a guest; the program in use is `{}`",
        program.display()
    )
}

/// Makes the machine's folder with the initramfs and the empty root in it.
fn prepare_scratch(kernel: &StoredKernel) -> Result<TempDir, BootFailure> {
    let base = std::env::temp_dir();
    let scratch = tempfile::Builder::new().prefix("corematrix-").tempdir_in(&base);
    let scratch = scratch.map_err(|error| scratch_failure(&base, &error))?;
    let longest = scratch.path().join(compose::SERIAL_SOCKET);
    if longest.as_os_str().len() > SOCKET_PATH_LIMIT {
        let reason = format!("the path of a unix socket would be too long: `{}`", longest.display());
        return Err(harness(reason, Some("set TMPDIR to a folder with a shorter path".to_owned()), false));
    }
    fs::create_dir(scratch.path().join("root")).map_err(|error| scratch_failure(scratch.path(), &error))?;
    initramfs::write(kernel, &scratch.path().join("initramfs")).map_err(|error| {
        let hint = format!("is there room in `{}`? TMPDIR chooses another folder", base.display());
        harness(error.to_string(), Some(hint), false)
    })?;
    Ok(scratch)
}

fn scratch_failure(folder: &Path, error: &std::io::Error) -> BootFailure {
    let hint = "is there room in it? TMPDIR chooses another folder".to_owned();
    harness(format!("cannot use the scratch folder `{}`: {error}", folder.display()), Some(hint), false)
}

//! Booting: from a kernel image to the guest's hello.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Accelerator;
use super::boot_config;
use super::boot_end::{self, BootBlame, BootExplanation};
use super::channel::{Listeners, Received};
use super::compose::{self, Parts};
use super::console;
use super::guest_executable::GuestExecutable;
use super::initramfs;
use super::machine::{AFTERMATH, BootFailure, GuestLink, Machine, MachineSpec};
use super::memory::{GuestMemory, Node, node_options};
use super::qmp::Monitor;
use super::snapshot::Recording;
use crate::process::ChildGroup;
use crate::protocol::{self, BUILD_ID, GuestMessage, ProtocolError};
use crate::store::StoredKernel;

/// The kernel limits the path of a unix socket to 108 bytes, with its terminator.
const SOCKET_PATH_LIMIT: usize = 107;

impl Machine {
    /// Boots a guest and waits for its hello.
    pub fn boot(spec: &MachineSpec<'_>) -> Result<Machine, BootFailure> {
        Machine::boot_in(spec, None)
    }

    /// Boots a guest that can be snapshotted after its hello.
    pub fn boot_to_snapshot(spec: &MachineSpec<'_>) -> Result<Machine, BootFailure> {
        let memory = GuestMemory::new(spec.shape.memory_mib)
            .map_err(|error| harness(format!("cannot allocate memory for the guest: {error}"), None, false))?;
        Machine::boot_in(spec, Some(memory))
    }

    fn boot_in(spec: &MachineSpec<'_>, memory: Option<GuestMemory>) -> Result<Machine, BootFailure> {
        boot_config::check(spec.kernel)
            .map_err(|unfit| BootFailure::Unfit { reason: unfit.reason, hint: unfit.hint })?;
        let scratch = prepare_scratch(spec)?;
        pack_initramfs(spec, scratch.path())?;
        let unusable = |error| scratch_failure(scratch.path(), &error);
        let listeners = Listeners::bind(scratch.path()).map_err(unusable)?;
        let recorder = match memory {
            Some(memory) => Some((memory, Monitor::bind(scratch.path()).map_err(unusable)?)),
            None => None,
        };
        let mut append = Vec::new();
        if spec.talkative {
            append.extend(boot_end::TALK.map(str::to_owned));
        }
        append.extend_from_slice(&spec.shape.append);
        append.extend(spec.debug.append());
        let parts = Parts {
            kernel: &spec.kernel.boot_image,
            initramfs: &scratch.path().join("initramfs"),
            shape: spec.shape,
            append: &append,
            accelerator: spec.accelerator,
            scratch: scratch.path(),
            limit: spec.deadlines.compose,
        };
        let words = compose::compose(spec.tools, &parts).map_err(|error| {
            let hint = error.hint().unwrap_or_else(|| tool_hint(&spec.tools.virtme_run));
            harness(error.to_string(), Some(hint), false)
        })?;
        let mut command = words.clone();
        let nodes = Node::all(spec.shape);
        command = match &recorder {
            Some((memory, monitor)) => command.with(memory.options(&nodes)).with(monitor.options()),
            None => command.with(node_options(&nodes)),
        };
        let command = spec.debug.apply(spec.name, &spec.kernel.boot_image, scratch.path(), command);
        let command = command.command(scratch.path());
        let begin = Instant::now();
        let child = ChildGroup::spawn_showing(command, spec.debug.console.then_some(spec.name))
            .map_err(|error| harness(error.to_string(), Some(tool_hint(&spec.tools.qemu)), false))?;
        let recording = recorder.map(|(memory, monitor)| Recording { memory, words: words.without_kernel(), monitor });
        let mut machine = Machine::new(child, listeners, scratch, recording, spec.shape);
        let (release, btf) = match machine.first_message(spec, begin, spec.deadlines.boot)? {
            GuestMessage::Hello { build, release, btf, notes, modules, .. } => {
                check_build(&build)?;
                (machine.notes, machine.modules) = (notes, modules);
                (release, btf)
            }
            other => return Err(harness(format!("the guest sent {} before hello", other.name()), None, false)),
        };
        machine.check_release(&release, spec.kernel)?;
        machine.check_btf(btf, spec.kernel)?;
        Ok(machine)
    }

    /// Waits for what the guest says first, for `limit` from `begin` on.
    pub(super) fn first_message(
        &mut self,
        spec: &MachineSpec<'_>,
        begin: Instant,
        limit: Duration,
    ) -> Result<GuestMessage, BootFailure> {
        let deadline = begin + limit;
        loop {
            // Looking at the child first: one that died before it connected leaves nothing to read.
            let ended = self.child.wait(Duration::ZERO).is_some();
            let slice = deadline.min(Instant::now() + Duration::from_millis(200));
            match self.wait_until(slice, spec.stop, None) {
                Received::Message(GuestMessage::Failed { reason }, _) => {
                    return Err(harness(format!("the guest could not be set up: {reason}"), None, false));
                }
                Received::Message(message, _) => {
                    self.to_hello = begin.elapsed();
                    return Ok(message);
                }
                Received::Garbage(what) => return Err(harness(what, None, true)),
                // QEMU's last words end the waiting, too.
                Received::Stopped if self.last_words.line().is_none() => return Err(BootFailure::Stopped),
                // One that panics before it can reset the machine stands still for ever.
                Received::Silence
                    if !ended && Instant::now() < deadline && !console::stands_still(&self.child.stdout().text()) => {}
                Received::Silence | Received::Closed | Received::Stopped => {
                    return Err(self.boot_failure((&spec.tools.qemu, spec.accelerator), begin.elapsed(), limit));
                }
            }
        }
    }

    fn check_release(&self, release: &str, kernel: &StoredKernel) -> Result<(), BootFailure> {
        if release == kernel.identity.release {
            return Ok(());
        }
        let reason = format!("the guest runs `{release}`, but the stored kernel is `{}`", kernel.identity.release);
        let hint = "the image and its metadata do not match: check for files of another kernel beside the image, or \
    remove its store entry";
        Err(BootFailure::Kernel { reason, hint: Some(hint.to_owned()), console: self.console_tail() })
    }

    /// Holds the BTF that was read from the image against the one that the kernel shows: everything that is said of a kernel's types
    /// rests on it.
    fn check_btf(&mut self, shown: Option<String>, kernel: &StoredKernel) -> Result<(), BootFailure> {
        let read = kernel.btf.as_ref().map(|path| fs::File::open(path).and_then(protocol::checksum)).transpose();
        let read = read.map_err(|error| harness(format!("the stored BTF cannot be read: {error}"), None, false))?;
        match (read, shown) {
            (Some(stored), Some(shown)) if stored != shown => {
                let reason = "the BTF in the guest differs from the BTF in its image".to_owned();
                let hint = "remove the kernel's directory from the store; the next run creates it again. If the error \
    remains, it is a bug in corematrix";
                Err(harness(reason, Some(hint.to_owned()), false))
            }
            (Some(_), None) => {
                self.notes.push("the image has BTF, but the kernel does not expose it in `/sys/kernel/btf`".to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Judges a boot that ended after `took`, or that was not done within `limit`.
    pub(super) fn boot_failure(
        &mut self,
        (qemu, accelerator): (&Path, Accelerator),
        took: Duration,
        limit: Duration,
    ) -> BootFailure {
        // After its last words QEMU may be dumping its core, or stay for ever.
        let aftermath = if self.last_words.line().is_some() { Duration::ZERO } else { AFTERMATH.min(limit) };
        let status = self.child.wait(aftermath);
        self.child.end(Duration::ZERO);
        let (console, output) = (self.console_tail(), self.output());
        let BootExplanation { blame, reason, hint } = boot_end::explain(&output).unwrap_or_else(|| match status {
            Some(status) => {
                let ending = format!("QEMU ended ({status}) after {}ms", took.as_millis());
                boot_end::without_a_word(&output, &ending, accelerator)
            }
            None => boot_end::silence(&output, limit.as_secs(), accelerator),
        });
        match blame {
            BootBlame::Kernel => BootFailure::Kernel { reason, hint, console },
            BootBlame::Host | BootBlame::HostForGood => {
                let hint = hint.or_else(|| {
                    let doctor = tool_hint(qemu);
                    Some(match accelerator {
                        Accelerator::Kvm => format!("{}; {doctor}", boot_end::WITHOUT_KVM),
                        Accelerator::Tcg => doctor,
                    })
                });
                BootFailure::Harness { reason, hint, console, passing: blame == BootBlame::Host }
            }
        }
    }
}

pub(super) fn harness(reason: String, hint: Option<String>, passing: bool) -> BootFailure {
    BootFailure::Harness { reason, hint, console: Vec::new(), passing }
}

/// Refuses a guest that speaks another protocol.
fn check_build(build: &str) -> Result<(), BootFailure> {
    match build == BUILD_ID {
        true => Ok(()),
        false => Err(harness(ProtocolError::OtherBuild(build.to_owned()).to_string(), None, false)),
    }
}

fn tool_hint(program: &Path) -> String {
    format!(
        "`corematrix doctor` checks whether this machine can boot a guest; the QEMU in use is `{}`",
        program.display()
    )
}

/// Makes the machine's directory with the empty root in it.
pub(super) fn prepare_scratch(spec: &MachineSpec<'_>) -> Result<TempDir, BootFailure> {
    let base = std::env::temp_dir();
    let scratch = tempfile::Builder::new().prefix("corematrix-").disable_cleanup(spec.debug.keep).tempdir_in(&base);
    let scratch = scratch.map_err(|error| scratch_failure(&base, &error))?;
    let longest = scratch.path().join(compose::SERIAL_SOCKET);
    if longest.as_os_str().len() > SOCKET_PATH_LIMIT {
        let reason = format!("the path of a unix socket would be too long: `{}`", longest.display());
        return Err(harness(reason, Some("set TMPDIR to a directory with a shorter path".to_owned()), false));
    }
    if spec.debug.keep {
        eprintln!("[{}] scratch directory: {}", spec.name, scratch.path().display());
    }
    fs::create_dir(scratch.path().join("root")).map_err(|error| scratch_failure(scratch.path(), &error))?;
    Ok(scratch)
}

fn pack_initramfs(spec: &MachineSpec<'_>, scratch: &Path) -> Result<(), BootFailure> {
    let guest = GuestExecutable::own();
    initramfs::write(spec.kernel, guest.bytes(), (spec.files, &spec.shape.modules), &scratch.join("initramfs")).map_err(
        |error| {
            let hint = format!(
                "check the free space in `{}`, or set TMPDIR to another directory",
                std::env::temp_dir().display()
            );
            harness(error.to_string(), Some(hint), false)
        },
    )
}

pub(super) fn scratch_failure(folder: &Path, error: &std::io::Error) -> BootFailure {
    let hint = "check the free space there, or set TMPDIR to another directory".to_owned();
    harness(format!("cannot use the scratch directory `{}`: {error}", folder.display()), Some(hint), false)
}

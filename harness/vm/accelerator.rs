//! [`choose`]: KVM or emulation, decided by proof.
//!
//! `/dev/kvm` being there proves nothing: inside some clouds QEMU aborts with it, or the guest hangs silently. So a real
//! kernel is booted under a deadline, and the answer is kept in a [`KvmRecord`].

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Toolchain;
use super::cpu::{Cpu, Virtualisation};
use super::kvm_record::{KvmFailure, KvmKnowledge, KvmRecord, patience};

/// What a process must be able to open to use KVM.
const DEVICE: &str = "/dev/kvm";

/// What runs the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// QEMU translates every instruction: slow, and works everywhere.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        })
    }
}

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// Use KVM if a test boot proves that it works, emulation otherwise.
    Auto,
    /// Use KVM; fail if it cannot be used.
    Kvm,
    /// Use emulation.
    Tcg,
}

/// The accelerator to use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAccelerator {
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Why, as a lowercase fragment.
    pub reason: String,
    /// How to get KVM, if there may be a way.
    pub advice: Option<String>,
}

/// Why KVM was not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceleratorFailure {
    /// A guest was started under KVM and failed. Remembered for a while.
    Failed(String),
    /// No guest was started, or the user stopped it: this does not show anything about KVM. Not remembered, or one full disk would cost every
    /// later run its KVM.
    Undecided {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do, if it is known.
        hint: Option<String>,
    },
}

/// KVM was asked for, and this process may not use it.
#[derive(Debug, thiserror::Error)]
#[error("KVM cannot be used: cannot open `{}`: {source}", .device.display())]
pub struct NoKvm {
    device: PathBuf,
    source: io::Error,
    /// What the CPU of this machine says of running guests.
    cpu: Virtualisation,
}

impl NoKvm {
    /// What the user can do.
    pub fn hint(&self) -> String {
        format!("{}; `--accel tcg` uses emulation, about ten times slower than KVM", self.way_to_kvm())
    }

    /// Whether the user could have KVM here: a machine that cannot run guests is nothing to fix.
    fn can_be_mended(&self) -> bool {
        self.is_forbidden() || matches!(self.cpu, Virtualisation::Module(_))
    }

    fn is_forbidden(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    fn way_to_kvm(&self) -> String {
        match self.cpu {
            _ if self.is_forbidden() => {
                let device = self.device.display();
                let (group, before) = match group_of(&self.device) {
                    Some(group) => (group, String::new()),
                    None => (
                        "kvm".to_owned(),
                        format!("give a group access (`sudo chown root:kvm {device}`, `sudo chmod 660 {device}`), "),
                    ),
                };
                format!(
                    "{before}add your user to the group `{group}` (`sudo usermod -aG {group} $USER`) and log in again; \
    in a container, give its user access to the device"
                )
            }
            Virtualisation::Module(module) => {
                format!(
                    "load the module (`sudo modprobe {module}`); start a container with `--device {}`",
                    self.device.display()
                )
            }
            Virtualisation::NotNested => {
                "this machine is itself a virtual machine without nested virtualisation: enable it on the host (QEMU: \
    `-cpu host`; clouds: a machine type that supports it)"
                    .to_owned()
            }
            Virtualisation::Absent => "this CPU shows no virtualisation: enable VT-x or SVM in the firmware".to_owned(),
        }
    }
}

/// What is remembered about KVM.
#[derive(Debug, Clone, Copy)]
pub struct KvmMemory<'a> {
    /// The file.
    pub file: &'a Path,
    /// Whether to try KVM again, regardless of the file. It is written all the same.
    pub anew: bool,
}

/// Decides. `boot` boots a real kernel under KVM and says why it did not work; it is called at most once, with the factor by which it
/// may take longer than usual.
///
/// # Errors
/// [`NoKvm`] if KVM was asked for and this process may not use it: to emulate instead would be slow, and reported as KVM.
pub fn choose(
    choice: Choice,
    tools: &Toolchain,
    memory: KvmMemory<'_>,
    boot: impl FnOnce(u32) -> Result<(), AcceleratorFailure>,
) -> Result<ProvenAccelerator, NoKvm> {
    choose_with((Path::new(DEVICE), &Cpu::of_host()), choice, || fingerprint(tools), memory, boot)
}

fn choose_with(
    machine: (&Path, &Cpu),
    choice: Choice,
    fingerprint: impl FnOnce() -> String,
    memory: KvmMemory<'_>,
    boot: impl FnOnce(u32) -> Result<(), AcceleratorFailure>,
) -> Result<ProvenAccelerator, NoKvm> {
    match choice {
        Choice::Tcg => Ok(tcg("requested".to_owned(), None)),
        Choice::Kvm => open(machine).map(|()| kvm("requested")),
        Choice::Auto => Ok(match open(machine) {
            Ok(()) => prove(&fingerprint(), memory, SystemTime::now(), boot),
            Err(error) => {
                let advice = error.can_be_mended().then(|| error.way_to_kvm());
                tcg(format!("no KVM: cannot open {}: {}", error.device.display(), error.source), advice)
            }
        }),
    }
}

fn open((device, cpu): (&Path, &Cpu)) -> Result<(), NoKvm> {
    let opened = fs::OpenOptions::new().read(true).write(true).open(device);
    opened.map(drop).map_err(|source| NoKvm { device: device.to_owned(), source, cpu: cpu.virtualisation() })
}

/// The group that a file belongs to, by name; none if that is root's, into which no one should go for this.
fn group_of(file: &Path) -> Option<String> {
    let id = fs::metadata(file).ok()?.gid();
    let groups = fs::read_to_string("/etc/group").ok()?;
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.filter(|_| id != 0)
}

fn prove(
    fingerprint: &str,
    memory: KvmMemory<'_>,
    now: SystemTime,
    boot: impl FnOnce(u32) -> Result<(), AcceleratorFailure>,
) -> ProvenAccelerator {
    let known = match memory.anew {
        true => KvmKnowledge::Open(KvmRecord::failures(memory.file, fingerprint)),
        false => KvmRecord::look_up(memory.file, fingerprint, now),
    };
    let failures = match known {
        KvmKnowledge::Works => return kvm("confirmed by an earlier boot"),
        KvmKnowledge::Fails(failure) => {
            return tcg(format!("KVM failed an earlier boot: {}", failure.reason), Some(when_again(&failure, now)));
        }
        KvmKnowledge::Open(failures) => failures,
    };
    match boot(patience(failures)) {
        Ok(()) => {
            KvmRecord::save_success(memory.file, fingerprint);
            kvm("confirmed by a boot")
        }
        Err(AcceleratorFailure::Failed(reason)) => {
            let failure = KvmRecord::save_failure(memory.file, fingerprint, reason, failures, now);
            let advice = when_again(&failure, now);
            tcg(format!("KVM failed to boot a kernel: {}", failure.reason), Some(advice))
        }
        Err(AcceleratorFailure::Undecided { reason, hint }) => tcg(format!("KVM could not be tried: {reason}"), hint),
    }
}

fn when_again(failure: &KvmFailure, now: SystemTime) -> String {
    format!("KVM is tried again after {}, with more time; `corematrix doctor` tries it now", failure.rest(now))
}

fn kvm(reason: &str) -> ProvenAccelerator {
    ProvenAccelerator { accelerator: Accelerator::Kvm, reason: reason.to_owned(), advice: None }
}

fn tcg(reason: String, advice: Option<String>) -> ProvenAccelerator {
    ProvenAccelerator { accelerator: Accelerator::Tcg, reason, advice }
}

/// The release of the kernel that this machine runs: KVM is a part of it.
pub(super) fn host_kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Host kernel, CPU and QEMU: what decides whether KVM works. Not the boot id: a reboot alone changes nothing.
fn fingerprint(tools: &Toolchain) -> String {
    format!("{}; {}; {} {}", host_kernel(), Cpu::of_host(), tools.qemu.display(), tools.qemu_version)
}

#[cfg(test)]
mod tests;

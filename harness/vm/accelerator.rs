//! [`choose`]: KVM or emulation, decided by proof.
//!
//! `/dev/kvm` being there proves nothing: inside some clouds QEMU aborts with it, or the guest hangs without a word. So a real
//! kernel is booted under a deadline, and the answer is remembered for as long as machine and QEMU stay the same.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Toolchain;

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
    /// KVM if it can be proven to work here, emulation otherwise.
    Auto,
    /// KVM, come what may.
    Kvm,
    /// Emulation.
    Tcg,
}

/// The accelerator to use, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Why, as a lowercase fragment.
    pub reason: String,
}

/// Why KVM was not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProof {
    /// A guest was started under KVM and failed. Remembered.
    Failed(String),
    /// No guest was started, or the user stopped it: this says nothing about KVM. Not remembered, or one full disk would cost every
    /// later run its KVM.
    Undecided(String),
}

/// What was found out about KVM on one machine with one QEMU.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// Everything that could change the answer.
    fingerprint: String,
    /// `None` if KVM works, otherwise why not.
    failure: Option<String>,
}

/// Decides. `boot` boots a real kernel under KVM and says why it did not work; it is called at most once.
///
/// `memory` is the file that remembers the answer; pass `None` to prove it anew.
pub fn choose(
    choice: Choice,
    tools: &Toolchain,
    memory: Option<&Path>,
    boot: impl FnOnce() -> Result<(), NoProof>,
) -> Proof {
    let device = Path::new("/dev/kvm");
    match choice {
        Choice::Tcg => Proof { accelerator: Accelerator::Tcg, reason: "asked for".to_owned() },
        Choice::Kvm => Proof { accelerator: Accelerator::Kvm, reason: "asked for".to_owned() },
        Choice::Auto => match fs::OpenOptions::new().read(true).write(true).open(device) {
            Err(error) => tcg(format!("no KVM: cannot open /dev/kvm: {error}")),
            Ok(_) => prove(&fingerprint(tools), memory, boot),
        },
    }
}

fn prove(fingerprint: &str, memory: Option<&Path>, boot: impl FnOnce() -> Result<(), NoProof>) -> Proof {
    if let Some(known) = memory.and_then(recall).filter(|known| known.fingerprint == fingerprint) {
        return match known.failure {
            None => Proof { accelerator: Accelerator::Kvm, reason: "proven by an earlier boot".to_owned() },
            Some(reason) => tcg(format!("KVM failed an earlier boot: {reason}")),
        };
    }
    let failure = match boot() {
        Ok(()) => None,
        Err(NoProof::Failed(reason)) => Some(reason),
        Err(NoProof::Undecided(reason)) => return tcg(format!("KVM could not be tried: {reason}")),
    };
    if let Some(memory) = memory {
        let known = Remembered { fingerprint: fingerprint.to_owned(), failure: failure.clone() };
        // Not being able to remember costs one boot the next time and nothing else.
        let _ = serde_json::to_vec_pretty(&known).map(|json| fs::write(memory, json));
    }
    match failure {
        None => Proof { accelerator: Accelerator::Kvm, reason: "proven by a boot".to_owned() },
        Some(reason) => tcg(format!("KVM failed to boot a kernel: {reason}")),
    }
}

fn tcg(reason: String) -> Proof {
    Proof { accelerator: Accelerator::Tcg, reason }
}

fn recall(memory: &Path) -> Option<Remembered> {
    serde_json::from_slice(&fs::read(memory).ok()?).ok()
}

/// Host kernel, CPU and QEMU: what decides whether KVM works. Not the boot id: a reboot alone changes nothing.
/// The CPU and the kernel of this machine, in words.
pub(super) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name")).unwrap_or("unknown cpu").to_owned();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    format!("{release}; {model}")
}

fn fingerprint(tools: &Toolchain) -> String {
    format!("{}; {} {}", machine(), tools.qemu.display(), tools.qemu_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_remembered_until_the_machine_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = folder.path().join("kvm.json");
        let first = prove("here", Some(&memory), || Err(NoProof::Failed("the guest fell silent".into())));
        assert_eq!(first.accelerator, Accelerator::Tcg);
        let second = prove("here", Some(&memory), || panic!("must not boot again"));
        assert_eq!(second.accelerator, Accelerator::Tcg);
        assert!(second.reason.contains("the guest fell silent"), "{}", second.reason);
        let moved = prove("elsewhere", Some(&memory), || Ok(()));
        assert_eq!(moved.accelerator, Accelerator::Kvm);
        assert_eq!(prove("elsewhere", Some(&memory), || panic!("must not boot")).accelerator, Accelerator::Kvm);
    }

    #[test]
    fn what_says_nothing_about_kvm_is_not_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = folder.path().join("kvm.json");
        let full = prove("here", Some(&memory), || Err(NoProof::Undecided("the disk is full".into())));
        assert_eq!((full.accelerator, memory.exists()), (Accelerator::Tcg, false));
        assert_eq!(prove("here", Some(&memory), || Ok(())).accelerator, Accelerator::Kvm);
    }

    #[test]
    fn memory_that_cannot_be_read_is_ignored() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = folder.path().join("kvm.json");
        fs::write(&memory, "{ half").expect("writes");
        assert_eq!(prove("here", Some(&memory), || Ok(())).accelerator, Accelerator::Kvm);
        assert_eq!(prove("here", None, || Err(NoProof::Failed("no".into()))).accelerator, Accelerator::Tcg);
    }
}

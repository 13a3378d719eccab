//! [`explain`]: why a guest never said hello, read off the console and QEMU's error output, with what the user can do.

use super::Accelerator;
use super::console::{self, Culprit};

/// Words that let the kernel talk from its first line on. They make a boot slower, so only a boot that is tried again gets them.
pub(super) const TALK: [&str; 3] = ["earlyprintk=serial,ttyS0,115200", "loglevel=8", "printk.time=1"];

/// Whose fault it is that there is no guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BootBlame {
    /// The kernel, its image or what the manifest says of it.
    Kernel,
    /// QEMU or the host; another try could go better.
    Host,
    /// QEMU or the host, and another try would end the same.
    HostForGood,
}

/// Why there is no guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BootExplanation {
    pub blame: BootBlame,
    /// A lowercase fragment.
    pub reason: String,
    /// What the user can do; `None` if nothing better than to look at the console.
    pub hint: Option<String>,
}

/// Words on the console that show why.
struct Sign {
    marks: &'static [&'static str],
    blame: BootBlame,
    /// Comes before the line itself.
    meaning: &'static str,
    hint: &'static str,
}

/// Where KVM is to blame for sure.
pub(super) const WITHOUT_KVM: &str = "`--accel tcg` uses emulation instead";
/// Where KVM may be to blame.
const TRY_WITHOUT_KVM: &str = "try `--accel tcg` to check whether KVM is to blame";
const MEMORY: &str = "raise `memory` in the manifest, and remove any `mem=` from `append`";

/// What QEMU says; it comes first, since nothing that a kernel says thereafter is to be trusted.
const OF_QEMU: [Sign; 8] = [
    Sign {
        marks: &["Host doesn't support requested features"],
        blame: BootBlame::HostForGood,
        meaning: "KVM no longer provides the CPU model that it provided before",
        hint: "remove `kvm-cpu.json` from the store to probe QEMU again, or use `--accel tcg`",
    },
    Sign {
        marks: &console::NO_FIRMWARE,
        blame: BootBlame::HostForGood,
        meaning: "QEMU's firmware is missing",
        hint: "install QEMU's firmware (Debian and Ubuntu: packages `seabios` and `qemu-system-data`)",
    },
    Sign {
        marks: &[
            "is not a valid device model name",
            "is not a valid char driver name",
            "unsupported machine type",
            "could not load module for type",
            "unable to find CPU model",
            "invalid accelerator",
        ],
        blame: BootBlame::HostForGood,
        meaning: "this QEMU lacks a component that guests need",
        hint: "install the full package `qemu-system-x86`, or set COREMATRIX_QEMU to another QEMU",
    },
    Sign {
        marks: &["without PVH ELF Note"],
        blame: BootBlame::Kernel,
        meaning: "QEMU cannot start an ELF without a PVH note",
        hint: "name its bzImage in the manifest, or build the kernel with `CONFIG_PVH=y`",
    },
    Sign {
        marks: &[
            "initrd is too large",
            "Cannot find place for new RAMDISK",
            "initrd too large to handle",
            "linux kernel too old to load a ram disk",
        ],
        blame: BootBlame::Kernel,
        meaning: "the guest's files do not fit into its memory",
        hint: MEMORY,
    },
    Sign {
        marks: &["cannot set up guest memory"],
        blame: BootBlame::Host,
        meaning: "this machine has too little memory for the guest",
        hint: "run fewer guests at once (`--jobs 1`), or lower `memory` in the manifest",
    },
    Sign {
        marks: &[
            "KVM: entry failed",
            "error: kvm run failed",
            "KVM internal error",
            "KVM: unknown exit",
            "KVM: exception ",
            "KVM: injection failed",
            // The host's KVM refuses a register that QEMU takes from the host's CPU, as nested ones do.
            "failed to set MSR",
            "failed to get MSR",
        ],
        blame: BootBlame::Host,
        meaning: "KVM cannot run the guest",
        hint: WITHOUT_KVM,
    },
    Sign {
        marks: &["Could not access KVM", "failed to initialize kvm", "ioctl(KVM_CREATE_VM) failed"],
        blame: BootBlame::Host,
        meaning: "KVM cannot be used",
        hint: WITHOUT_KVM,
    },
];

/// What the kernel and the guest's own program say when they get no further, most specific first.
const OF_THE_GUEST: [Sign; 6] = [
    Sign {
        marks: &["Initramfs unpacking failed", "junk in compressed archive"],
        blame: BootBlame::Kernel,
        meaning: "the kernel could not unpack the guest's files",
        hint: MEMORY,
    },
    Sign {
        marks: &[
            "System is deadlocked on memory",
            "Out of memory and no killable processes",
            "Out of memory: Killed process 1 ",
        ],
        blame: BootBlame::Kernel,
        meaning: "the guest ran out of memory",
        hint: MEMORY,
    },
    Sign {
        marks: &["error while loading shared libraries", "FATAL: kernel too old"],
        blame: BootBlame::HostForGood,
        meaning: "the guest's program cannot start",
        hint: "the guest uses this machine's C library, which may be too new for this kernel",
    },
    Sign {
        marks: &["corematrix guest: "],
        blame: BootBlame::Kernel,
        meaning: "the guest could not be set up",
        hint: "the kernel lacks an option that the guest needs; set its `config` in the manifest, and corematrix names \
    the option",
    },
    Sign {
        marks: &["Failed to execute /init"],
        blame: BootBlame::Kernel,
        meaning: "the kernel cannot execute the guest's program",
        hint: "it is a 64-bit ELF executable: the kernel must be for x86-64 and have `CONFIG_BINFMT_ELF=y`",
    },
    Sign {
        marks: &["Unable to mount root fs", "Cannot open root device", "No working init found", "Requested init"],
        blame: BootBlame::Kernel,
        meaning: "the kernel found no init to run",
        hint: "the kernel needs `CONFIG_BLK_DEV_INITRD=y`, and an `append` without `init=` and `rdinit=`",
    },
];

/// The panic that ends a guest whose init dies; what killed it stands above.
const INIT_DIED: &str = "Attempted to kill init!";

/// Explains by what was written; `None` if nothing that was written explains it.
pub(super) fn explain(output: &str) -> Option<BootExplanation> {
    let signed = |signs: &[Sign]| {
        signs.iter().find_map(|sign| {
            let line = console::line_with(output, sign.marks)?;
            Some(explanation(sign.blame, format!("{}: {line}", sign.meaning), sign.hint))
        })
    };
    if let Some(found) = signed(&OF_QEMU) {
        return Some(found);
    }
    let culprit = console::culprit(output);
    // An oops is a cause, a panic is how most things end.
    let is_panic = matches!(&culprit, Some(Culprit::Kernel(line)) if line.contains("Kernel panic"));
    if is_panic || !matches!(culprit, Some(Culprit::Kernel(_))) {
        if let Some(found) = signed(&OF_THE_GUEST) {
            return Some(found);
        }
        if let Some(line) = console::line_with(output, &[INIT_DIED]) {
            let hint = "check that this machine can run the guest executable with the CPU of the guest";
            return Some(explanation(BootBlame::Host, format!("the guest's program died: {line}"), hint));
        }
    }
    Some(match culprit? {
        Culprit::Kernel(line) => {
            BootExplanation { blame: BootBlame::Kernel, reason: format!("crashed while booting: {line}"), hint: None }
        }
        Culprit::Image(line) => {
            let hint = "check with `file` that the image is complete and for x86-64";
            explanation(BootBlame::Kernel, format!("QEMU cannot start the image: {line}"), hint)
        }
        Culprit::Harness(line) => {
            BootExplanation { blame: BootBlame::Host, reason: format!("QEMU failed: {line}"), hint: None }
        }
    })
}

fn explanation(blame: BootBlame, reason: String, hint: &str) -> BootExplanation {
    BootExplanation { blame, reason, hint: Some(hint.to_owned()) }
}

/// Explains a machine that ended by itself although nothing was written that explains it. `ending` is QEMU's, with its time.
pub(super) fn without_a_word(output: &str, ending: &str, accelerator: Accelerator) -> BootExplanation {
    match console::last_word(output) {
        Some(line) => explanation(
            BootBlame::Kernel,
            format!("the guest reset itself while booting: {ending}; last console line: {line}"),
            &with_kvm_in_doubt(
                accelerator,
                "this looks like a triple fault: check that the kernel is built for the CPU of the guest",
            ),
        ),
        None => BootExplanation { blame: BootBlame::Host, reason: format!("{ending} without any output"), hint: None },
    }
}

/// Explains a guest that is still there, and never answered.
pub(super) fn silence(output: &str, seconds: u64, accelerator: Accelerator) -> BootExplanation {
    match console::last_word(output) {
        // The firmware writes before any kernel runs.
        None if accelerator == Accelerator::Kvm && console::is_empty(output) => explanation(
            BootBlame::Host,
            format!("did not respond within {seconds}s, and neither it nor the firmware wrote any output"),
            &format!("KVM is most likely broken here: {WITHOUT_KVM}; on a slow machine, raise `boot-timeout`"),
        ),
        Some(line) => BootExplanation {
            blame: BootBlame::Kernel,
            reason: format!("did not respond within {seconds}s; last console line: {line}"),
            hint: None,
        },
        None => explanation(
            BootBlame::Kernel,
            format!("did not respond within {seconds}s, and wrote nothing to its serial console"),
            &with_kvm_in_doubt(
                accelerator,
                "it hangs before its first output, or has no console driver: set `CONFIG_SERIAL_8250_CONSOLE=y` and \
    `CONFIG_EARLY_PRINTK=y`; on a slow machine, raise `boot-timeout`",
            ),
        ),
    }
}

fn with_kvm_in_doubt(accelerator: Accelerator, hint: &str) -> String {
    match accelerator {
        Accelerator::Kvm => format!("{TRY_WITHOUT_KVM}; {hint}"),
        Accelerator::Tcg => hint.to_owned(),
    }
}

#[cfg(test)]
mod tests;

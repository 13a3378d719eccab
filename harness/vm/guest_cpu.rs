//! [`GuestCpu`]: the processor that guests have under KVM.
//!
//! A named one, the same on all machines of a vendor, so that a snapshot made on one of them starts on the others, and that a program
//! fares alike on all. Guests that are booted and guests that are restored have the same, `exec`'s too: what a kernel or a program finds
//! must not depend on whether there was room for a snapshot. Only where this machine lacks something of the named one guests have the
//! machine's own, and their snapshots serve on machines alike only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::accelerator;
use super::cpu::Cpu;
use super::qmp::{Limit, Monitor, QmpError};
use crate::process::ChildGroup;
use crate::whole_file;

/// By vendor, what all its machines of the last ten years have: AVX2, and nothing that clouds like to hide from their guests. `enforce`
/// makes QEMU refuse to start rather than leave out a feature in silence.
const PINNED: [(&str, &str); 2] = [
    // Zen, without what only matters to guests of guests and to code of 16 bits.
    ("AuthenticAMD", "EPYC-v1,-vme,-svm,-nrip-save,-topoext,-osvw,-misalignsse,-fxsr-opt,-xsavec"),
    // Haswell without transactions, which microcode has taken away again.
    ("GenuineIntel", "Haswell-v2,-vme"),
];

/// What no guest has. Time that other guests stole would be counted from before a restore; counters of events are the host's.
const NEVER: &str = "pmu=off,kvm-steal-time=off,invtsc=off";

/// What says that this machine lacks a feature; thereafter comes its name.
const LACKS: &str = "host doesn't support requested feature: ";

/// The processor of guests under KVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GuestCpu {
    /// A named one, which this machine supports whole.
    Pinned {
        /// Of the machine, since the guest sees that.
        vendor: String,
        /// QEMU's words for it.
        model: String,
    },
    /// The machine's own.
    Own {
        /// What it lacks of the named one, as a lowercase fragment.
        because: String,
    },
}

/// Which processor guests get here, found out when it is first needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvmCpu {
    /// What remembers it between runs.
    memory: Option<PathBuf>,
    found: OnceLock<GuestCpu>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// Everything that could change the answer.
    fingerprint: String,
    cpu: GuestCpu,
}

/// Why nothing is known about a processor.
#[derive(Debug)]
struct Unknown(String);

impl GuestCpu {
    /// QEMU's word for it.
    pub fn option(&self, own: &str) -> String {
        match self {
            GuestCpu::Pinned { model, .. } => format!("{model},{NEVER},enforce"),
            GuestCpu::Own { .. } => format!("{own},{NEVER}"),
        }
    }

    /// What a snapshot of such a guest depends on.
    pub fn mark(&self) -> String {
        match self {
            GuestCpu::Pinned { vendor, model } => format!("{vendor} {model},{NEVER}"),
            GuestCpu::Own { .. } => format!("the host's own: {}; {NEVER}", Cpu::of_host()),
        }
    }
}

impl std::fmt::Display for GuestCpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GuestCpu::Pinned { model, .. } => {
                write!(f, "guests have the CPU `{}`", model.split(',').next().unwrap_or(model))
            }
            GuestCpu::Own { because } => {
                write!(
                    f,
                    "guests use the CPU of this machine ({because}): their snapshots can be used only on machines of \
    this kind"
                )
            }
        }
    }
}

impl KvmCpu {
    /// One that is remembered in `memory`.
    pub fn remembered_in(memory: PathBuf) -> KvmCpu {
        KvmCpu { memory: Some(memory), found: OnceLock::new() }
    }

    /// One that is known already.
    #[cfg(test)]
    pub(super) fn known(vendor: &str, model: &str) -> KvmCpu {
        let cpu = GuestCpu::Pinned { vendor: vendor.to_owned(), model: model.to_owned() };
        KvmCpu { memory: None, found: OnceLock::from(cpu) }
    }

    /// The processor, which this QEMU has `limit` to start with where it is not known yet.
    pub(super) fn get(&self, (qemu, version): (&Path, &str), limit: Duration) -> &GuestCpu {
        self.found.get_or_init(|| {
            let cpu = Cpu::of_host();
            let vendor = cpu.field("vendor_id");
            let Some((_, model)) = PINNED.iter().find(|(known, _)| *known == vendor) else {
                return GuestCpu::Own { because: format!("no CPU model is known that all CPUs of `{vendor}` support") };
            };
            let fingerprint = format!("{}; {cpu}; {} {version}; {model}", accelerator::host_kernel(), qemu.display());
            if let Some(known) = self.recall(&fingerprint) {
                return known;
            }
            match supports(qemu, model, limit) {
                Ok(lacking) => {
                    let cpu = match lacking {
                        None => GuestCpu::Pinned { vendor: vendor.to_owned(), model: (*model).to_owned() },
                        Some(because) => GuestCpu::Own { because },
                    };
                    self.remember(Remembered { fingerprint, cpu: cpu.clone() });
                    cpu
                }
                // No one's own CPU keeps a guest from starting.
                Err(Unknown(because)) => GuestCpu::Own { because },
            }
        })
    }

    fn recall(&self, fingerprint: &str) -> Option<GuestCpu> {
        let remembered: Remembered = serde_json::from_slice(&fs::read(self.memory.as_ref()?).ok()?).ok()?;
        (remembered.fingerprint == fingerprint).then_some(remembered.cpu)
    }

    fn remember(&self, what: Remembered) {
        // What is lost is one more question.
        let _ = self
            .memory
            .as_ref()
            .map(|file| whole_file::replace(file, |out| Ok(serde_json::to_writer_pretty(out, &what)?)));
    }
}

/// Starts QEMU with this processor, and no more; says what this machine lacks of it.
fn supports(qemu: &Path, model: &str, limit: Duration) -> Result<Option<String>, Unknown> {
    let unknown = |error: &dyn std::fmt::Display| Unknown(format!("`{}` could not be probed: {error}", qemu.display()));
    let folder = tempfile::Builder::new().prefix("corematrix-").tempdir().map_err(|error| unknown(&error))?;
    let monitor = Monitor::bind(folder.path()).map_err(|error| unknown(&error))?;
    let mut command = Command::new(qemu);
    command.args(["-nodefaults", "-display", "none", "-machine", "accel=kvm", "-m", "16M", "-S", "-cpu"]);
    command.arg(format!("{model},{NEVER},enforce")).args(monitor.options());
    let child = ChildGroup::spawn(command).map_err(|error| unknown(&error))?;
    let child = std::cell::RefCell::new(child);
    let ended = || child.borrow_mut().wait(Duration::ZERO).map(|status| format!("it ended ({status})"));
    let answered = monitor.connect(Limit::from(Instant::now(), limit), &ended).and_then(|mut qmp| qmp.quit());
    let mut child = child.into_inner();
    child.end(Duration::ZERO);
    verdict(answered, &child.stderr().text(), &unknown)
}

/// Reads the outcome: QEMU that answered has the processor, one that refused names what is missing.
fn verdict(
    answered: Result<(), QmpError>,
    errors: &str,
    unknown: &dyn Fn(&dyn std::fmt::Display) -> Unknown,
) -> Result<Option<String>, Unknown> {
    let Err(error) = answered else { return Ok(None) };
    let lacking: Vec<&str> = errors.lines().filter_map(|line| Some(line.split_once(LACKS)?.1)).collect();
    if lacking.is_empty() {
        return Err(unknown(&error));
    }
    // `CPUID.01H:EDX.vme [bit 1]`
    let name = |line: &&str| line.split(" [").next().unwrap_or(line).rsplit('.').next().unwrap_or(line).to_owned();
    Ok(Some(format!("which lacks {}", lacking.iter().map(name).collect::<Vec<_>>().join(", "))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Something in QEMU's place.
    fn qemu(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("qemu");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("may be run");
        path
    }

    #[test]
    fn missing_features_are_named_as_qemu_names_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let refusing = qemu(
            folder.path(),
            "echo \"qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H:EDX.vme [bit 1]\" >&2\n\
             echo \"qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.0DH:EAX.xsavec [bit 1]\" >&2\n\
             echo \"qemu-system-x86_64: Host doesn't support requested features\" >&2\nexit 1",
        );
        let lacking = supports(&refusing, "EPYC-v1", LIMIT).expect("is an answer");
        assert_eq!(lacking.as_deref(), Some("which lacks vme, xsavec"));
        // What ends for another reason does not show anything about the CPU.
        let broken = qemu(folder.path(), "echo 'Could not access KVM kernel module' >&2; exit 1");
        let Unknown(why) = supports(&broken, "EPYC-v1", LIMIT).expect_err("is no answer");
        assert!(why.contains("could not be probed: QEMU's monitor does not respond: it ended"), "{why}");
        let slow = qemu(folder.path(), "sleep 60");
        supports(&slow, "EPYC-v1", Duration::from_millis(50)).expect_err("is no answer");
    }

    #[test]
    fn answer_is_asked_for_once_and_trouble_is_not_remembered() {
        let vendor = Cpu::of_host().field("vendor_id").to_owned();
        if !PINNED.iter().any(|(known, _)| *known == vendor) {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let memory = folder.path().join("kvm-cpu.json");
        let get = |script: &str, version: &str| {
            let qemu = qemu(folder.path(), script);
            KvmCpu::remembered_in(memory.clone()).get((&qemu, version), LIMIT).clone()
        };
        get("exit 1", "10.0.2");
        assert!(!memory.exists());
        let refused = "echo \"warning: host doesn't support requested feature: CPUID.01H:EDX.vme [bit 1]\" >&2; exit 1";
        let own = GuestCpu::Own { because: "which lacks vme".to_owned() };
        assert_eq!(get(refused, "10.0.2"), own);
        // QEMU is not queried again until its version changes.
        assert_eq!(get("exit 1", "10.0.2"), own);
        assert_ne!(get("exit 1", "10.1.0"), own);
    }

    #[test]
    fn snapshots_serve_where_the_named_cpu_is_and_those_of_a_machine_s_own_only_on_its_like() {
        let pinned = |vendor: &str| GuestCpu::Pinned { vendor: vendor.to_owned(), model: "EPYC-v1,-svm".to_owned() };
        assert_eq!(pinned("AuthenticAMD").mark(), format!("AuthenticAMD EPYC-v1,-svm,{NEVER}"));
        assert_ne!(pinned("AuthenticAMD").mark(), pinned("HygonGenuine").mark());
        let own = GuestCpu::Own { because: "which lacks vme".to_owned() };
        assert!(own.mark().contains("; flags ") && own.mark().contains(&Cpu::of_host().to_string()));
        assert_eq!(pinned("AuthenticAMD").to_string(), "guests have the CPU `EPYC-v1`");
        assert!(own.to_string().contains("the CPU of this machine (which lacks vme)"), "{own}");
    }
}

//! [`Toolchain`]: the programs that make virtual machines.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guest_cpu::{GuestCpu, KvmCpu};
use super::virtme_ng::VirtmeNg;
use crate::process::{self, ProcessError};
use crate::venv::{PinnedPackages, Venv};

/// Older QEMUs corrupt guests of Linux 6.12 under TCG: 22 of 175 boots oopsed with 7.2, none of 125 with 10.0.
const TCG_SAFE_QEMU: u32 = 10;
/// QEMU 5.2 crashes while it saves a guest under KVM. Those before 5.0 do not let a machine's memory be one of `-object`, which is what a
/// snapshot keeps.
const SNAPSHOT_QEMU: u32 = 6;
/// Remembers which processor guests get, beside the file that remembers versions.
const KVM_CPU_MEMORY: &str = "kvm-cpu.json";
/// How to get virtme-ng.
const VIRTME_HINT: &str = "`corematrix setup` installs virtme-ng";
/// How to get QEMU.
const QEMU_HINT: &str = "`corematrix setup` installs the package `qemu-system-x86`";
/// virtme-ng looks for a kernel's version with it. Its other program for that, `file`, knows none of an uncompressed kernel.
const STRINGS: &str = "strings";
/// Points at another `virtme-run`.
pub const VIRTME_RUN_VARIABLE: &str = "COREMATRIX_VIRTME_RUN";
/// Points at another QEMU.
pub const QEMU_VARIABLE: &str = "COREMATRIX_QEMU";

/// The programs that make virtual machines, and their versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// virtme-ng's `virtme-run`.
    pub virtme_run: PathBuf,
    /// Such as `1.42`.
    pub virtme_version: String,
    /// `qemu-system-x86_64`.
    pub qemu: PathBuf,
    /// Such as `10.0.2`.
    pub qemu_version: String,
    /// The processor of its guests under KVM.
    pub kvm_cpu: KvmCpu,
}

/// The versions of virtme-ng and QEMU as they were when someone last asked.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    marks: [String; 2],
    versions: [String; 2],
}

/// A program that is missing or does not work.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// Found nowhere.
    #[error("`{program}` is not installed (looked in {places})")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        places: String,
        /// How to get it.
        hint: &'static str,
    },
    /// Found, and its options are not those that corematrix uses.
    #[error("virtme-ng {version} (`{}`) is too old: {} or later is needed", path.display(), VirtmeNg::oldest())]
    TooOld {
        /// Its `virtme-run`.
        path: PathBuf,
        /// As it prints it.
        version: String,
    },
    /// Found, and it does not even print its version.
    #[error("cannot get the version of `{program}`: {source}")]
    Broken {
        /// Its path.
        program: String,
        /// How to get one that works.
        hint: &'static str,
        /// Why.
        source: ProcessError,
    },
}

impl ToolchainError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ToolchainError::Missing { hint, .. } => Some((*hint).to_owned()),
            ToolchainError::TooOld { .. } => Some(VIRTME_HINT.to_owned()),
            ToolchainError::Broken { program, source: ProcessError::Deadline { .. }, .. } => Some(format!(
                "try `{program} --version` by hand; on a slow machine, raise `boot-timeout` in the manifest, which \
    also raises this limit"
            )),
            ToolchainError::Broken { program, hint, .. } => {
                Some(format!("try `{program} --version` by hand; if it fails, {hint}"))
            }
        }
    }
}

/// Programs that the user names.
#[derive(Debug, Clone, Default)]
pub struct ToolPaths {
    /// virtme-ng's `virtme-run`.
    pub virtme_run: Option<PathBuf>,
    /// QEMU for the machine.
    pub qemu: Option<PathBuf>,
    /// Where `corematrix setup` installs a virtme-ng.
    pub virtme_ng: Option<Venv>,
    /// Where `corematrix setup --tuf` installs a python-tuf.
    pub python_tuf: Option<Venv>,
}

impl ToolPaths {
    /// Those that the environment names.
    pub fn from_environment() -> ToolPaths {
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        ToolPaths {
            virtme_run: named(VIRTME_RUN_VARIABLE),
            qemu: named(QEMU_VARIABLE),
            virtme_ng: Venv::of_user(PinnedPackages::VirtmeNg),
            python_tuf: Venv::of_user(PinnedPackages::PythonTuf),
        }
    }
}

impl Toolchain {
    /// Takes the programs of `paths`; else looks for virtme-ng in `.venv` of the project directory, where `corematrix setup` installs it, and on the PATH; for QEMU on the PATH. `memory` is a file that remembers versions: asking virtme-ng takes longer than restoring a guest. Each program has
    /// `limit` to print its own.
    pub fn find(
        project: &Path,
        paths: &ToolPaths,
        memory: &Path,
        limit: Duration,
    ) -> Result<Toolchain, ToolchainError> {
        let virtme_run = virtme_run(project, paths)?;
        let qemu = qemu(paths)?;
        let marks = [mark(&virtme_run), mark(&qemu)];
        let kvm_cpu = KvmCpu::remembered_in(memory.with_file_name(KVM_CPU_MEMORY));
        let known = fs::read(memory).ok().and_then(|json| serde_json::from_slice::<Remembered>(&json).ok());
        if let Some(known) = known.filter(|known| known.marks == marks) {
            let [virtme_version, qemu_version] = known.versions;
            return Ok(Toolchain { virtme_run, virtme_version, qemu, qemu_version, kvm_cpu });
        }
        let virtme_version = virtme_version(&virtme_run, limit)?;
        if VirtmeNg::is_too_old(&virtme_version) {
            return Err(ToolchainError::TooOld { path: virtme_run, version: virtme_version });
        }
        let qemu_version = version_word(&version_output(&qemu, QEMU_HINT, limit)?, "version");
        let versions = [virtme_version.clone(), qemu_version.clone()];
        // Not being able to remember costs time and nothing else.
        let _ = serde_json::to_vec_pretty(&Remembered { marks, versions }).map(|json| fs::write(memory, json));
        Ok(Toolchain { virtme_run, virtme_version, qemu, qemu_version, kvm_cpu })
    }

    /// The processor of guests under KVM. QEMU has `limit` to start with it, where no one has asked before.
    pub(super) fn guest_cpu(&self, limit: Duration) -> &GuestCpu {
        self.kvm_cpu.get((&self.qemu, &self.qemu_version), limit)
    }

    /// What guests under KVM have as their processor, in words.
    pub fn kvm_guests(&self, limit: Duration) -> String {
        self.guest_cpu(limit).to_string()
    }

    /// Why this QEMU cannot save a guest, if it is known to be too old for that.
    pub fn cannot_snapshot(&self) -> Option<String> {
        major(&self.qemu_version).filter(|major| *major < SNAPSHOT_QEMU).map(|_| {
            format!("QEMU {} cannot save guests as snapshots; QEMU {SNAPSHOT_QEMU} and later can", self.qemu_version)
        })
    }

    /// Whether a QEMU of this version is known to corrupt guests under emulation.
    pub fn is_unsafe_for_emulation(version: &str) -> bool {
        major(version).is_some_and(|major| major < TCG_SAFE_QEMU)
    }

    /// A warning if this QEMU is known to corrupt guests under emulation.
    pub fn emulation_warning(&self) -> Option<String> {
        Toolchain::is_unsafe_for_emulation(&self.qemu_version).then(|| {
            format!(
                "QEMU {} corrupts some guests under emulation (seen with 7.2 and Linux 6.12), but not under KVM; use \
    QEMU {TCG_SAFE_QEMU} or later (Debian 12: bookworm-backports)",
                self.qemu_version
            )
        })
    }

    /// A program that virtme-ng needs to compose a machine and that is not installed, with what to do about it.
    pub fn lacks(&self) -> Option<(&'static str, String)> {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = std::env::split_paths(&on_path).any(|folder| folder.join(STRINGS).is_file());
        (!is_there).then(|| (STRINGS, needed_hint(STRINGS)))
    }

    /// QEMU and its version, if there is one that prints it.
    pub fn qemu(paths: &ToolPaths, limit: Duration) -> Option<(PathBuf, String)> {
        let qemu = qemu(paths).ok()?;
        let version = version_word(&version_output(&qemu, QEMU_HINT, limit).ok()?, "version");
        Some((qemu, version))
    }

    /// virtme-ng's `virtme-run` and its version, if there is one that prints it.
    pub fn virtme_ng(project: &Path, paths: &ToolPaths, limit: Duration) -> Option<(PathBuf, String)> {
        let virtme_run = virtme_run(project, paths).ok()?;
        let version = virtme_version(&virtme_run, limit).ok()?;
        Some((virtme_run, version))
    }

    /// virtme-ng's `vng`, which stands beside `virtme-run`; `None` without virtme-ng. Nothing is run to find it.
    pub fn vng(project: &Path, paths: &ToolPaths) -> Option<PathBuf> {
        Some(virtme_run(project, paths).ok()?.with_file_name("vng"))
    }
}

fn qemu(paths: &ToolPaths) -> Result<PathBuf, ToolchainError> {
    find("qemu-system-x86_64", (QEMU_VARIABLE, paths.qemu.as_deref()), &[], QEMU_HINT)
}

/// The first number of a version.
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn virtme_run(project: &Path, paths: &ToolPaths) -> Result<PathBuf, ToolchainError> {
    let own = paths.virtme_ng.as_ref().filter(|own| own.is_whole()).map(Venv::program);
    let places: Vec<_> = std::iter::once(project.join(".venv/bin/virtme-run")).chain(own).collect();
    find("virtme-run", (VIRTME_RUN_VARIABLE, paths.virtme_run.as_deref()), &places, VIRTME_HINT)
}

/// What to do about a program that virtme-ng needs and that is not installed.
pub(super) fn needed_hint(program: &str) -> String {
    match program {
        STRINGS => "`corematrix setup` installs the package `binutils`".to_owned(),
        program => format!("install the package that contains `{program}`"),
    }
}

/// Distinguishes a program from another one at its path, or from another version of itself.
fn mark(path: &Path) -> String {
    let found = fs::metadata(path).map(|found| format!("{} {} {}", found.len(), found.ino(), found.ctime()));
    format!("{} {}", path.display(), found.unwrap_or_default())
}

fn find(
    program: &'static str,
    (variable, named): (&str, Option<&Path>),
    places: &[PathBuf],
    hint: &'static str,
) -> Result<PathBuf, ToolchainError> {
    if let Some(path) = named.map(Path::to_owned) {
        let missing =
            ToolchainError::Missing { program, places: format!("${variable}, which is `{}`", path.display()), hint };
        return path.is_file().then_some(path).ok_or(missing);
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = places.iter().cloned().chain(std::env::split_paths(&on_path).map(|folder| folder.join(program)));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let mut looked: Vec<String> = places.iter().map(|place| format!("`{}`", place.display())).collect();
        looked.push("PATH".to_owned());
        ToolchainError::Missing { program, places: looked.join(", "), hint }
    })
}

/// `virtme-run` has no `--version`; `vng` beside it has.
fn virtme_version(virtme_run: &Path, limit: Duration) -> Result<String, ToolchainError> {
    let vng = virtme_run.with_file_name("vng");
    if !vng.is_file() {
        return Ok("unknown".to_owned());
    }
    Ok(version_word(&version_output(&vng, VIRTME_HINT, limit)?, "virtme-ng"))
}

fn version_output(program: &Path, hint: &'static str, limit: Duration) -> Result<String, ToolchainError> {
    let mut command = Command::new(program);
    command.arg("--version");
    let broken = |source| ToolchainError::Broken { program: program.display().to_string(), hint, source };
    process::run(command, limit).map_err(broken)
}

/// The word after `marker`.
fn version_word(output: &str, marker: &str) -> String {
    let mut words = output.split_whitespace().skip_while(|word| *word != marker).skip(1);
    words.next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(version_word("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright", "version"), "10.0.2");
        assert_eq!(version_word("virtme-ng 1.42\n", "virtme-ng"), "1.42");
        assert_eq!(version_word("", "version"), "unknown");
    }

    #[test]
    fn old_qemu_is_warned_about() {
        let with = |version: &str| Toolchain {
            virtme_run: "virtme-run".into(),
            virtme_version: "1.42".into(),
            qemu: "qemu".into(),
            qemu_version: version.into(),
            kvm_cpu: KvmCpu::default(),
        };
        assert!(with("7.2.11").emulation_warning().is_some_and(|text| text.contains("7.2.11")));
        assert_eq!(with("10.0.2").emulation_warning(), None);
        let old = with("5.2.0").cannot_snapshot().expect("cannot");
        assert_eq!(old, "QEMU 5.2.0 cannot save guests as snapshots; QEMU 6 and later can");
        for version in ["6.2.0", "8.2.2", "10.0.2", "unknown"] {
            assert_eq!(with(version).cannot_snapshot(), None, "{version}");
        }
        assert_eq!(with("unknown").emulation_warning(), None);
    }
}

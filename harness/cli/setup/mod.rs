//! `corematrix setup`: installs the programs that corematrix needs and that are missing.

mod apt;
mod python;
pub(super) mod survey;

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;

use self::apt::Apt;
use self::survey::{Need, Survey};
use super::Common;
use super::failure::Failure;
use crate::manifest::{DiskImage, ImageProof, Manifest, Source};
use crate::venv::PinnedPackages;
use crate::vm::VirtmeNg;

/// The release of Debian whose own QEMU is too old for emulation, and whose backports have a newer one.
const WITH_BACKPORTS: &str = "bookworm";

#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// Install without asking.
    #[arg(long, short)]
    yes: bool,

    /// Install python-tuf too, for kernels with `tuf` such as `bottlerocket`; done anyway if the manifest has one
    #[arg(long)]
    tuf: bool,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Work {
    /// Debian packages.
    packages: Vec<&'static str>,
    /// Whether QEMU comes from backports.
    backports: bool,
    /// Whether virtme-ng is missing or too old.
    virtme_ng: bool,
    /// Whether python-tuf is wanted and missing.
    python_tuf: bool,
}

impl Work {
    /// `codename` is the release of Debian or Ubuntu, empty for other systems.
    fn of(survey: &Survey, codename: &str, python_tuf: bool) -> Work {
        let needs = survey.needs();
        let mut packages = Vec::new();
        let backports = needs.contains(&Need::Qemu) && codename == WITH_BACKPORTS;
        for need in &needs {
            match need {
                Need::Qemu if backports => {}
                // No other release has a newer one.
                Need::Qemu if survey.has_qemu() => {}
                Need::Qemu => packages.push("qemu-system-x86"),
                Need::Curl => packages.extend(["curl", "ca-certificates"]),
                Need::Strings => packages.push("binutils"),
                Need::VirtmeNg => {}
            }
        }
        Work { packages, backports, virtme_ng: needs.contains(&Need::VirtmeNg), python_tuf }
    }

    fn is_empty(&self) -> bool {
        self.packages.is_empty() && !self.backports && !self.virtme_ng && !self.python_tuf
    }

    /// Whether the distribution's packages are wanted, or a Python that installs others.
    fn needs_apt(&self) -> bool {
        !self.packages.is_empty() || self.backports || self.virtme_ng || !python::has_python()
    }

    /// A line for each step, before it is known what the archives have.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.packages.is_empty() {
            lines.push(format!("{} {}", apt::INSTALL, self.packages.join(" ")));
        }
        if self.backports {
            lines.push(format!("{} -t {WITH_BACKPORTS}-backports qemu-system-x86", apt::INSTALL));
        }
        if self.virtme_ng {
            lines.push(format!(
                "virtme-ng: the distribution's package if it is {} or later, else {} from PyPI by pip with checksums",
                VirtmeNg::oldest(),
                PinnedPackages::VirtmeNg.version()
            ));
        }
        if self.python_tuf {
            lines.push(format!("python-tuf: {} from PyPI by pip with checksums", PinnedPackages::PythonTuf.version()));
        }
        lines
    }
}

pub(super) fn run(common: &Common, args: &SetupArgs) -> Result<ExitCode, Failure> {
    let survey = Survey::take(common.manifest.folder());
    let apt = Apt::find();
    let python_tuf = (args.tuf || needs_tuf(common)) && !python::is_installed(PinnedPackages::PythonTuf);
    let work = Work::of(&survey, &apt.as_ref().map(|_| apt::codename()).unwrap_or_default(), python_tuf);
    if work.is_empty() {
        return Ok(conclude(&survey));
    }
    print!("{}", survey.text());
    if apt.is_none() && (work.backports || !work.packages.is_empty()) {
        return Err(without_apt(&survey));
    }
    consent(args.yes, &work, &survey)?;
    if let Some(apt) = &apt {
        if work.needs_apt() {
            apt.update()?;
        }
        apt.install(&work.packages)?;
        if work.backports {
            apt.install_qemu_from_backports(WITH_BACKPORTS)?;
        }
    }
    if work.virtme_ng {
        install_virtme_ng(apt.as_ref())?;
    }
    if work.python_tuf {
        install_python(apt.as_ref(), PinnedPackages::PythonTuf)?;
    }
    let survey = Survey::take(common.manifest.folder());
    match survey.missing().as_slice() {
        [] => Ok(conclude(&survey)),
        missing => {
            let hint = "the lines above show why their installation failed".to_owned();
            Err(Failure::infrastructure(format!("still missing: {}", missing.join(", ")), Some(hint)))
        }
    }
}

/// Whether a kernel of the manifest is looked up in a TUF repository. What is wrong with a manifest other commands say.
fn needs_tuf(common: &Common) -> bool {
    let of_tuf = |source: &Source| matches!(source, Source::Disk { disk: DiskImage::Server(image), .. } if matches!(image.proof, ImageProof::Tuf(_)));
    let has_one = |manifest: Manifest| manifest.kernels.iter().any(|kernel| kernel.sources().any(of_tuf));
    common.manifest.load().is_ok_and(has_one)
}

fn conclude(survey: &Survey) -> ExitCode {
    print!("{}", survey.text());
    if survey.old_qemu() {
        println!(
            "note: without KVM, this QEMU corrupts some guests; QEMU 10 or later does not, but this system does not \
    package it"
        );
    }
    println!("ready; `corematrix doctor` checks it with a boot");
    ExitCode::SUCCESS
}

fn without_apt(survey: &Survey) -> Failure {
    let hint = "install them with this system's package manager, then run `corematrix setup` again".to_owned();
    let missing = survey.missing().join(", ");
    Failure::infrastructure(
        format!(
            "these programs are missing, and `apt-get` is not available to install them: \
    {missing}"
        ),
        Some(hint),
    )
}

/// Asks, unless the answer is known.
fn consent(yes: bool, work: &Work, survey: &Survey) -> Result<(), Failure> {
    let lines = work.lines();
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let python_tuf = work.python_tuf.then(|| "python-tuf".to_owned());
        let missing: Vec<String> = survey.wanting().into_iter().chain(python_tuf).collect();
        let missing = missing.join(", ");
        let hint = format!("`corematrix setup --yes` installs them:\n  {}", lines.join("\n  "));
        let message = format!("missing or too old: {missing}; not installed, because there is no terminal to ask on");
        return Err(Failure::input(message, Some(hint)));
    }
    println!("to be installed:\n  {}", lines.join("\n  "));
    eprint!("continue? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
        _ => Err(Failure::input("nothing was installed", None)),
    }
}

/// The distribution's package where it is new enough, else the pinned version into the user's own directory.
fn install_virtme_ng(apt: Option<&Apt>) -> Result<(), Failure> {
    let packaged = apt.and_then(|apt| apt.candidate("virtme-ng"));
    match (apt, packaged) {
        (Some(apt), Some(version)) if !VirtmeNg::is_too_old(&version) => apt.install(&["virtme-ng"]),
        (apt, packaged) => {
            if let Some(version) = packaged {
                println!(
                    "the distribution packages virtme-ng {version}, but {} or later is needed",
                    VirtmeNg::oldest()
                );
            }
            install_python(apt, PinnedPackages::VirtmeNg)
        }
    }
}

fn install_python(apt: Option<&Apt>, packages: PinnedPackages) -> Result<(), Failure> {
    if let (Some(apt), false) = (apt, python::has_python()) {
        apt.install(&["python3-venv"])?;
    }
    python::install(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(qemu: Option<&str>, virtme_ng: Option<&str>, kvm: bool) -> Survey {
        let found = |version: &str| ("/usr/bin/x".into(), version.to_owned());
        Survey { qemu: qemu.map(found), virtme_ng: virtme_ng.map(found), curl: None, strings: None, kvm }
    }

    #[test]
    fn debian_12_takes_qemu_from_backports() {
        let work = Work::of(&survey(None, None, false), "bookworm", false);
        assert_eq!(
            work,
            Work {
                packages: vec!["curl", "ca-certificates", "binutils"],
                backports: true,
                virtme_ng: true,
                python_tuf: false
            }
        );
        assert!(Work::of(&survey(Some("7.2.11"), None, false), "bookworm", false).backports);
        assert!(!Work::of(&survey(Some("7.2.11"), None, true), "bookworm", false).backports, "KVM does with it");
        assert!(!Work::of(&survey(Some("10.0.2"), None, false), "bookworm", false).backports);
    }

    #[test]
    fn other_releases_take_their_own_qemu() {
        let work = Work::of(&survey(None, Some("1.35-1"), false), "trixie", false);
        assert_eq!(work.packages, ["qemu-system-x86", "curl", "ca-certificates", "binutils"]);
        assert!(!work.backports && !work.virtme_ng);
        let whole = survey(Some("10.0.2"), Some("1.42"), true);
        let work = Work { packages: Vec::new(), ..Work::of(&whole, "trixie", true) };
        assert!(!work.is_empty() && work.lines()[0].starts_with("python-tuf: "), "{:?}", work.lines());
        // There is no newer one available.
        let work = Work::of(&survey(Some("8.2.2"), Some("1.22"), false), "noble", false);
        assert_eq!(work.packages, ["curl", "ca-certificates", "binutils"]);
        assert!(work.virtme_ng);
    }
}

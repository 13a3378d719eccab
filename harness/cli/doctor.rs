//! `corematrix doctor`: can this machine run the matrix, and what to do where it cannot.

mod forecast;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;

use super::answer::{CheckState, DoctorCheck, DoctorReport, Print};
use super::failure::Failure;
use super::setup::survey::Survey;
use super::{Common, MachineArgs};
use crate::matrix::{self, KVM_MEMORY, Project};
use crate::process;
use crate::record::exit_code;
use crate::report::counted;
use crate::run::Stop;
use crate::vm::{self, Accelerator, Choice, Deadlines, KvmMemory, Toolchain};

/// Less free space than this is worth a warning: the default kernels take about this much when they are unpacked.
const ROOM_MIB: u64 = 1500;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a check found.
enum Finding {
    Good(String),
    /// Works, and could be better.
    Fair(String, String),
    /// Does not work; second: what to do.
    Bad(String, String),
}

impl Finding {
    fn into_check(self, name: &str) -> DoctorCheck {
        let (state, text, hint) = match self {
            Finding::Good(text) => (CheckState::Ok, text, None),
            Finding::Fair(text, advice) => (CheckState::Note, text, Some(advice)),
            Finding::Bad(text, advice) => (CheckState::Bad, text, Some(advice)),
        };
        DoctorCheck { name: name.to_owned(), state, text, hint }
    }
}

pub(super) fn run(common: &Common, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut report = DoctorReport { checks: Vec::new(), forecast: None };
    let mut tell = |name: &str, finding: Finding| {
        let check = finding.into_check(name);
        if !args.json {
            say_check(&check);
        }
        report.checks.push(check);
    };
    tell("manifest", Finding::Good(manifest_line(&project)));
    for (name, finding) in tool_findings(&project) {
        tell(&name, finding);
    }
    tell("store", Finding::Good(project.store.root().display().to_string()));
    tell("disk", disk(project.store.root()));
    tell("scratch", disk(&std::env::temp_dir()));
    tell("apt", apt());
    match project.tools() {
        Ok(tools) => tell("acceleration", acceleration(&project, tools, args)?),
        Err(_) => tell(
            "acceleration",
            Finding::Bad("cannot be checked without the programs above".into(), "see above".into()),
        ),
    }
    let untyped = project.without_btf(&project.kernels(&args.machine.kernel)?);
    if !untyped.is_empty() {
        let way = "`btf` under [defaults] in the manifest names a BTFHub archive; `btf` of the kernel names a file";
        tell("BTF", Finding::Fair(untyped.join("; "), way.to_owned()));
    }
    if project.tools().is_ok() {
        let forecast = forecast::of(&project, &args.machine)?;
        if !args.json {
            forecast.lines().iter().for_each(|(name, text)| println!("      {name:<12} {text}"));
        }
        report.forecast = Some(forecast);
    }
    if args.json {
        report.print()?;
    }
    let is_bad = report.checks.iter().any(|check| check.state == CheckState::Bad);
    Ok(ExitCode::from(if is_bad { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

fn say_check(check: &DoctorCheck) {
    let mark = match check.state {
        CheckState::Ok => "ok",
        CheckState::Note => "note",
        CheckState::Bad => "BAD",
    };
    println!("{mark:>4}  {:<12} {}", check.name, check.text);
    if let Some(hint) = &check.hint {
        println!("{:>4}  {:<12} hint: {hint}", "", "");
    }
}

fn manifest_line(project: &Project) -> String {
    let manifest = &project.manifest;
    let name = if project.is_built_in { "built-in".to_owned() } else { manifest.path.display().to_string() };
    let kernels = counted(manifest.kernels.len(), "kernel");
    format!("{name}: {kernels}, {} in the default matrix", manifest.matrix.len())
}

fn tool_findings(project: &Project) -> Vec<(String, Finding)> {
    match project.tools() {
        Err(error) => {
            let hint = error.hint().unwrap_or_else(|| "`corematrix setup` installs what is missing".to_owned());
            unusable(error.to_string(), hint, Survey::take(&project.folder).problems())
        }
        Ok(tools) => {
            let qemu = format!("{} ({})", tools.qemu_version, tools.qemu.display());
            let warnings: Vec<String> = tools.emulation_warning().into_iter().chain(tools.cannot_snapshot()).collect();
            let qemu = match warnings.is_empty() {
                true => Finding::Good(qemu),
                false => Finding::Fair(qemu, warnings.join("; ")),
            };
            let virtme = format!("{} ({})", tools.virtme_version, tools.virtme_run.display());
            let virtme = match tools.lacks() {
                None => Finding::Good(virtme),
                Some((program, hint)) => {
                    Finding::Bad(format!("{virtme} needs `{program}`, which is not installed"), hint)
                }
            };
            vec![("QEMU".to_owned(), qemu), ("virtme-ng".to_owned(), virtme)]
        }
    }
}

/// A finding for each program that is missing: the error is about the first one, and says where that was looked for.
fn unusable(error: String, hint: String, problems: Vec<[String; 3]>) -> Vec<(String, Finding)> {
    let is_of_error = |name: &str| error.to_lowercase().contains(&name.to_lowercase()[..4]);
    let is_known = problems.iter().any(|[name, ..]| is_of_error(name));
    let mut findings: Vec<(String, Finding)> = problems
        .into_iter()
        .map(|[name, text, way]| match is_of_error(&name) {
            true => (name, Finding::Bad(error.clone(), hint.clone())),
            false => (name, Finding::Bad(text, way)),
        })
        .collect();
    if !is_known {
        findings.insert(0, ("programs".to_owned(), Finding::Bad(error, hint)));
    }
    findings
}

fn acceleration(project: &Project, tools: &Toolchain, args: &DoctorArgs) -> Result<Finding, Failure> {
    let kernels = project.kernels(&args.machine.kernel)?;
    let stop = Stop::default();
    let step = |step: String| eprintln!("  {step}");
    let found = kernels.iter().find_map(|spec| {
        let stored = project.store.kernel(spec, &project.lock, args.machine.offline, &step).ok()?;
        Some((spec, stored))
    });
    let Some((spec, stored)) = found else {
        let hint = "`corematrix run` shows why each kernel is unavailable".to_owned();
        return Ok(Finding::Bad("no kernel of the matrix is available to boot".to_owned(), hint));
    };
    // The doctor does not trust what an earlier run remembers; later runs trust the doctor.
    let memory = KvmMemory { file: &project.store.root().join(KVM_MEMORY), anew: true };
    let choose =
        |choice| vm::choose(choice, tools, memory, |patience| matrix::prove_kvm(tools, spec, &stored, patience, &stop));
    let wants_kvm = args.machine.accel == Choice::Kvm;
    // Asked for KVM it proves KVM, too.
    let chosen = match wants_kvm {
        true => choose(Choice::Kvm).and_then(|_| choose(Choice::Auto)),
        false => choose(args.machine.accel),
    };
    let proof = match chosen {
        Ok(proof) => proof,
        Err(error) => return Ok(Finding::Bad(error.to_string(), error.hint())),
    };
    if proof.accelerator == Accelerator::Kvm {
        let guests = tools.kvm_guests(Deadlines::version(spec.boot_timeout));
        return Ok(Finding::Good(format!("kvm: kernel `{}` booted; {guests}", spec.name)));
    }
    if wants_kvm {
        let way = "`--accel tcg` uses emulation, about ten times slower than KVM".to_owned();
        return Ok(Finding::Bad(proof.reason, proof.advice.unwrap_or(way)));
    }
    Ok(match matrix::boot_once(tools, spec, &stored, (proof.accelerator, 1), &stop) {
        Ok(()) if args.machine.accel == Choice::Tcg => Finding::Good(format!("tcg: kernel `{}` booted", spec.name)),
        Ok(()) => {
            let way = proof.advice.map(|advice| format!("; {advice}")).unwrap_or_default();
            let advice = format!("{}; emulation works, about ten times slower than KVM{way}", proof.reason);
            Finding::Fair(format!("tcg: kernel `{}` booted", spec.name), advice)
        }
        Err(failure) => {
            let text = format!("kernel `{}` does not boot with {}: {}", spec.name, proof.accelerator, failure.reason());
            let hint = failure.hint().unwrap_or("`--kernel` tries another kernel");
            Finding::Bad(text, hint.to_owned())
        }
    })
}

fn apt() -> Finding {
    let mut command = Command::new("apt-get");
    command.arg("--version");
    match process::run(command, Duration::from_secs(20)) {
        Ok(text) => Finding::Good(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Finding::Fair(
            error.to_string(),
            "kernels from apt cannot be fetched here; stored kernels, and kernels of source `path`, can be used"
                .to_owned(),
        ),
    }
}

fn disk(folder: &Path) -> Finding {
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize / (1 << 20);
            let text = format!("{free} MiB free in {}", folder.display());
            match free {
                0..ROOM_MIB => Finding::Fair(text, format!("the default kernels need about {ROOM_MIB} MiB")),
                _ => Finding::Good(text),
            }
        }
        Err(error) => {
            Finding::Bad(format!("{}: {error}", folder.display()), "check that the directory exists".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_programs_are_listed_at_once() {
        let problems = || {
            ["QEMU", "virtme-ng", "strings"]
                .map(|name| [name.to_owned(), format!("no {name}"), "setup".to_owned()])
                .to_vec()
        };
        let lines = |error: &str| -> Vec<String> {
            let found = unusable(error.to_owned(), "how".to_owned(), problems()).into_iter();
            let checks = found.map(|(name, finding)| finding.into_check(&name));
            checks.map(|check| format!("{}: {}, {}", check.name, check.text, check.hint.unwrap_or_default())).collect()
        };
        assert_eq!(
            lines("`virtme-run` is not installed (looked in PATH)"),
            [
                "QEMU: no QEMU, setup",
                "virtme-ng: `virtme-run` is not installed (looked in PATH), how",
                "strings: no strings, setup"
            ]
        );
        assert_eq!(lines("something else")[..2], ["programs: something else, how", "QEMU: no QEMU, setup"]);
    }
}

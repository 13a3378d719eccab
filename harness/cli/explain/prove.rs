//! `corematrix explain --prove`: the guards of the advice, loaded on every kernel of the run.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::answer::{GuardOnKernel, GuardProofs, LoadedGuard, Print};
use super::super::cell_runner::{CellRunner, GuestArgs};
use super::super::failure::Failure;
use super::checked::{Checker, write};
use crate::guard_proof::{GuardObject, compile, difference, guard_of, meant, source};
use crate::manifest::KernelSpec;
use crate::matrix::{Project, Work};
use crate::object::find_objects;
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::{Explanation, History, RunRecord, Snippet, SnippetProof, Verdict, exit_code};
use crate::suite::Settings;

/// The directory of the guards, in that of the report.
const GUARDS: &str = "guards";

/// A guard to load.
struct Guard<'a> {
    name: &'a str,
    programs: Vec<&'a str>,
    snippet: &'a Snippet,
    history: &'a History,
    checked: Option<SnippetProof>,
}

/// What to prove, and where.
pub(super) struct Task<'a> {
    pub project: &'a Project,
    pub record: &'a RunRecord,
    /// The directory of the report.
    pub folder: &'a Path,
    /// The object that the advice is for.
    pub object: &'a str,
    /// Programs with what is advised for them.
    pub advice: &'a [(String, Explanation)],
}

/// Loads the guards and prints what became of them.
pub(super) fn run(task: &Task<'_>, checker: &Checker<'_>, guests: &GuestArgs, json: bool) -> Result<ExitCode, Failure> {
    let guards = guards(task.advice);
    let loaded = match guards.is_empty() {
        true => Vec::new(),
        false => match load(task, checker, &guards, guests)? {
            Ok(loaded) => loaded,
            Err(interrupted) => return Ok(interrupted),
        },
    };
    let proofs = GuardProofs { object: task.object.to_owned(), guards: loaded };
    match json {
        true => proofs.print()?,
        false => print!("{}", text(&proofs.guards)),
    }
    let mut cells = proofs.guards.iter().flat_map(|guard| &guard.kernels);
    Ok(ExitCode::from(match () {
        () if cells.clone().any(|cell| cell.verdict == Verdict::NotRun) => exit_code::INFRASTRUCTURE,
        () if cells.any(|cell| cell.wrong.is_some()) => exit_code::PROGRAM_FAILED,
        () => exit_code::GOOD,
    }))
}

/// Each guard once.
fn guards(advice: &[(String, Explanation)]) -> Vec<Guard<'_>> {
    let mut guards: Vec<Guard<'_>> = Vec::new();
    for (program, explanation) in advice {
        let Some((snippet, history)) = guard_of(explanation) else { continue };
        match guards.iter_mut().find(|guard| guard.snippet.code == snippet.code) {
            Some(guard) => guard.programs.push(program),
            None => guards.push(Guard {
                name: &explanation.name,
                programs: vec![program],
                snippet,
                history,
                checked: explanation.proof.clone(),
            }),
        }
    }
    guards
}

/// `Err` with the exit code if the user stopped it.
fn load(
    task: &Task<'_>,
    checker: &Checker<'_>,
    guards: &[Guard<'_>],
    guests: &GuestArgs,
) -> Result<Result<Vec<LoadedGuard>, ExitCode>, Failure> {
    let folder = task.folder.join(GUARDS);
    let hint = || {
        Some(
            "install `clang` and the libbpf headers (Debian: `clang`, `libbpf-dev`), which compile the guards"
                .to_owned(),
        )
    };
    let (mut sources, mut compiled) = (Vec::new(), Vec::new());
    for (number, guard) in guards.iter().enumerate() {
        let name = format!("{}-{}", crate::file_name::file_name(task.object), number + 1);
        let path = write(&folder, &name, &source(guard.snippet, &guard.history.arms))
            .map_err(|reason| Failure::infrastructure(reason, None))?;
        let object = compile(&path).map_err(|reason| Failure::infrastructure(reason, hint()))?;
        let read = GuardObject::read(&object.bytes, guard.snippet, guard.history);
        compiled.push(read.map_err(|reason| Failure::infrastructure(reason, None))?);
        sources.push(path);
    }
    let paths: Vec<PathBuf> = sources.iter().map(|path| path.with_extension("o")).collect();
    let found = find_objects(&paths).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::infrastructure(errors.join("; "), None)
    })?;
    let plan = Plan::new(kernels(task)?, found.objects, &Settings::default());
    let mut runner = CellRunner::new(task.project, guests)?;
    let work = Work::new(plan, Vec::new());
    let record = runner.run(&work, (Reach::Load, false), &folder)?;
    if let Some(code) = runner.interrupted() {
        return Ok(Err(code));
    }
    let names: Vec<&str> = checker.kernels().iter().map(|kernel| kernel.name.as_str()).collect();
    let loaded = guards.iter().zip(&compiled).zip(sources).enumerate().map(|(number, ((guard, object), source))| {
        let meant = meant(guard.history, &names);
        let on = |(place, kernel): (usize, &KernelSpec)| {
            let cell = record.cell(number, place);
            let program = cell.programs.first();
            let verdict = program.map_or(Verdict::NotRun, |program| program.verdict);
            let outcome = |wanted: usize| {
                let found = cell.relocations.iter().find(|relocation| relocation.relocation == wanted);
                found.map(|relocation| &relocation.outcome)
            };
            let picked = object.picked(outcome);
            let meant = names.iter().position(|name| *name == kernel.name).and_then(|at| meant[at]);
            let wrong = match verdict {
                Verdict::Loaded => difference(meant, &picked),
                _ => Some(
                    program.and_then(|program| program.reason.clone()).unwrap_or_else(|| verdict.label().to_owned()),
                ),
            };
            let picked = picked.arm.and_then(|arm| arm.path.clone());
            GuardOnKernel { kernel: kernel.name.clone(), verdict, picked, wrong }
        };
        LoadedGuard {
            name: guard.name.to_owned(),
            programs: guard.programs.iter().map(|program| (*program).to_owned()).collect(),
            source,
            checked: guard.checked.clone(),
            kernels: work.plan.kernels.iter().enumerate().map(on).collect(),
        }
    });
    Ok(Ok(loaded.collect()))
}

/// The kernels of the run that were booted there.
fn kernels(task: &Task<'_>) -> Result<Vec<KernelSpec>, Failure> {
    let booted = task.record.kernels.iter().filter(|kernel| kernel.state == crate::record::KernelState::Ready);
    let mut kernels = Vec::new();
    for kernel in booted {
        let spec = task.project.manifest.kernel(&kernel.name);
        let hint = || Some("run `explain --prove` with the manifest of the run: `--manifest FILE`".to_owned());
        let missing = || Failure::input(format!("the manifest no longer declares kernel `{}`", kernel.name), hint());
        kernels.push(spec.ok_or_else(missing)?);
    }
    match kernels.is_empty() {
        true => Err(Failure::input("no kernel of the run was booted", None)),
        false => Ok(kernels),
    }
}

/// What became of the guards. Writing to a string cannot fail.
fn text(loaded: &[LoadedGuard]) -> String {
    let mut text = String::new();
    if loaded.is_empty() {
        text.push_str("\nno guard to load: the advice contains none for the BPF program\n");
    }
    for guard in loaded {
        let _ = writeln!(
            text,
            "\nguard of `{}`, loaded on the kernels of the run ({}):",
            guard.name,
            guard.source.display()
        );
        let column = guard.kernels.iter().map(|on| on.kernel.chars().count()).max().unwrap_or_default();
        for GuardOnKernel { kernel, verdict, picked, wrong } in &guard.kernels {
            let reads = picked.as_ref().map_or_else(|| "reads nothing".to_owned(), |path| format!("reads `{path}`"));
            let wrong = wrong.as_ref().map_or_else(String::new, |wrong| format!("; WRONG: {wrong}"));
            let _ = writeln!(text, "  {kernel:column$}  {}, {reads}{wrong}", verdict.label());
        }
    }
    text
}

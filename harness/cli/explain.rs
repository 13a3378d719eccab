//! `corematrix explain`: one cell of a report, with what it means and what to do.

mod checked;
mod prove;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::answer::{ExplainedCell, ExplainedProgram, Print};
use super::cell_runner::GuestArgs;
use super::failure::Failure;
use super::run::{LATEST, REPORTS, report_failure, width};
use crate::explain::KernelTypes;
use crate::matrix::{KnownPlaces, MatrixTypes, Project, TargetSearch, all_types, kernel_probes};
use crate::nearest::nearest;
use crate::object::{BpfObject, ObjectTypes, find_objects};
use crate::record::json;
use crate::record::{ObjectRecord, RunRecord};
use crate::report::explain::{CellFacts, explanation, hints, render, sentence};
use crate::report::paragraph;
use crate::run_folder::RunFolder;
use crate::source::unpacked_file;
use crate::store::Store;
use checked::Checker;

/// Names in a hint before the rest is left out.
const MOST_NAMES: usize = 12;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Report directory, its `report.json`, or `latest`.
    run: PathBuf,
    /// Kernel, as named in the report.
    kernel: String,
    /// Object, as named in the report.
    object: String,
    /// Program [default: every program of the object that did not load].
    program: Option<String>,
    /// Add kernel BTF to the history of a field: a BTF or ELF file, a directory, or an archive in the layout of BTFHub;
    /// may be repeated. Stored kernels, and archives that the manifest names, are always used.
    #[arg(long, value_name = "FILE|DIR|PATTERN")]
    btf: Vec<PathBuf>,
    /// Load each suggested guard on every kernel of the run. Needs clang and the libbpf headers.
    #[arg(long)]
    prove: bool,
    /// Print the explanations as JSON; with `--prove`, the results of the guards.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    guests: GuestArgs,
}

pub(super) fn run(common: &Common, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let (folder, record) = read_record(common, &args.run)?;
    let kernel = index_of("kernel", &args.kernel, record.kernels.iter().map(|kernel| kernel.name.as_str()))?;
    let object = index_of("object", &args.object, record.objects.iter().map(|object| object.name.as_str()))?;
    let programs = &record.cell(object, kernel).programs;
    let names = programs.iter().map(|program| program.name.as_str());
    let chosen = match &args.program {
        Some(program) => vec![index_of("program", program, names)?],
        None => {
            let failed: Vec<usize> = (0..programs.len()).filter(|&p| !programs[p].verdict.is_pass()).collect();
            if failed.is_empty() { (0..programs.len()).collect() } else { failed }
        }
    };

    let project = Project::load_for_inputs(&common.manifest, &common.places()?)?;
    let store = &project.store;
    let mut missing = Vec::new();
    let (kernels, added) = all_types(&record, store, &mut missing);
    let matrix: Vec<KernelTypes<'_>> = kernels.iter().map(MatrixTypes::borrowed).collect();
    let mut places = KnownPlaces::beyond(&kernels, store);
    for place in &args.btf {
        let hint = "name raw BTF, an ELF file with a `.BTF` section, or a directory of such files".to_owned();
        places.add_files(place).map_err(|error| Failure::input(error, Some(hint)))?;
    }
    missing.extend(places.add_archives(&project));
    let known = places.open();
    let checker = Checker::new(store, &kernels, &known);
    let probes = kernel_probes(&record, store);
    let found = found_again(&record.objects[object], &project_folder(common), store, &mut missing);
    let types = found.as_ref().and_then(|found| ObjectTypes::read(&found.bytes));
    let elsewhere = TargetSearch::new(store);
    let facts = CellFacts {
        record: &record,
        object,
        kernel,
        matrix: &matrix,
        known: &known,
        prove: &|explanation| checker.check(explanation),
        probes: &probes,
        types: types.as_ref(),
        inventory: found.as_ref().and_then(|found| found.inventory.as_ref().ok()),
        log: &|path| RunFolder::new(&folder).log(path),
        elsewhere: &|name| elsewhere.find(name),
        missing: &missing,
    };
    match (args.json, args.prove) {
        (false, _) => show(&facts, &chosen, &added),
        (true, false) => answer(&facts, &chosen).print()?,
        (true, true) => {}
    }
    if !args.prove {
        return Ok(ExitCode::SUCCESS);
    }
    let advised = chosen.iter().filter_map(|&p| Some((programs[p].name.clone(), explanation(&facts, &programs[p])?)));
    let task = prove::Task {
        project: &project,
        record: &record,
        folder: &folder,
        object: &args.object,
        advice: &advised.collect::<Vec<_>>(),
    };
    prove::run(&task, &checker, &args.guests, args.json)
}

fn answer(facts: &CellFacts<'_>, chosen: &[usize]) -> ExplainedCell {
    let cell = facts.record.cell(facts.object, facts.kernel);
    let explained = |&p: &usize| {
        let program = &cell.programs[p];
        let explanation = explanation(facts, program);
        ExplainedProgram {
            program: program.name.clone(),
            summary: sentence(facts, program, explanation.as_ref()),
            verdict: program.verdict,
            cause: program.cause,
            reason: program.reason.clone(),
            explanation,
            hints: hints(facts, program),
        }
    };
    ExplainedCell {
        object: cell.object.clone(),
        kernel: cell.kernel.clone(),
        programs: chosen.iter().map(explained).collect(),
        missing: facts.missing.to_vec(),
    }
}

/// Prints the explanation; `added` are the kernels of the store that are not the run's.
fn show(facts: &CellFacts<'_>, chosen: &[usize], added: &[String]) {
    let text = render(facts, chosen, width());
    print!("{text}");
    // Only what is said of kernels rests on them.
    if text.contains("  in this matrix: ") && !added.is_empty() {
        let line = format!("note: stored kernels that were not in the run are included: {}", added.join(", "));
        print!("\n{}", paragraph(&line, 0, width()));
    }
}

/// The report that `run` names: its directory, and what is in it.
pub(super) fn read_record(common: &Common, run: &Path) -> Result<(PathBuf, RunRecord), Failure> {
    let folder = report_folder(common, run);
    let file = if run.is_file() { run.to_owned() } else { folder.join("report.json") };
    let record = json::read(&file).map_err(|error| match run.as_os_str() == LATEST {
        true => Failure::input(error, Some("`corematrix run` writes a report; or name a report directory".to_owned())),
        false => report_failure(&error.into()),
    })?;
    Ok((folder, record))
}

/// The directory of the manifest.
pub(super) fn project_folder(common: &Common) -> PathBuf {
    common.manifest.folder().to_owned()
}

pub(super) fn report_folder(common: &Common, run: &Path) -> PathBuf {
    if run.as_os_str() == LATEST && !run.exists() {
        return project_folder(common).join(REPORTS).join(LATEST);
    }
    match run.is_file() {
        true => run.parent().unwrap_or(Path::new(".")).to_owned(),
        false => run.to_owned(),
    }
}

/// The place of `name` among what the run has.
pub(super) fn index_of<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<usize, Failure> {
    let found = known.clone().position(|known| known == name);
    found.ok_or_else(|| {
        let hint = match nearest(name, known.clone(), 1).first() {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                let total = known.clone().count();
                let names: Vec<String> = known.take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
                let more = total.saturating_sub(MOST_NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("it has {}{more}", names.join(", "))
            }
        };
        Failure::input(format!("the run has no {what} `{name}`"), Some(hint))
    })
}

/// The object of the run, if it is still where it was and unchanged.
pub(super) fn found_again(
    record: &ObjectRecord,
    project: &Path,
    store: &Store,
    missing: &mut Vec<String>,
) -> Option<BpfObject> {
    // `FILE` or `FILE: PLACE`.
    let file = record.origin.rsplit_once(": ").map(|(file, _)| file).into_iter();
    let named: Vec<&Path> = [record.origin.as_str()].into_iter().chain(file).map(Path::new).collect();
    let places = named.iter().map(|path| path.to_path_buf()).chain(named.iter().map(|path| project.join(path)));
    // Or, if it came out of an image or an archive, in the store.
    let unpacked = || named.iter().find_map(|path| unpacked_file(store, path));
    let Some(path) = places.into_iter().find(|path| path.is_file()).or_else(unpacked) else {
        missing.push(format!("the object is no longer at `{}`, so its own BTF is not available", record.origin));
        return None;
    };
    let objects = find_objects(std::slice::from_ref(&path)).map(|found| found.objects).unwrap_or_default();
    let same = objects.into_iter().find(|object| object.sha256 == record.sha256);
    if same.is_none() {
        let path = path.display();
        missing.push(format!("`{path}` has changed since the run, so the object's own BTF is not available"));
    }
    same
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn names_that_the_run_does_not_have_are_told_with_a_hint() {
        let known = ["5.10", "6.1", "6.12"];
        assert_eq!(index_of("kernel", "6.1", known.into_iter()), Ok(1));
        let slip = index_of("kernel", "6.13", known.into_iter()).unwrap_err().to_string();
        assert!(slip.starts_with("error: the run has no kernel `6.13`\nhint: did you mean `6.1"), "{slip}");
        let other = index_of("object", "biosnoop", ["execsnoop-of-somebody", "b"].into_iter()).unwrap_err().to_string();
        assert!(other.ends_with("hint: it has `execsnoop-of-somebody`, `b`"), "{other}");
    }

    #[test]
    fn objects_are_found_again_only_if_they_are_the_same() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut record = sample::object("object", &[]);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        record.origin = "explain/object.o".to_owned();
        let mut missing = Vec::new();
        assert!(found_again(&record, &fixtures, &store, &mut missing).is_none());
        assert!(missing[0].contains("has changed since the run"), "{missing:?}");
        let objects = find_objects(&[fixtures.join("explain/object.o")]).unwrap().objects;
        record.sha256.clone_from(&objects[0].sha256);
        missing.clear();
        assert_eq!(found_again(&record, &fixtures, &store, &mut missing).unwrap().sha256, record.sha256);
        record.origin = "explain/gone.o: symbol".to_owned();
        assert!(found_again(&record, &fixtures, &store, &mut missing).is_none());
        assert!(missing[0].contains("is no longer at `explain/gone.o: symbol`"), "{missing:?}");
    }
}

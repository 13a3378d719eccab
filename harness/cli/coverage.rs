//! `corematrix coverage`: which side of which guard a run has proven on which kernel.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::answer::{CoverageAnswer, CoveredKernel, CoveredObject, Print};
use super::explain::{found_again, index_of, project_folder, read_record};
use super::failure::Failure;
use super::failure::store_failure;
use super::run::{report_failure, width};
use super::threshold::Thresholds;
use crate::coverage::{ProofLevel, Unit};
use crate::explain::KernelTypes;
use crate::matrix::{Places, Project, kernel_types};
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, ModuleNames};
use crate::record::RunRecord;
use crate::record::exit_code;
use crate::report::coverage::kernel_value::RecordedConfig;
use crate::report::coverage::{lcov, render, source, unproven};
use crate::store::{Store, StoredKernel};

#[derive(Debug, Args)]
pub(super) struct CoverageArgs {
    /// Report directory, its `report.json`, or `latest`.
    run: PathBuf,
    /// Object, as named in the report [default: every object with guards].
    object: Option<String>,
    /// Show source lines, each with the kernels on which instructions of the line remain.
    #[arg(long)]
    source: bool,
    /// List only the sides that are proven on no kernel, each with what would prove it.
    #[arg(long, conflicts_with = "source")]
    unproven: bool,
    /// Write an LCOV tracefile of one level of proof.
    #[arg(long, value_name = "FILE")]
    lcov: Option<PathBuf>,
    /// Set the level of the tracefile; levels do not imply each other.
    #[arg(long, value_enum, default_value_t = ProofLevel::Verified, requires = "lcov")]
    level: ProofLevel,
    /// Print JSON: the guards, and the level of proof of each on each kernel.
    #[arg(long, conflicts_with_all = ["source", "unproven", "lcov"])]
    json: bool,
    #[command(flatten)]
    thresholds: Thresholds,
}

pub(super) fn run(common: &Common, args: &CoverageArgs) -> Result<ExitCode, Failure> {
    let (_, record) = read_record(common, &args.run)?;
    let objects: Vec<usize> = match &args.object {
        Some(name) => vec![index_of("object", name, record.objects.iter().map(|object| object.name.as_str()))?],
        None => (0..record.objects.len()).filter(|&o| !record.objects[o].coverage.guards.is_empty()).collect(),
    };
    let broken = args.thresholds.floor().broken(&record, &Unit::of(&record, &objects));
    match args.json {
        true => answer(&record, &objects, &broken).print()?,
        false => show(common, args, &record, objects)?,
    }
    broken.iter().for_each(|line| eprintln!("error: {line}"));
    Ok(ExitCode::from(if broken.is_empty() { exit_code::GOOD } else { exit_code::PROGRAM_FAILED }))
}

fn answer(record: &RunRecord, objects: &[usize], broken: &[String]) -> CoverageAnswer {
    let covered = |&object: &usize| CoveredObject {
        object: record.objects[object].name.clone(),
        guards: record.objects[object].coverage.guards.clone(),
        kernels: (0..record.kernels.len())
            .map(|kernel| CoveredKernel {
                kernel: record.kernels[kernel].name.clone(),
                guards: record.cell(object, kernel).coverage.guards.clone(),
            })
            .collect(),
    };
    CoverageAnswer { objects: objects.iter().map(covered).collect(), below: broken.to_vec() }
}

/// Prints what was asked for.
fn show(common: &Common, args: &CoverageArgs, record: &RunRecord, objects: Vec<usize>) -> Result<(), Failure> {
    if let Some(path) = &args.lcov {
        lcov::write(record, &objects, args.level, path).map_err(|error| report_failure(&error))?;
        println!("level {}: {}", args.level.label(), path.display());
        return Ok(());
    }
    if args.unproven {
        let store = Store::open(&common.places()?.store).map_err(store_failure)?;
        let mut missing = Vec::new();
        let own = kernel_types(record, &store, &mut missing);
        let names: HashMap<String, ModuleNames> =
            own.iter().map(|types| (types.name.clone(), types.modules.clone())).collect();
        let mut known: Vec<(String, Btf)> = own.into_iter().map(|types| (types.name, types.btf)).collect();
        let stored = stored_kernels(common, &store);
        known.extend(other_kernels(&stored, &known));
        let configs: Vec<RecordedConfig> = stored.iter().map(|(name, kernel)| config(name, kernel)).collect();
        let kernels: Vec<KernelTypes<'_>> = known
            .iter()
            .map(|(name, btf)| KernelTypes { name, btf, booted: false, modules: names.get(name) })
            .collect();
        let mut text = String::new();
        for unit in Unit::of(record, &objects) {
            let found = found_again(&record.objects[unit.object], &project_folder(common), &store, &mut missing);
            let types = found.and_then(|found| ObjectTypes::read(&found.bytes));
            // No kernel's types have a part in what is relocated with BTF of its own.
            let own = record.objects[unit.object].loading.btf.is_some();
            let kernels = if own { &[][..] } else { &kernels[..] };
            text += &unproven::render(record, &unit, types.as_ref(), kernels, &configs, width());
        }
        missing.iter().for_each(|note| eprintln!("note: {note}"));
        print!("{}", if text.is_empty() { "every guard side is proven (verified)\n" } else { &text });
        return Ok(());
    }
    if objects.is_empty() {
        println!("no object of this run has guards");
    }
    let view = if args.source { source::render } else { render };
    let views: Vec<String> = objects.into_iter().map(|object| view(record, object, width())).collect();
    print!("{}", views.join("\n"));
    Ok(())
}

/// The kernels of the manifest that the store has, by name.
fn stored_kernels(common: &Common, store: &Store) -> Vec<(String, StoredKernel)> {
    let places = Places { store: store.root().to_owned(), ..Places::new("") };
    let Ok(project) = Project::load(&common.manifest, &places) else { return Vec::new() };
    let stored = project.manifest.kernels.iter().filter_map(|spec| {
        let stored = store.kernel(spec, &project.lock, true, &|_| {}).ok()?;
        Some((spec.name.clone(), stored))
    });
    stored.collect()
}

/// The types of the kernels that the run has not.
fn other_kernels(stored: &[(String, StoredKernel)], known: &[(String, Btf)]) -> Vec<(String, Btf)> {
    let others = stored.iter().filter(|(name, _)| !known.iter().any(|(known, _)| known == name));
    let types = others.filter_map(|(name, kernel)| {
        Some((name.clone(), Btf::parse(&std::fs::read(kernel.btf.as_ref()?).ok()?).ok()?))
    });
    types.collect()
}

fn config(name: &str, kernel: &StoredKernel) -> RecordedConfig {
    let text = kernel.config.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    RecordedConfig { name: name.to_owned(), release: kernel.identity.release.clone(), text }
}

//! `corematrix merge`: the reports of all parts of a run make one report.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::explain::read_record;
use super::failure::Failure;
use super::run::{report_failure, width};
use crate::bundle;
use crate::parts;
use crate::record::RunRecord;
use crate::record::exit_code;
use crate::report::{self, table};
use crate::run_folder::RunFolder;

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Report directories of all parts of `run --partition`.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Write the merged report to this directory.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(common: &Common, args: &MergeArgs) -> Result<ExitCode, Failure> {
    let mut folders = Vec::new();
    let mut parts = Vec::new();
    for run in &args.runs {
        let (folder, record) = read_record(common, run)?;
        folders.push(folder);
        parts.push(record);
    }
    let merged = parts::merge(&parts).map_err(|error| {
        let hint = error.hint();
        Failure::input(error, hint)
    })?;
    for (folder, record) in folders.iter().zip(&parts) {
        copy_logs(record, folder, &args.out);
        copy_bundles(folder, &args.out);
    }
    println!("{}", table::render(&merged, width()));
    report::write_all(&merged, &args.out).map_err(|error| report_failure(&error))?;
    println!("report: {}", args.out.display());
    Ok(ExitCode::from(exit_code::of(&merged)))
}

/// Copies the bundles of what failed. Parts have no object in common, so no bundle either.
fn copy_bundles(from: &Path, to: &Path) {
    let entries = std::fs::read_dir(from.join(bundle::FOLDER)).into_iter().flatten().flatten();
    // The directory may be anyone's: a link in it is not followed.
    for file in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
        let folder = to.join(bundle::FOLDER);
        let copied =
            std::fs::create_dir_all(&folder).and_then(|()| std::fs::copy(file.path(), folder.join(file.file_name())));
        if let Err(error) = copied {
            eprintln!("warning: cannot copy the bundle `{}`: {error}", file.path().display());
        }
    }
}

/// Copies the verifier logs that the record names. One that is not there costs its reader the log and not the report.
fn copy_logs(record: &RunRecord, from: &Path, to: &Path) {
    let programs = record.cells.iter().flat_map(|cell| &cell.programs);
    let from = RunFolder::new(from);
    for file in programs.filter_map(|program| program.log_file.as_deref()) {
        let copy = || {
            let mut log = from.open(file)?;
            let target = to.join(file);
            std::fs::create_dir_all(target.parent().unwrap_or(to))?;
            std::io::copy(&mut log, &mut File::create(&target)?)
        };
        if let Err(error) = copy() {
            eprintln!("warning: cannot copy the log `{}`: {error}", file.escape_debug());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::Partition;
    use crate::record::PartitionRecord;
    use crate::record::{json, sample};

    #[test]
    fn parts_on_disk_become_one_report_with_its_logs() {
        let folder = tempfile::tempdir().unwrap();
        let common = Common { manifest: folder.path().join("kernels.toml").as_path().into(), ..Common::default() };
        let whole = sample::record();
        let kernels = whole.kernels.len();
        let objects: Vec<String> = whole.objects.iter().map(|object| object.name.clone()).collect();
        let mut runs = Vec::new();
        for (number, range) in [(1, 0..1), (2, 1..3)] {
            let mut record = whole.clone();
            record.objects = whole.objects[range.clone()].to_vec();
            record.cells = whole.cells[range.start * kernels..range.end * kernels].to_vec();
            record.partition = Some(PartitionRecord { part: Partition { number, of: 2 }, objects: objects.clone() });
            let run = folder.path().join(format!("run-{number}"));
            std::fs::create_dir_all(run.join("logs/6.1/execsnoop")).unwrap();
            std::fs::write(run.join("logs/6.1/execsnoop/probe.log"), "log").unwrap();
            std::fs::write(run.join("report.json"), json::render(&record).unwrap()).unwrap();
            std::fs::create_dir(run.join("bundles")).unwrap();
            std::fs::write(run.join(format!("bundles/{number}.cmxb")), "bundle").unwrap();
            runs.push(run);
        }
        let out = folder.path().join("merged");
        let missing = run(&common, &MergeArgs { runs: runs[..1].to_vec(), out: out.clone() }).unwrap_err();
        assert!(missing.to_string().starts_with("error: part 2/2 is missing\nhint: run it"), "{missing}");
        assert!(!out.exists());
        run(&common, &MergeArgs { runs, out: out.clone() }).unwrap();
        let merged = json::read(&out.join("report.json")).unwrap();
        assert_eq!(merged.without_noise(), whole.without_noise());
        assert_eq!(std::fs::read_to_string(out.join("logs/6.1/execsnoop/probe.log")).unwrap(), "log");
        assert!(out.join("bundles/1.cmxb").is_file() && out.join("bundles/2.cmxb").is_file());
    }
}

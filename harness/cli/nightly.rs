//! `corematrix nightly`: a run, what changed since the last one, and the trends of all of them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use time::OffsetDateTime;

use super::failure::Failure;
use super::run::{RunArgs, perform, report_failure};
use super::{Common, say};
use crate::compare::{differences, moved_kernels};
use crate::history::{History, HistoryError, Night};
use crate::matrix::Project;
use crate::record::exit_code;
use crate::record::json;
use crate::report::{Baseline, nightly, write_changes, write_text};

/// A month.
const NIGHTS: &str = "30";

#[derive(Debug, Args)]
pub(super) struct NightlyArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Keep the history in this directory; created if missing.
    #[arg(long, value_name = "DIR")]
    history: PathBuf,
    /// Set the number of nights to keep.
    // Not `--keep`, which keeps the scratch directories of guests.
    #[arg(long, value_name = "N", default_value = NIGHTS)]
    nights: NonZeroUsize,
    /// Run the kernels that `kernels.lock` pins; do not look for newer ones.
    #[arg(long)]
    pinned: bool,
}

pub(super) fn run(common: &Common, args: &NightlyArgs) -> Result<ExitCode, Failure> {
    if args.run.out.is_some() || args.run.partition.is_some() {
        let hint =
            "for partitions, use `run --partition` and `merge`; `nightly` writes its report to the history".to_owned();
        return Err(Failure::input("`nightly` takes neither `--out` nor `--partition`", Some(hint)));
    }
    let mut terms = args.run.terms.read(common, &args.run.inputs)?;
    let history = History::open(&args.history).map_err(failure)?;
    let stamp = stamp(OffsetDateTime::now_utc());
    let folder = history.begin(&stamp).map_err(failure)?;
    let before = history.nights().map_err(failure)?.pop();
    let moves = if args.pinned || args.run.machine.offline { Vec::new() } else { update(common, args)? };
    let (record, _) = perform(common, &args.run, Some(&folder))?;
    if record.interrupted {
        // A part of a night would look like a matrix that shrinks; the next nightly removes it.
        println!("the night was interrupted and is not added to the history");
        return Ok(ExitCode::from(exit_code::INTERRUPTED));
    }
    let before = before.and_then(|night| {
        let file = history.folder(&night.stamp).join("report.json");
        let read = json::read(&file).map_err(|error| eprintln!("warning: nothing to compare with: {error}"));
        Some((night.stamp, read.ok()?))
    });
    let found = before.as_ref().map(|(_, before)| differences(before, &record));
    let compared = before.as_ref().zip(found.as_deref()).map(|((stamp, _), found)| (stamp.as_str(), found));
    if let Some((stamp, before)) = &before {
        let baseline = Baseline { name: stamp.clone(), record: before };
        write_changes(&record, baseline, &folder).map_err(|error| report_failure(&error))?;
    }
    let moved = before.as_ref().map(|(_, before)| moved_kernels(before, &record)).unwrap_or_default();
    let post = nightly::post(&record, &stamp, compared, &[moved, moves].concat());
    let night = Night::of(&record, &stamp, found.as_ref().map_or(0, Vec::len));
    history.add(&folder, &night).map_err(failure)?;
    history.retain(args.nights.get()).map_err(failure)?;
    let nights = history.nights().map_err(failure)?;
    let write = |name: &str, text: &str| write_text(&history.root().join(name), text).map_err(|e| report_failure(&e));
    write("index.html", &nightly::page(&nights, &post))?;
    write("post.txt", &post)?;
    println!("\n{post}");
    println!("history: {}", Path::new(history.root()).join("index.html").display());
    // What is known since last night alarms no one again.
    if let Some((stamp, before)) = before {
        terms.compare_with(stamp, before);
    }
    Ok(ExitCode::from(terms.decide(&record).exit_code()))
}

/// Takes the newest of every kernel that moves on by itself. Returns which builds are new, and what could not be updated and runs as it was.
fn update(common: &Common, args: &NightlyArgs) -> Result<Vec<String>, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let (moved, unknown) = project.update_builds(&args.run.machine.kernel, &say)?;
    let mut moves: Vec<String> = moved.iter().map(ToString::to_string).collect();
    moves.extend(unknown.iter().map(ToString::to_string));
    for spec in &project.kernels(&args.run.machine.kernel)? {
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        match project.store.newest_kernel(spec, &project.lock, &step) {
            Ok(_) => {}
            // The run reports a kernel that is not available at all.
            Err(error) if project.lock.kernel(&spec.name).is_none() => eprintln!("{error}"),
            Err(error) => moves.push(format!("{}: not updated: {error}", spec.name)),
        }
    }
    Ok(moves)
}

/// Names a night, so that names are in the order of time: `2026-11-22T020000Z`.
fn stamp(time: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    format!("{date}T{hour:02}{minute:02}{second:02}Z")
}

fn failure(error: HistoryError) -> Failure {
    let hint = error.hint();
    Failure::infrastructure(error, hint)
}

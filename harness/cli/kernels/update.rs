//! `corematrix kernels update`: the newest of each kernel, shown against what is pinned before the lock file changes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::Common;
use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::super::say;
use super::diff::{self, Shown};
use super::pull::chosen;
use crate::manifest::KernelSpec;
use crate::matrix::Project;
use crate::record::exit_code;
use crate::source::LockFile;
use crate::store::StoredKernel;

#[derive(Debug, Args)]
pub(in super::super) struct UpdateArgs {
    /// Select kernels: a name (5.10, el:8), a range (">=6.1,<6.13"), a glob (6.*), `latest`, `all`, or builds of a
    /// kernel (el:8@last:5); may be repeated [default: the default matrix of the manifest].
    #[arg(value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Show the differences in the types and fields that these objects use; may be repeated.
    #[arg(long = "object", value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml")]
    objects: Vec<PathBuf>,
    /// Show every differing config option, not only their number.
    #[arg(long)]
    config: bool,
    /// Fetch the newest kernels and show what would change; do not change the lock file.
    #[arg(long)]
    dry_run: bool,
}

pub(in super::super) fn run(common: &Common, args: &UpdateArgs) -> Result<ExitCode, Failure> {
    common.changeable_manifest()?;
    let mut project = Project::load(&common.manifest, &common.places()?)?;
    let shown = diff::asked_by_objects(&project, &args.objects, false)?;
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
    if args.dry_run {
        project.lock = project.lock.copied_to(&scratch.path().join("dry-run.lock")).map_err(store_failure)?;
    }
    let trial = project.lock.copied_to(&scratch.path().join("kernels.lock")).map_err(store_failure)?;
    let (lists, failed) = project.update_builds(&args.kernel, &say)?;
    lists.iter().for_each(|list| println!("{list}"));
    failed.iter().for_each(|line| println!("{line}"));
    let (mut moved, mut missing) = (lists.len(), !failed.is_empty());
    for spec in &chosen(&project, &args.kernel)? {
        if spec.sources().all(|source| source.label() == "btf") {
            println!("{}: only its BTF is known, which has no newer versions", spec.name);
            continue;
        }
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        let before = project.lock.kernel(&spec.name);
        let newest = match project.store.newest_kernel(spec, &trial, &step) {
            Ok(newest) => newest,
            Err(error) => {
                println!("{}: not updated: {}", spec.name, error.reason());
                missing |= !spec.optional;
                continue;
            }
        };
        match (before, trial.kernel(&spec.name)) {
            (_, None) => println!("{}: {} cannot be pinned ({})", spec.name, newest.identity.release, newest.source),
            (Some(before), Some(after)) if before == after => {
                println!("{}: {} is the newest", spec.name, after.release)
            }
            (before, Some(after)) => {
                moved += 1;
                match before {
                    None => println!("{}: {}, not pinned so far", spec.name, after.release),
                    Some(before) => {
                        println!("{}: {} -> {} ({})", spec.name, before.release, after.release, newest.source);
                        print!("{}", differences(&project, spec, newest, &shown, args.config));
                    }
                }
                if !args.dry_run {
                    project.lock.adopt(&spec.name, &trial).map_err(store_failure)?;
                }
            }
        }
    }
    match (moved, args.dry_run) {
        (0, _) => println!("no newer kernels"),
        (_, true) => println!("{moved} would be updated; the lock file is unchanged (`--dry-run`)"),
        (_, false) => println!("{moved} updated; commit the lock file"),
    }
    Ok(ExitCode::from(if missing { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

/// What differs between the pinned kernel and the newest, or why that is not known.
fn differences(project: &Project, spec: &KernelSpec, newest: StoredKernel, shown: &Shown, config: bool) -> String {
    let quiet = |_: String| {};
    let pinned = |lock: &LockFile| project.store.kernel(spec, lock, true, &quiet);
    let changes = match pinned(&project.lock) {
        Ok(pinned) => diff::between(&(spec.name.clone(), pinned), &(spec.name.clone(), newest), shown, config)
            .map(|(text, _)| text),
        Err(error) => Ok(format!("the pinned kernel cannot be compared: {}\n", error.reason())),
    };
    let text = changes.unwrap_or_else(|failure| format!("{failure}\n"));
    text.lines().map(|line| format!("  {line}\n")).collect()
}

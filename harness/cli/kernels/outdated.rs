//! `corematrix kernels outdated`: which pinned kernels have moved on, without fetching them.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::Common;
use super::super::answer::{OutdatedKernel, OutdatedKernels, OutdatedState, Print};
use super::super::failure::{Failure, store_failure};
use super::super::say;
use super::pull::chosen;
use crate::manifest::Source;
use crate::matrix::{MatrixError, Project};
use crate::record::exit_code;

#[derive(Debug, Args)]
pub(in super::super) struct OutdatedArgs {
    /// Select kernels: a name (5.10, el:8), a range (">=6.1,<6.13"), a glob (6.*), `latest`, `all`, or builds of a
    /// kernel (el:8@last:5); may be repeated [default: the default matrix of the manifest].
    #[arg(value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &OutdatedArgs) -> Result<ExitCode, Failure> {
    let mut project = Project::load(&common.manifest, &common.places()?)?;
    let (mut kernels, mut unknown) = builds(&mut project, &args.kernel)?;
    for spec in &chosen(&project, &args.kernel)? {
        let of =
            |state, pinned, newest, reason| OutdatedKernel { name: spec.name.clone(), state, pinned, newest, reason };
        let Some(pinned) = project.lock.kernel(&spec.name) else {
            let types = project.lock.types(&spec.name).filter(|_| matches!(spec.source, Source::Btf { .. }));
            kernels.push(match types {
                Some(types) => {
                    let reason = "btf has no newer versions".to_owned();
                    of(OutdatedState::Fixed, Some(types.version), None, Some(reason))
                }
                None => of(OutdatedState::NotPinned, None, None, None),
            });
            continue;
        };
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        kernels.push(match project.store.newest_version(spec, &project.lock, &step) {
            Ok(Some((old, new))) if old != new => of(OutdatedState::Outdated, Some(old), Some(new), None),
            Ok(Some((old, new))) => of(OutdatedState::Current, Some(old), Some(new), None),
            Ok(None) => {
                let reason = format!("{} has no newer versions", pinned.source);
                of(OutdatedState::Fixed, Some(pinned.release), None, Some(reason))
            }
            Err(error) => {
                unknown |= !spec.optional;
                of(OutdatedState::Unknown, Some(pinned.release), None, Some(error.reason()))
            }
        });
    }
    match args.json {
        true => OutdatedKernels { kernels }.print()?,
        false => println!("{}", table(&kernels)),
    }
    Ok(ExitCode::from(if unknown { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

/// Whether the lists of builds have moved on; and whether one could not be asked for.
fn builds(project: &mut Project, selectors: &[String]) -> Result<(Vec<OutdatedKernel>, bool), Failure> {
    let asked: Vec<String> = project
        .select(selectors)
        .map_err(MatrixError::from)?
        .into_iter()
        .filter(|spec| spec.builds.is_some())
        .map(|spec| spec.name_with_builds())
        .collect();
    let newest = |project: &Project, asked: &str| project.lock.builds(asked).and_then(|builds| builds.last().cloned());
    let pinned: Vec<Option<String>> = asked.iter().map(|asked| newest(project, asked)).collect();
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
    let trial = project.lock.copied_to(&scratch.path().join("kernels.lock")).map_err(store_failure)?;
    let lock = std::mem::replace(&mut project.lock, trial);
    let updated = project.update_builds(selectors, &say);
    let rows = asked.iter().zip(pinned).map(|(asked, pinned)| {
        let newest = newest(project, asked);
        let state = match &pinned {
            None => OutdatedState::NotPinned,
            Some(_) if pinned == newest => OutdatedState::Current,
            Some(_) => OutdatedState::Outdated,
        };
        OutdatedKernel { name: asked.clone(), state, pinned, newest, reason: None }
    });
    let mut rows: Vec<OutdatedKernel> = rows.collect();
    project.lock = lock;
    let (_, failed) = updated?;
    for row in &mut rows {
        if let Some(failure) = failed.iter().find(|failure| failure.asked == row.name) {
            (row.state, row.newest, row.reason) = (OutdatedState::Unknown, None, Some(failure.reason.clone()));
        }
    }
    Ok((rows, !failed.is_empty()))
}

fn table(kernels: &[OutdatedKernel]) -> String {
    let mut table = Builder::default();
    table.push_record(["kernel", "pinned", "newest", ""]);
    for kernel in kernels {
        let unknown = if kernel.state == OutdatedState::Unknown { "?" } else { "-" };
        let newest = kernel.newest.as_deref().unwrap_or(unknown);
        let word = match kernel.state {
            OutdatedState::Outdated => "outdated",
            OutdatedState::NotPinned => "not pinned",
            _ => kernel.reason.as_deref().unwrap_or_default(),
        };
        table.push_record([&kernel.name, kernel.pinned.as_deref().unwrap_or("-"), newest, word]);
    }
    table.build().with(Style::blank()).to_string()
}

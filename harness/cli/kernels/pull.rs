//! `corematrix kernels pull` and `lock`: have kernels in the store and pinned, before anything runs.

use std::process::ExitCode;

use clap::Args;
use rayon::prelude::*;

use super::super::Common;
use super::super::failure::Failure;
use super::super::say;
use crate::manifest::{BtfPlace, DiskImage, KernelSpec, Source};
use crate::matrix::Project;
use crate::record::exit_code;
use crate::source::{LockFile, TypesOnly};
use crate::store::{StoreError, StoredKernel};

/// This many kernels are downloaded at once.
const AT_ONCE: usize = 4;

#[derive(Debug, Args)]
pub(in super::super) struct PullArgs {
    /// Select kernels: a name (5.10, el:8), a range (">=6.1,<6.13"), a glob (6.*), `latest`, `all`, or builds of a
    /// kernel (el:8@last:5); may be repeated [default: the default matrix of the manifest].
    #[arg(value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Use no network: only print which kernels are pinned and stored.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Args)]
pub(in super::super) struct LockArgs {
    /// Select kernels, as for `corematrix run` [default: the default matrix of the manifest].
    #[arg(value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Change nothing; fail if a kernel that can be pinned is not pinned.
    #[arg(long)]
    check: bool,
}

/// A kernel and whether it could be fetched.
struct Pulled {
    spec: KernelSpec,
    kernel: Result<StoredKernel, StoreError>,
    /// What stands in for one that could not.
    types: Option<TypesOnly>,
}

pub(in super::super) fn run(common: &Common, args: &PullArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    project.learn_builds(&args.kernel, args.offline, &say)?;
    let kernels = chosen(&project, &args.kernel)?;
    project.to_be_fetched(&kernels).iter().for_each(|line| eprintln!("{line}"));
    let pulled = pull(&project, kernels, args.offline)?;
    Ok(tell(&pulled))
}

pub(in super::super) fn lock(common: &Common, args: &LockArgs) -> Result<ExitCode, Failure> {
    common.changeable_manifest()?;
    let project = Project::load(&common.manifest, &common.places()?)?;
    project.learn_builds(&args.kernel, args.check, &say)?;
    let unpinned: Vec<KernelSpec> = chosen(&project, &args.kernel)?
        .into_iter()
        .filter(|spec| can_be_pinned(spec) && !is_pinned(&project.lock, spec))
        .collect();
    if unpinned.is_empty() {
        println!("every kernel that can be pinned is pinned");
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        for spec in &unpinned {
            println!("{}: not pinned ({})", spec.name, spec.source);
        }
        let needed = unpinned.iter().any(|spec| !spec.optional);
        println!("hint: `corematrix kernels lock` pins them; commit `kernels.lock`");
        return Ok(ExitCode::from(if needed { exit_code::BAD_CONFIGURATION } else { exit_code::GOOD }));
    }
    let pulled = pull(&project, unpinned, false)?;
    Ok(tell(&pulled))
}

/// The kernels that selectors choose.
pub(super) fn chosen(project: &Project, selectors: &[String]) -> Result<Vec<KernelSpec>, Failure> {
    Ok(project.kernels(selectors)?)
}

/// What lies on this machine is the user's own and changes when he likes.
fn can_be_pinned(spec: &KernelSpec) -> bool {
    match &spec.source {
        Source::Apt { .. } | Source::Repository(_) | Source::Mainline { .. } | Source::Oci { .. } => true,
        Source::Disk { disk, .. } => matches!(disk, DiskImage::Server(_)),
        Source::Btf { place, .. } => matches!(place, BtfPlace::Server { .. }),
        _ => false,
    }
}

fn is_pinned(lock: &LockFile, spec: &KernelSpec) -> bool {
    match spec.source {
        Source::Btf { .. } => lock.types(&spec.name).is_some(),
        _ => lock.kernel(&spec.name).is_some(),
    }
}

fn pull(project: &Project, kernels: Vec<KernelSpec>, offline: bool) -> Result<Vec<Pulled>, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(AT_ONCE).build();
    let pool = pool.map_err(|error| Failure::infrastructure(format!("cannot start threads: {error}"), None))?;
    Ok(pool.install(|| {
        let one = |spec: KernelSpec| {
            let step = |step: String| eprintln!("{}: {step}", spec.name);
            let kernel = project.store.kernel(&spec, &project.lock, offline, &step);
            let types = match &kernel {
                // Why they cannot be read a run says.
                Err(error) if error.is_unavailable() => {
                    project.store.types_only(&spec, &project.lock, offline, &step).unwrap_or_default()
                }
                _ => None,
            };
            Pulled { spec, kernel, types }
        };
        kernels.into_par_iter().map(one).collect()
    }))
}

/// Prints a line for each kernel; the code is bad if one that is needed was not available.
fn tell(pulled: &[Pulled]) -> ExitCode {
    let mut missing = false;
    for Pulled { spec, kernel, types } in pulled {
        let is_types_only = spec.sources().all(|source| source.label() == "btf");
        match (kernel, types) {
            (Err(_), Some(types)) if is_types_only => {
                println!("{}: BTF of {} ({}); cannot be booted", spec.name, types.release, types.source);
            }
            (Ok(kernel), _) => {
                println!("{}: {} ({})", spec.name, kernel.identity.release, kernel.source);
                kernel.notes.iter().for_each(|note| println!("  note: {note}"));
            }
            (Err(error), types) => {
                let optional = if spec.optional && error.is_unavailable() { " (optional)" } else { "" };
                println!("{}: unavailable{optional}: {}", spec.name, error.reason());
                error.hint().iter().for_each(|hint| println!("  hint: {hint}"));
                if let Some(types) = types {
                    println!("  its BTF is used for predictions: {} ({})", types.release, types.source);
                }
                missing |= optional.is_empty();
            }
        }
    }
    ExitCode::from(if missing { exit_code::INFRASTRUCTURE } else { exit_code::GOOD })
}

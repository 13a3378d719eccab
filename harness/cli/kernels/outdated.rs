//! `corematrix kernels outdated`: which pinned kernels have moved on, without fetching them.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::Common;
use super::super::answer::{OutdatedKernel, OutdatedKernels, OutdatedState, Print};
use super::super::failure::Failure;
use super::pull::chosen;
use crate::matrix::Project;
use crate::record::exit_code;

#[derive(Debug, Args)]
pub(in super::super) struct OutdatedArgs {
    /// Which kernels: a name (5.10), a range (">=6.1,<6.13"), latest, all, or a glob (6.*); may be repeated [default: the
    /// matrix of the manifest].
    #[arg(value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &OutdatedArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut kernels = Vec::new();
    let mut unknown = false;
    for spec in &chosen(&project, &args.kernel)? {
        let of =
            |state, pinned, newest, reason| OutdatedKernel { name: spec.name.clone(), state, pinned, newest, reason };
        let Some(pinned) = project.lock.kernel(&spec.name) else {
            kernels.push(of(OutdatedState::NotPinned, None, None, None));
            continue;
        };
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        kernels.push(match project.store.newest_version(spec, &project.lock, &step) {
            Ok(Some((old, new))) if old != new => of(OutdatedState::Outdated, Some(old), Some(new), None),
            Ok(Some((old, new))) => of(OutdatedState::Current, Some(old), Some(new), None),
            Ok(None) => {
                let reason = format!("{} never moves", pinned.source);
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

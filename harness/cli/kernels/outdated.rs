//! `corematrix kernels outdated`: which pinned kernels have moved on, without fetching them.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::Common;
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
}

pub(in super::super) fn run(common: &Common, args: &OutdatedArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut table = Builder::default();
    table.push_record(["kernel", "pinned", "newest", ""]);
    let mut unknown = false;
    for spec in &chosen(&project, &args.kernel)? {
        let Some(pinned) = project.lock.kernel(&spec.name) else {
            table.push_record([&spec.name, "-", "-", "not pinned"]);
            continue;
        };
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        let row = match project.store.newest_version(spec, &project.lock, &step) {
            Ok(Some((old, new))) if old != new => [spec.name.clone(), old, new, "outdated".to_owned()],
            Ok(Some((old, new))) => [spec.name.clone(), old, new, String::new()],
            Ok(None) => [spec.name.clone(), pinned.release, "-".to_owned(), format!("{} never moves", pinned.source)],
            Err(error) => {
                unknown |= !spec.optional;
                [spec.name.clone(), pinned.release, "?".to_owned(), error.reason()]
            }
        };
        table.push_record(row);
    }
    println!("{}", table.build().with(Style::blank()));
    Ok(ExitCode::from(if unknown { exit_code::INFRASTRUCTURE } else { exit_code::GOOD }))
}

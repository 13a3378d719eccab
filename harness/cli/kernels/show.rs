//! `corematrix kernels show`: everything that is known about one kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::super::Common;
use super::super::answer::{Print, ShownKernel, ShownKernels};
use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::pull::chosen;
use crate::matrix::Project;
use crate::protocol::feature_probe::Answer as Probed;
use crate::store::StoredKernel;

#[derive(Debug, Args)]
pub(in super::super) struct ShowArgs {
    /// Kernel: a name, `latest`, or a selector of one kernel.
    kernel: String,
    /// Use no network: show only what is stored.
    #[arg(long)]
    offline: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &ShowArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let mut shown = Vec::new();
    for spec in &chosen(&project, std::slice::from_ref(&args.kernel))? {
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        let kernel = project.store.kernel(spec, &project.lock, args.offline, &step).map_err(store_failure)?;
        let facts = facts(&project, &spec.name, &kernel);
        match args.json {
            true => {
                let facts = facts.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
                shown.push(ShownKernel { name: spec.name.clone(), facts, notes: kernel.notes });
            }
            false => {
                println!("{}", spec.name);
                for (name, value) in facts {
                    println!("  {name:<20} {value}");
                }
                kernel.notes.iter().for_each(|note| println!("  note                 {note}"));
            }
        }
    }
    if args.json {
        ShownKernels { kernels: shown }.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(project: &Project, name: &str, kernel: &StoredKernel) -> Vec<(&'static str, String)> {
    let identity = &kernel.identity;
    let file = |path: Option<&Path>, sha256: Option<&String>, none: &str| match (path, sha256) {
        (Some(path), Some(sha256)) => format!("{}, sha256 {sha256}", size(path)),
        _ => none.to_owned(),
    };
    let pinned = match project.lock.kernel(name) {
        Some(locked) if locked.release == identity.release => "yes".to_owned(),
        Some(locked) => format!("replaced by another release, {}", locked.release),
        None => "no".to_owned(),
    };
    let modules: Vec<String> =
        kernel.modules.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    let probe = project.store.probe(identity).map(|probe| {
        let known = |yes: usize, what: &str| format!("{yes} {what}");
        let has =
            |answers: &BTreeMap<String, Probed>| answers.values().filter(|answer| **answer == Probed::Yes).count();
        [
            known(has(&probe.program_types), "program types"),
            known(has(&probe.map_types), "map types"),
            known(probe.existing_helpers.len(), "helpers"),
        ]
        .join(", ")
    });
    let mut facts = vec![
        ("release", identity.release.clone()),
        ("source", kernel.source.clone()),
        ("pinned", pinned),
        ("image", format!("sha256 {}", identity.image_sha256)),
        ("boots from", format!("{} ({})", kernel.boot_image.display(), size(&kernel.boot_image))),
        ("build id", kernel.build_id.clone().unwrap_or_else(|| "unknown".to_owned())),
        (
            "config",
            file(kernel.config.as_deref(), identity.config_sha256.as_ref(), "none; kconfig externs cannot be judged"),
        ),
        ("BTF", file(kernel.btf.as_deref(), identity.btf_sha256.as_ref(), btf_state(kernel))),
        ("modules", if modules.is_empty() { "none needed".to_owned() } else { modules.join(", ") }),
        ("features", probe.unwrap_or_else(|| "not probed yet: `corematrix kernels probe`".to_owned())),
    ];
    match project.store.proofs(identity).first() {
        Some(proof) => facts.extend(proof.rows()),
        None => facts.push(("booted", "not yet: `corematrix kernels verify --boot`".to_owned())),
    }
    facts
}

/// What a kernel without BTF of its own relocates objects with.
fn btf_state(kernel: &StoredKernel) -> &str {
    match kernel.given_btf {
        Some(_) => "none in the image; external BTF is given",
        None => kernel.btf_state(),
    }
}

fn size(path: &Path) -> String {
    fs::metadata(path).map_or_else(|error| error.to_string(), |found| ByteSize(found.len()).to_string())
}

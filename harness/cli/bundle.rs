//! `corematrix bundle`, and the bundles that every run leaves of what failed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;

use super::Common;
use super::explain::{found_again, project_folder, read_record};
use super::failure::Failure;
use super::repro::case::{bundle_failure, cell_of};
use crate::bundle::{self, Bundle, Contents, target_rows};
use crate::matrix::Project;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::report::counted;

/// Bundles of one run: the objects of a matrix that fails everywhere fill no disk.
const MOST_IN_ALL: ByteSize = ByteSize::mib(64);

#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Cell of a run: `RUN KERNEL OBJECT` or `RUN KERNEL/OBJECT`, as for `corematrix repro`.
    #[arg(value_name = "RUN CELL", required = true, num_args = 2..=3)]
    what: Vec<String>,
    /// Write the bundle to this file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(common: &Common, args: &BundleArgs) -> Result<ExitCode, Failure> {
    let (folder, record) = read_record(common, Path::new(&args.what[0]))?;
    let (object, kernel, _) = cell_of(&record, &args.what[1..])?;
    let project = Project::load(&common.manifest, &common.places()?)?;
    let object_record = &record.objects[object];
    let mut missing = Vec::new();
    let Some(found) = found_again(object_record, &project_folder(common), &project.store, &mut missing) else {
        let hint = "a bundle contains the object of the run; run the matrix again".to_owned();
        return Err(Failure::input(missing.join("; "), Some(hint)));
    };
    let mut targets = Vec::new();
    for row in target_rows(&record, object) {
        let target = found_again(&record.objects[row], &project_folder(common), &project.store, &mut missing);
        let hint =
            || Some("a bundle needs the objects that its programs are loaded for; run the matrix again".to_owned());
        targets.push(target.ok_or_else(|| Failure::input(missing.join("; "), hint()))?.bytes);
    }
    let name = &record.kernels[kernel].name;
    let spec = project.manifest.kernel(name);
    let Some(spec) = &spec else {
        return Err(Failure::input(format!("the manifest no longer declares kernel `{name}`"), None));
    };
    let bundle = Bundle::of(&Contents {
        record: &record,
        object,
        kernel,
        bytes: &found.bytes,
        targets: &targets,
        spec,
        lock: &project.lock,
        folder: &folder,
        // A report does not have it.
        command: &[],
    });
    let size = bundle.and_then(|bundle| bundle.write(&args.output)).map_err(bundle_failure)?;
    println!("{} ({})", args.output.display(), ByteSize(size));
    Ok(ExitCode::SUCCESS)
}

/// Leaves a bundle of every cell of a run that failed without excuse. Failing to is no failure of the run, and is said.
pub(super) fn leave(record: &RunRecord, plan: &Plan, project: &Project, folder: &Path) {
    let command = command_line();
    let (mut total, mut made, mut left_out) = (0, 0, 0);
    for (object, planned) in plan.objects.iter().enumerate() {
        let rows = target_rows(record, object).into_iter();
        let targets: Vec<_> = rows.map(|row| plan.objects[row].object.bytes.clone()).collect();
        for (kernel, spec) in plan.kernels.iter().enumerate() {
            if !record.is_red(object, kernel) {
                continue;
            }
            if total >= MOST_IN_ALL.as_u64() {
                left_out += 1;
                continue;
            }
            let contents = Contents {
                record,
                object,
                kernel,
                bytes: &planned.object.bytes,
                targets: &targets,
                spec,
                lock: &project.lock,
                folder,
                command: &command,
            };
            let path = folder.join(bundle::FOLDER).join(bundle::file_name(&spec.name, &planned.object.name));
            match Bundle::of(&contents).and_then(|bundle| bundle.write(&path)) {
                Ok(size) => (total, made) = (total + size, made + 1),
                Err(error) => eprintln!("warning: {error}"),
            }
        }
    }
    if made > 0 {
        let (cells, place) = (counted(made, "failed cell"), folder.join(bundle::FOLDER));
        println!("bundles: {cells} for `corematrix repro` in {}", place.display());
    }
    if left_out > 0 {
        eprintln!(
            "warning: {left_out} failed cells have no bundle, because {made} bundles already take {}; `corematrix \
    bundle` writes one",
            ByteSize(total)
        );
    }
}

/// The command line as a shell takes it.
fn command_line() -> Vec<String> {
    let words = std::env::args().enumerate();
    let word = |(place, word): (usize, String)| match place {
        0 => "corematrix".to_owned(),
        _ => shell_words::quote(&word).into_owned(),
    };
    words.map(word).collect()
}

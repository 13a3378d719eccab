//! `corematrix init`: a first suite file.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::failure::Failure;
use crate::matrix::Project;
use crate::suite::draft;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// What the suite is for: BPF objects, folders of them, executables or libraries that embed them, archives, or images
    /// (`oci://REGISTRY/NAME@sha256:DIGEST`).
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE", required = true)]
    inputs: Vec<PathBuf>,
    /// The file to write, which must not exist [default: standard output].
    #[arg(long, short, value_name = "SUITE.toml")]
    output: Option<PathBuf>,
    /// Fetch nothing: take images from the store.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(common: &Common, args: &InitArgs) -> Result<ExitCode, Failure> {
    let unusable = |path: &Path, error: std::io::Error| Failure::input(format!("`{}`: {error}", path.display()), None);
    if let Some(suite) = args.inputs.iter().find(|path| path.extension().is_some_and(|kind| kind == "toml")) {
        return Err(Failure::input(format!("`{}` is a suite already", suite.display()), None));
    }
    let project = Project::load_for_inputs(&common.manifest, &common.places()?)?;
    let found = project.inputs(&args.inputs, args.offline, &|step| eprintln!("{step}"))?;
    let mut objects = found.objects;
    for object in &mut objects {
        let path = &object.origin.path;
        if path.starts_with("oci:") {
            continue;
        }
        if path.starts_with("http:") || path.starts_with("https:") {
            let hint = "download it and name the file, or put it into an image".to_owned();
            return Err(Failure::input(format!("a suite cannot name `{}`", path.display()), Some(hint)));
        }
        // Of an archive, the file that a suite names is the archive.
        let file = path.ancestors().find(|path| path.exists()).unwrap_or(path);
        object.origin.path = file.canonicalize().map_err(|error| unusable(file, error))?;
    }
    found.notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let folder = match args.output.as_deref().and_then(Path::parent) {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(|error| unusable(folder, error))?;
    let stem = args.output.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.unwrap_or_else(|| objects.first().map_or("suite", |object| &object.name).to_owned());
    let text = draft(&name, &objects, &folder);
    let Some(output) = &args.output else {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    };
    let mut file = match File::create_new(output) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let hint = "name another file, or take it away first".to_owned();
            return Err(Failure::input(format!("`{}` exists", output.display()), Some(hint)));
        }
        other => other.map_err(|error| unusable(output, error))?,
    };
    file.write_all(text.as_bytes()).map_err(|error| Failure::infrastructure(error, None))?;
    println!("suite: {}", output.display());
    println!("run it: corematrix run {}", output.display());
    Ok(ExitCode::SUCCESS)
}

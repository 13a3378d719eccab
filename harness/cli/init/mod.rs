//! `corematrix init`: the files that a repository needs to test its objects.

mod ci;
mod editor;
mod new_files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::ci::Engine;
use self::new_files::NewFiles;
use super::Common;
use super::failure::Failure;
use crate::manifest::{BUILT_IN, BUILT_IN_LOCK, FILE_NAME, ManifestPlace, repository};
use crate::matrix::{Inputs, Project};
use crate::suite::draft;

/// The suite's file, unless another one is named.
const SUITE: &str = "suite.toml";

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Objects of the suite: BPF objects, directories, executables or libraries that embed objects, archives or images
    /// (`oci://REGISTRY/NAME@sha256:DIGEST`). Without objects, no suite is written.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE")]
    inputs: Vec<PathBuf>,
    /// Write the suite to this file; `-` prints the suite and writes no file [default: suite.toml].
    #[arg(long, short, value_name = "SUITE.toml", requires = "inputs")]
    output: Option<PathBuf>,
    /// Also write a configuration file for this CI service.
    #[arg(long, value_enum, value_name = "ENGINE")]
    ci: Option<Engine>,
    /// Use no network: take images from the store.
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(common: &Common, args: &InitArgs) -> Result<ExitCode, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::infrastructure(format!("cannot determine the working directory: {error}"), None))?;
    let root = repository(&here).unwrap_or(&here);
    let suite = args.output.clone().unwrap_or_else(|| SUITE.into());
    if suite.as_os_str() == "-" {
        print!("{}", suite_text(common, args, None)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut files = NewFiles::default();
    match &common.manifest {
        ManifestPlace::File(file) if file.exists() => println!("kept: {}", shown(file, &here)),
        place => {
            let file = place.file().map_or_else(|| root.join(FILE_NAME), Path::to_owned);
            let text = editor::with_schema(BUILT_IN, editor::KERNELS, root, &here.join(&file));
            files.add(file.clone(), text)?;
            let lock = file.with_extension("lock");
            if !lock.exists() {
                files.add(lock, BUILT_IN_LOCK.to_owned())?;
            }
        }
    }
    if !args.inputs.is_empty() {
        let text = suite_text(common, args, Some(&suite))?;
        files.add(suite.clone(), editor::with_schema(&text, editor::SUITE, root, &here.join(&suite)))?;
    }
    // Engines start in the root of the repository.
    let objects = here.join(&suite).strip_prefix(root).map_or_else(|_| suite.clone(), Path::to_owned);
    if let Some(engine) = args.ci {
        let built = ci::directory_of(&args.inputs, &here, root);
        files.add_all(engine.files(root, &objects.to_string_lossy(), &built))?;
    }
    if files.is_empty() {
        let hint = "name objects for a first suite, or a CI service with `--ci`".to_owned();
        return Err(Failure::input("nothing to write", Some(hint)));
    }
    files.add_all(editor::files(root))?;
    for file in files.write()? {
        println!("wrote: {}", shown(&file, &here));
    }
    args.ci.into_iter().flat_map(|engine| engine.left_to_do(root)).for_each(|line| println!("to do: {line}"));
    match args.inputs.is_empty() {
        true => println!("next: corematrix init OBJECT..., or corematrix run OBJECT..."),
        false => println!("next: corematrix run {}", suite.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A path as the user would type it.
fn shown<'a>(path: &'a Path, here: &Path) -> std::path::Display<'a> {
    path.strip_prefix(here).unwrap_or(path).display()
}

/// The suite as it is going to lie in `file`, or in the working directory.
fn suite_text(common: &Common, args: &InitArgs, file: Option<&Path>) -> Result<String, Failure> {
    let unusable = |path: &Path, error: std::io::Error| Failure::input(format!("`{}`: {error}", path.display()), None);
    if let Some(suite) = args.inputs.iter().find(|path| path.extension().is_some_and(|kind| kind == "toml")) {
        return Err(Failure::input(format!("`{}` is already a suite", suite.display()), None));
    }
    let project = Project::load_for_inputs(&common.manifest, &common.places()?)?;
    let Inputs { mut objects, notices, .. } = project.inputs(&args.inputs, args.offline, &super::say)?;
    for object in &mut objects {
        let path = &object.origin.path;
        if path.starts_with("oci:") {
            continue;
        }
        if path.starts_with("http:") || path.starts_with("https:") {
            let hint = "download it and name the file, or package it as an image".to_owned();
            return Err(Failure::input(format!("a suite cannot name `{}`", path.display()), Some(hint)));
        }
        // Of an archive, the file that a suite names is the archive.
        let file = path.ancestors().find(|path| path.exists()).unwrap_or(path);
        object.origin.path = file.canonicalize().map_err(|error| unusable(file, error))?;
    }
    notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let folder = match file.and_then(Path::parent) {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(|error| unusable(folder, error))?;
    let named = args.output.as_ref().and(file).and_then(Path::file_stem);
    let name = match named {
        Some(stem) => stem.to_string_lossy().into_owned(),
        None => objects.first().map_or("suite", |object| &object.name).to_owned(),
    };
    Ok(draft(&name, &objects, &folder))
}

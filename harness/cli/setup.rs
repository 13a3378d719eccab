//! [`Setup`]: what most commands need: the manifest, the store, and the objects that were named.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::{Common, MachineArgs};
use crate::manifest::{KernelSpec, Manifest};
use crate::object::{BpfObject, find_objects};
use crate::run::Stop;
use crate::store::{LockFile, Store, StoreError};
use crate::suite::{Settings, Suite, SuiteError};
use crate::vm::{Deadlines, Toolchain, ToolchainError};

/// Where the store remembers the versions of programs.
const TOOLS: &str = "tools.json";

/// What the inputs of a command hold.
pub(super) struct Inputs {
    pub(super) objects: Vec<BpfObject>,
    /// What was left out on purpose.
    pub(super) notices: Vec<String>,
    /// What suite files say of the objects.
    pub(super) settings: Settings,
}

/// The manifest and the store.
pub(super) struct Setup {
    pub(super) manifest: Manifest,
    /// The folder of the manifest: the project.
    pub(super) project: PathBuf,
    pub(super) lock: LockFile,
    pub(super) store: Store,
    /// Why there is no toolchain, if so: some commands do without.
    pub(super) tools: Result<Toolchain, ToolchainError>,
}

impl Setup {
    pub(super) fn load(common: &Common) -> Result<Setup, Failure> {
        let manifest = Manifest::load(&common.manifest).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?;
        let project = manifest.path.parent().unwrap_or(Path::new("/")).to_owned();
        let lock = LockFile::open(&manifest.path.with_extension("lock")).map_err(store_failure)?;
        let mut store = Store::open(common.store.clone()).map_err(store_failure)?;
        let tools = find_tools(&project, &store, &manifest);
        if let Ok(tools) = &tools {
            store.download_with(tools.vng());
        }
        Ok(Setup { manifest, project, lock, store, tools })
    }

    /// With the manifest of a bundle. The tools are the project's.
    pub(super) fn of_bundle(common: &Common, manifest: &Path) -> Result<Setup, Failure> {
        let theirs = Common { manifest: manifest.to_owned(), store: common.store.clone() };
        let mut setup = Setup::load(&theirs)?;
        setup.tools = find_tools(&super::explain::project(common), &setup.store, &setup.manifest);
        if let Ok(tools) = &setup.tools {
            setup.store.download_with(tools.vng());
        }
        Ok(setup)
    }

    /// Lets the store hear when the user wants to stop.
    pub(super) fn hear(&self, stop: &Stop) {
        let stop = stop.clone();
        self.store.stop_when(move || stop.requested());
    }

    /// The kernels that the user chose, or the default matrix.
    pub(super) fn kernels(&self, args: &MachineArgs) -> Result<Vec<KernelSpec>, Failure> {
        let chosen = self.manifest.select(&args.kernel).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?;
        Ok(chosen.into_iter().cloned().collect())
    }

    /// The objects in the inputs: files, folders, executables and suites.
    pub(super) fn objects(&self, inputs: &[PathBuf], offline: bool) -> Result<Inputs, Failure> {
        let (mut places, mut suites) = (Vec::new(), Vec::new());
        for input in inputs {
            if input.extension().is_some_and(|extension| extension == "toml") {
                let suite = Suite::load(input).map_err(suite_failure)?;
                places.extend(self.suite_places(&suite, offline)?);
                suites.push(suite);
            } else {
                places.push(input.clone());
            }
        }
        let found = find_objects(&places).map_err(|errors| {
            Failure::inputs(errors.into_iter().map(|error| {
                let hint = error.hint();
                (error.to_string(), hint)
            }))
        })?;
        let mut settings = Settings::default();
        for suite in &suites {
            let of_suite = suite.settings(&found.objects).map_err(suite_failure)?;
            settings.merge(of_suite).map_err(|name| {
                let message = format!("suite `{}`: another suite has a shape `{name}` of the same object", suite.name);
                Failure::input(message, Some("give one of them another name".to_owned()))
            })?;
        }
        Ok(Inputs { objects: found.objects, notices: found.notices, settings })
    }

    fn suite_places(&self, suite: &Suite, offline: bool) -> Result<Vec<PathBuf>, Failure> {
        let mut places = suite.objects.clone();
        for package in &suite.packages {
            let step = |step: String| eprintln!("{}: {step}", package.apt);
            let folder = self.store.debian_package(&package.apt, &package.suites, &self.lock, offline, &step);
            let folder = folder.map_err(store_failure)?;
            for pattern in &package.files {
                let files = files_in(&folder, pattern);
                if files.is_empty() {
                    let message =
                        format!("suite `{}`: package `{}` has no file `{pattern}`", suite.path.display(), package.apt);
                    return Err(Failure::input(
                        message,
                        Some(format!("the package is unpacked in `{}`", folder.display())),
                    ));
                }
                places.extend(files.into_iter().filter(|file| !places.contains(file)).collect::<Vec<_>>());
            }
        }
        Ok(places)
    }
}

fn find_tools(project: &Path, store: &Store, manifest: &Manifest) -> Result<Toolchain, ToolchainError> {
    // It is the machine that is slow, and one kernel that says so is enough.
    let boot_timeout = manifest.kernels.iter().map(|spec| spec.boot_timeout).max().unwrap_or_default();
    Toolchain::find(project, &store.root().join(TOOLS), Deadlines::version(boot_timeout))
}

/// Files below `folder` that match a glob of a suite, which was checked when the suite was read.
fn files_in(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let whole = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).into_iter().flatten().flatten();
    paths.filter(|path| path.is_file()).collect()
}

fn suite_failure(error: SuiteError) -> Failure {
    let hint = error.hint();
    Failure::input(error, hint)
}

pub(super) fn store_failure(error: StoreError) -> Failure {
    if matches!(error, StoreError::Stopped) {
        return Failure::interrupted();
    }
    let hint = error.hint();
    Failure::infrastructure(error, hint)
}

//! [`Project`]: a manifest with its lock file, the store, and the programs that make guests.

use std::path::{Path, PathBuf};

use super::error::MatrixError;
use super::places::Places;
use crate::manifest::{KernelSpec, Manifest};
use crate::object::{BpfObject, find_objects};
use crate::source::LockFile;
use crate::store::Store;
use crate::suite::{Settings, Suite};
use crate::vm::{Deadlines, ToolPaths, Toolchain, ToolchainError};

/// Where the store remembers the versions of programs.
const TOOLS: &str = "tools.json";

/// What inputs hold.
#[derive(Debug)]
pub struct Inputs {
    /// The objects, in the order given.
    pub objects: Vec<BpfObject>,
    /// What was left out on purpose.
    pub notices: Vec<String>,
    /// What suite files say of the objects.
    pub settings: Settings,
}

/// A manifest with its lock file, the store, and the programs that make guests.
#[derive(Debug)]
pub struct Project {
    /// The kernels that there are.
    pub manifest: Manifest,
    /// The folder of the manifest.
    pub folder: PathBuf,
    /// What exactly the kernels are.
    pub lock: LockFile,
    /// Where kernels are kept.
    pub store: Store,
    tools: Result<Toolchain, ToolchainError>,
    paths: ToolPaths,
}

impl Project {
    /// Opens the project of a manifest.
    ///
    /// # Errors
    /// The manifest or its lock file is wrong, or the store cannot be opened. Missing programs are no error yet.
    pub fn load(manifest: &Path, places: &Places) -> Result<Project, MatrixError> {
        let manifest = Manifest::load(manifest)?;
        let folder = manifest.path.parent().unwrap_or(Path::new("/")).to_owned();
        let lock = LockFile::open(&manifest.path.with_extension("lock"))?;
        let store = Store::open(&places.store)?;
        let tools = find_tools(&folder, &places.tools, &store, &manifest);
        let mut project = Project { manifest, folder, lock, store, tools, paths: places.tools.clone() };
        project.download_with_tools();
        Ok(project)
    }

    /// The same with the programs of another project's folder.
    #[must_use]
    pub fn with_tools_of(mut self, folder: &Path) -> Project {
        self.tools = find_tools(folder, &self.paths, &self.store, &self.manifest);
        self.download_with_tools();
        self
    }

    fn download_with_tools(&mut self) {
        if let Ok(tools) = &self.tools {
            self.store.download_with(tools.vng());
        }
    }

    /// The programs that make guests.
    ///
    /// # Errors
    /// [`MatrixError::Toolchain`].
    pub fn tools(&self) -> Result<&Toolchain, MatrixError> {
        self.tools.as_ref().map_err(MatrixError::from)
    }

    /// The kernels that selectors choose (`5.10`, `>=6.1`, `latest`, `6.*`), in the manifest's order; without any the manifest's matrix.
    ///
    /// # Errors
    /// [`MatrixError::Selector`].
    pub fn kernels(&self, selectors: &[String]) -> Result<Vec<KernelSpec>, MatrixError> {
        Ok(self.manifest.select(selectors)?.into_iter().cloned().collect())
    }

    /// The objects in files, folders, executables and suites. `say` gets a line for each step that takes time.
    ///
    /// # Errors
    /// An input is wrong, or a package that a suite names cannot be had.
    pub fn inputs(&self, paths: &[PathBuf], offline: bool, say: &dyn Fn(String)) -> Result<Inputs, MatrixError> {
        let (mut places, mut suites) = (Vec::new(), Vec::new());
        for input in paths {
            if input.extension().is_some_and(|extension| extension == "toml") {
                let suite = Suite::load(input)?;
                places.extend(self.suite_places(&suite, offline, say)?);
                suites.push(suite);
            } else {
                places.push(input.clone());
            }
        }
        let found = find_objects(&places).map_err(MatrixError::Objects)?;
        let mut settings = Settings::default();
        for suite in &suites {
            let of_suite = suite.settings(&found.objects)?;
            settings.merge(of_suite).map_err(MatrixError::SaidTwice)?;
        }
        Ok(Inputs { objects: found.objects, notices: found.notices, settings })
    }

    fn suite_places(&self, suite: &Suite, offline: bool, say: &dyn Fn(String)) -> Result<Vec<PathBuf>, MatrixError> {
        let mut places = suite.objects.clone();
        for package in &suite.packages {
            let step = |step: String| say(format!("{}: {step}", package.apt));
            let folder = self.store.debian_package(&package.apt, &package.suites, &self.lock, offline, &step)?;
            for pattern in &package.files {
                let files = files_in(&folder, pattern);
                if files.is_empty() {
                    return Err(MatrixError::NoFile {
                        suite: suite.path.clone(),
                        package: package.apt.clone(),
                        pattern: pattern.clone(),
                        folder,
                    });
                }
                places.extend(files.into_iter().filter(|file| !places.contains(file)).collect::<Vec<_>>());
            }
        }
        Ok(places)
    }
}

fn find_tools(
    folder: &Path,
    paths: &ToolPaths,
    store: &Store,
    manifest: &Manifest,
) -> Result<Toolchain, ToolchainError> {
    // It is the machine that is slow, and one kernel that says so is enough.
    let boot_timeout = manifest.kernels.iter().map(|spec| spec.boot_timeout).max().unwrap_or_default();
    Toolchain::find(folder, paths, &store.root().join(TOOLS), Deadlines::version(boot_timeout))
}

/// Files below `folder` that match a glob of a suite, which was checked when the suite was read.
fn files_in(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let whole = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).into_iter().flatten().flatten();
    paths.filter(|path| path.is_file()).collect()
}

//! [`Places`]: where the store and the programs that make guests are.

use std::path::PathBuf;

use super::error::MatrixError;
use crate::store::Store;
use crate::vm::ToolPaths;

/// The variable that names the store's directory.
pub const STORE_VARIABLE: &str = "COREMATRIX_STORE";

/// The variable that names the directory of loaders.
pub const LOADERS_VARIABLE: &str = "COREMATRIX_LOADERS";

/// Where the store and the programs that make guests are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The directory of the store; made if it is not there.
    pub store: PathBuf,
    /// The programs.
    pub tools: ToolPaths,
    /// Where loaders other than libbpf are looked for, most preferred first.
    pub loaders: Vec<PathBuf>,
}

impl Places {
    /// These places, and programs that are looked for in the project's `.venv` and on the PATH.
    pub fn new(store: impl Into<PathBuf>) -> Places {
        Places { store: store.into(), tools: ToolPaths::default(), loaders: Vec::new() }
    }

    /// What the environment says: `COREMATRIX_STORE`, else `corematrix` in the user's cache directory, `COREMATRIX_VIRTME_RUN`,
    /// `COREMATRIX_QEMU`, and `COREMATRIX_LOADERS`, else directories beside this executable. `store` comes before the environment. Nothing else in this library reads variables of its own.
    ///
    /// # Errors
    /// The user has no cache directory.
    pub fn from_environment(store: Option<PathBuf>) -> Result<Places, MatrixError> {
        let named = || std::env::var_os(STORE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let store = match store.or_else(named) {
            Some(store) => store,
            None => Store::default_folder()?,
        };
        Ok(Places { store, tools: ToolPaths::from_environment(), loaders: loader_folders() })
    }
}

/// Where loaders are: where the user says; else beside the executable as `make loaders` leaves them, or as a package installs them.
fn loader_folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(LOADERS_VARIABLE).filter(|path| !path.is_empty()) {
        return vec![PathBuf::from(folder)];
    }
    let executable = std::env::current_exe().and_then(std::fs::canonicalize);
    let above = executable.ok().and_then(|path| Some(path.parent()?.parent()?.to_owned()));
    above.into_iter().flat_map(|above| [above.join("loaders"), above.join("lib/corematrix/loaders")]).collect()
}

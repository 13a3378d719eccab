//! [`Places`]: where the store and the programs that make guests are.

use std::path::PathBuf;

use super::error::MatrixError;
use crate::store::Store;
use crate::vm::ToolPaths;

/// The variable that names the store's folder.
pub const STORE_VARIABLE: &str = "COREMATRIX_STORE";

/// Where the store and the programs that make guests are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of the store; made if it is not there.
    pub store: PathBuf,
    /// The programs.
    pub tools: ToolPaths,
}

impl Places {
    /// These places, and programs that are looked for in the project's `.venv` and on the PATH.
    pub fn new(store: impl Into<PathBuf>) -> Places {
        Places { store: store.into(), tools: ToolPaths::default() }
    }

    /// What the environment says: `COREMATRIX_STORE`, else `corematrix` in the user's cache folder, `COREMATRIX_VIRTME_RUN` and
    /// `COREMATRIX_QEMU`. `store` comes before the environment. Nothing else in this library reads variables of its own.
    ///
    /// # Errors
    /// The user has no cache folder.
    pub fn from_environment(store: Option<PathBuf>) -> Result<Places, MatrixError> {
        let named = || std::env::var_os(STORE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let store = match store.or_else(named) {
            Some(store) => store,
            None => Store::default_folder()?,
        };
        Ok(Places { store, tools: ToolPaths::from_environment() })
    }
}

//! [`MatrixError`]: why a matrix could not be run.

use std::path::PathBuf;

use crate::manifest::{ManifestError, SelectorError};
use crate::object::ObjectError;
use crate::run::RunError;
use crate::store::StoreError;
use crate::suite::{SaidTwice, SuiteError};
use crate::vm::{NoKvm, ToolchainError};
use crate::whole_file::WriteError;

/// Why a matrix could not be run. What goes wrong with single kernels, objects or programs is in the record instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A selector chooses no kernel.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// A suite file is wrong.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Inputs hold no objects, or cannot be read; at least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Objects(Vec<ObjectError>),
    /// Two suites say what can be said once.
    #[error(transparent)]
    SaidTwice(SaidTwice),
    /// A package that a suite names does not have a file.
    #[error("suite `{}`: package `{package}` has no file `{pattern}`", suite.display())]
    NoFile {
        /// The suite.
        suite: PathBuf,
        /// The package.
        package: String,
        /// The file, as the suite writes it.
        pattern: String,
        /// Where the package is unpacked.
        folder: PathBuf,
    },
    /// The store, or a source of kernels or packages, failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// QEMU or virtme-ng is missing or broken.
    #[error("{0}")]
    Toolchain(String, Option<String>),
    /// KVM was asked for and cannot be used.
    #[error(transparent)]
    NoKvm(#[from] NoKvm),
    /// The record could not be saved when the run began.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The run could not begin.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A defect of corematrix.
    #[error("the runner panicked; this is a bug in corematrix")]
    Panicked,
}

impl MatrixError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            MatrixError::Manifest(error) => error.hint(),
            MatrixError::Selector(error) => error.hint(),
            MatrixError::Suite(error) => error.hint(),
            MatrixError::Objects(errors) => errors.iter().find_map(ObjectError::hint),
            MatrixError::SaidTwice(_) => Some("take it out of one of them, or run them one after the other".to_owned()),
            MatrixError::NoFile { folder, .. } => Some(format!("the package is unpacked in `{}`", folder.display())),
            MatrixError::Store(error) => error.hint(),
            MatrixError::Toolchain(_, hint) => hint.clone(),
            MatrixError::NoKvm(error) => Some(error.hint()),
            MatrixError::Write(_) | MatrixError::Run(_) | MatrixError::Panicked => None,
        }
    }

    /// Whether what was given is wrong, and not the machine, the network or a tool.
    pub fn is_input(&self) -> bool {
        use MatrixError::{Manifest, NoFile, Objects, SaidTwice, Selector, Suite};
        matches!(self, Manifest(_) | Selector(_) | Suite(_) | Objects(_) | SaidTwice(_) | NoFile { .. })
    }
}

impl From<&ToolchainError> for MatrixError {
    fn from(error: &ToolchainError) -> Self {
        MatrixError::Toolchain(error.to_string(), error.hint())
    }
}

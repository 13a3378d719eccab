//! [`MatrixError`]: why a matrix could not be run.

use std::path::PathBuf;

use crate::gate::ExpectationError;
use crate::loader::LoaderError;
use crate::manifest::{MOST_BUILDS, ManifestError, SelectorError};
use crate::object::ObjectError;
use crate::run::RunError;
use crate::store::StoreError;
use crate::suite::{SaidTwice, SuiteError};
use crate::vm::{NoKvm, ToolchainError};
use crate::whole_file::WriteError;

/// The columns that one archive of BTF may have in a matrix.
pub(super) const MOST_OF_ARCHIVE: usize = 64;

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
    /// The pattern of an archive of BTF chooses more than a matrix has room for.
    #[error("kernel `{kernel}`: its pattern matches {found} files, but a matrix takes at most {MOST_OF_ARCHIVE}")]
    TooManyKernels {
        /// The kernel of the manifest.
        kernel: String,
        /// How many files there are.
        found: usize,
    },
    /// An archive has more builds of a kernel than a matrix has room for.
    #[error("kernel `{kernel}`: its archive has {found} builds, but a matrix takes at most {MOST_BUILDS}")]
    TooManyBuilds {
        /// The kernel of the manifest.
        kernel: String,
        /// How many builds there are.
        found: usize,
    },
    /// A suite file is wrong.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// A file with expectations is wrong.
    #[error(transparent)]
    Expectations(#[from] ExpectationError),
    /// Inputs hold no objects, or cannot be read; at least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Objects(Vec<ObjectError>),
    /// Two suites say what can be said once.
    #[error(transparent)]
    SaidTwice(SaidTwice),
    /// An input that is written in a way that nothing is.
    #[error("`{input}`: {reason}")]
    Input {
        /// As the user wrote it.
        input: String,
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: String,
    },
    /// A suite names an image by its tag.
    #[error("suite `{}`: image `{image}` has no digest", suite.display())]
    UnpinnedImage {
        /// The suite.
        suite: PathBuf,
        /// The image, as the suite writes it.
        image: String,
        /// The image with the digest that its tag has now, if that is known.
        now: Option<String>,
    },
    /// A package or image that a suite names does not have a file.
    #[error("suite `{}`: {holder} has no file `{pattern}`", suite.display())]
    NoFile {
        /// The suite.
        suite: PathBuf,
        /// The package or image.
        holder: String,
        /// The file, as the suite writes it.
        pattern: String,
        /// What the user can do.
        hint: String,
    },
    /// A loader that is named cannot be used.
    #[error(transparent)]
    Loader(#[from] LoaderError),
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
            MatrixError::Expectations(error) => error.hint(),
            MatrixError::Objects(errors) => errors.iter().find_map(ObjectError::hint),
            MatrixError::SaidTwice(_) => Some("remove it from one of them, or run them separately".to_owned()),
            MatrixError::Input { hint, .. } | MatrixError::NoFile { hint, .. } => Some(hint.clone()),
            MatrixError::UnpinnedImage { now: Some(now), .. } => {
                Some(format!("suites name images by digest; the tag currently refers to `oci = \"{now}\"`"))
            }
            MatrixError::UnpinnedImage { now: None, .. } => {
                Some("suites name images by digest: write `REGISTRY/NAME@sha256:DIGEST`".to_owned())
            }
            MatrixError::TooManyKernels { .. } => {
                Some("narrow the pattern, or use `corematrix predict`, which takes whole archives".to_owned())
            }
            MatrixError::TooManyBuilds { kernel, .. } => Some(format!(
                "`{kernel}@last:5` takes the newest; `corematrix bisect --kernel '{kernel}@all'` searches all"
            )),
            MatrixError::Loader(error) => error.hint(),
            MatrixError::Store(error) => error.hint(),
            MatrixError::Toolchain(_, hint) => hint.clone(),
            MatrixError::NoKvm(error) => Some(error.hint()),
            MatrixError::Write(_) | MatrixError::Run(_) | MatrixError::Panicked => None,
        }
    }

    /// Whether what was given is wrong, and not the machine, the network or a tool.
    pub fn is_input(&self) -> bool {
        use MatrixError::{
            Expectations, Input, Manifest, NoFile, Objects, SaidTwice, Selector, Suite, TooManyBuilds, TooManyKernels,
            UnpinnedImage,
        };
        matches!(
            self,
            Manifest(_)
                | Selector(_)
                | TooManyKernels { .. }
                | TooManyBuilds { .. }
                | Suite(_)
                | Expectations(_)
                | Objects(_)
                | Input { .. }
                | UnpinnedImage { .. }
                | SaidTwice(_)
                | NoFile { .. }
        )
    }
}

impl From<&ToolchainError> for MatrixError {
    fn from(error: &ToolchainError) -> Self {
        MatrixError::Toolchain(error.to_string(), error.hint())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::matrix::{Matrix, Options, Places, Project};
    use crate::need::{self, need};

    #[test]
    fn files_with_expectations_are_read_before_anything_runs() {
        need!("guests");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("kernels.toml"), "[kernel.\"5.4\"]\nsource = \"mainline\"\nversion = \"v5.4\"\n").unwrap();
        // Where `setup.sh` installs virtme-ng; elsewhere it is on the PATH.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::os::unix::fs::symlink(here.join(".venv"), at(".venv")).unwrap();
        let project = Project::load(&at("kernels.toml"), &Places::new(at("store"))).unwrap();
        let object = here.join("tests/fixtures/explain/object.o");
        let plan = |text: &str| {
            std::fs::write(at("known.toml"), text).unwrap();
            let options = Options { expect: vec![at("known.toml")], offline: true, ..Options::default() };
            Matrix::new(&project, options).plan(&["5.4".to_owned()], std::slice::from_ref(&object))
        };
        let work = plan("[[expect]]\nreason = \"old\"").unwrap();
        assert_eq!(work.expectations.failures[0].reason, "old");
        let error = plan("[[expect]]\nreason = \" \"").unwrap_err();
        assert!(matches!(error, MatrixError::Expectations(_)) && error.is_input() && error.hint().is_some(), "{error}");
    }
}

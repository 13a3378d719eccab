//! [`BundleError`]: why a bundle cannot be made or opened.

use std::io;
use std::path::PathBuf;

/// Why a bundle cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot read bundle `{}`: {source}", path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write bundle `{}`: {source}", path.display())]
    Write {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is cut short, changed, or no bundle at all.
    #[error("`{}` is damaged or not a bundle: {reason}", path.display())]
    Damaged {
        /// The bundle.
        path: PathBuf,
        /// What is wrong, as a lowercase fragment.
        reason: String,
    },
    /// It holds what no bundle holds, such as a link or a path that leads out of it.
    #[error("`{}` is refused: {reason}", path.display())]
    Refused {
        /// The bundle.
        path: PathBuf,
        /// What it holds, as a lowercase fragment.
        reason: String,
    },
    /// Another version of corematrix made it.
    #[error("`{}` has bundle format {found}, but this corematrix reads formats up to {known}", path.display())]
    OtherFormat {
        /// The bundle.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is understood.
        known: u32,
    },
    /// The cell is not one to make a bundle of.
    #[error("cannot bundle `{object}` on `{kernel}`: {reason}")]
    NotToBundle {
        /// The object.
        object: String,
        /// The kernel.
        kernel: String,
        /// Why, as a lowercase fragment.
        reason: String,
    },
}

impl BundleError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            BundleError::Damaged { .. } => {
                Some("download it again; a bundle is a file `bundles/*.cmxb` of a report".to_owned())
            }
            BundleError::Refused { .. } => Some(
                "corematrix does not write such bundles: do not use it unless you know where it comes from".to_owned(),
            ),
            BundleError::OtherFormat { found, known, .. } if *found > u64::from(*known) => {
                Some("use a newer corematrix to open it".to_owned())
            }
            BundleError::OtherFormat { .. } => Some("run the matrix again for a new bundle".to_owned()),
            BundleError::Read { .. } | BundleError::Write { .. } | BundleError::NotToBundle { .. } => None,
        }
    }
}

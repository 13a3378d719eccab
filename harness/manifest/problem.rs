//! [`ManifestError`]: everything that is wrong with a `kernels.toml`, all at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One thing that is wrong in `kernels.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line it is on, counted from 1.
    pub line: usize,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Why `kernels.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is wrong in one or more places, in the order of their lines; every hint is printed with its problem.
    #[error("{}", Problems { path, problems })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Never empty.
        problems: Vec<Problem>,
    },
    /// The catalogue beside the manifest is wrong.
    #[error("cannot use `{}`: {reason}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a lowercase fragment.
        reason: String,
    },
}

impl ManifestError {
    /// What the user can do; the problems of [`ManifestError::Invalid`] bring their own hints.
    pub fn hint(&self) -> Option<String> {
        match self {
            ManifestError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
                "start in the directory that contains `kernels.toml`, or name the file with `--manifest`".to_owned(),
            ),
            ManifestError::Catalogue { .. } => {
                Some("each table is a kernel: `about`, `series`, and the keys of a kernel in `kernels.toml`".to_owned())
            }
            ManifestError::Read { .. } | ManifestError::Invalid { .. } => None,
        }
    }
}

/// Prints `kernels.toml:LINE: MESSAGE` and a `hint:` line for each problem.
struct Problems<'a> {
    path: &'a std::path::Path,
    problems: &'a [Problem],
}

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}: {}", self.path.display(), problem.line, problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

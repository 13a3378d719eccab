//! [`expand`]: from the paths and globs of a suite file to files.

use std::path::{Path, PathBuf};

use super::error::SuiteError;

/// The files that a path or glob stands for.
pub(super) fn expand(suite: &Path, pattern: &str) -> Result<Vec<PathBuf>, SuiteError> {
    check_glob(suite, pattern)?;
    // Joining puts an absolute pattern instead of the directory.
    let full = match Path::new(pattern).is_absolute() {
        true => pattern.to_owned(),
        false => format!("{}/{pattern}", glob::Pattern::escape(&folder(suite).to_string_lossy())),
    };
    let mut found = Vec::new();
    for entry in glob::glob(&full).map_err(|error| bad_pattern(suite, pattern, error))? {
        found
            .push(entry.map_err(|error| SuiteError::Unreadable { path: suite.to_owned(), error: error.into_error() })?);
    }
    match found.is_empty() {
        true => Err(SuiteError::NoMatch { path: suite.to_owned(), pattern: pattern.to_owned() }),
        false => Ok(found),
    }
}

pub(super) fn check_glob(suite: &Path, pattern: &str) -> Result<(), SuiteError> {
    glob::Pattern::new(pattern).map(|_| ()).map_err(|error| bad_pattern(suite, pattern, error))
}

fn bad_pattern(suite: &Path, pattern: &str, error: glob::PatternError) -> SuiteError {
    SuiteError::BadPattern { path: suite.to_owned(), pattern: pattern.to_owned(), message: error.to_string() }
}

/// The directory of a suite file; `.` for a bare file name.
pub(super) fn folder(suite: &Path) -> &Path {
    match suite.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

//! [`SuiteError`]: why a suite file cannot be used.

use std::io;
use std::path::PathBuf;

use super::pattern::folder;

/// Why a suite file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// The file cannot be read.
    #[error("suite `{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The suite file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("suite `{}`, line {line}: {message}", .path.display())]
    Syntax {
        /// The suite file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key that does not exist.
    #[error("suite `{}`, line {line}: unknown key `{key}`", .path.display())]
    UnknownKey {
        /// The suite file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// As written.
        key: String,
        /// The keys that exist instead.
        known: &'static [&'static str],
    },
    /// A glob that cannot be parsed.
    #[error("suite `{}`: pattern `{pattern}` is not a glob: {message}", .path.display())]
    BadPattern {
        /// The suite file.
        path: PathBuf,
        /// As written.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A path or glob without any file.
    #[error("suite `{}`: `{pattern}` matches no file", .path.display())]
    NoMatch {
        /// The suite file.
        path: PathBuf,
        /// As written.
        pattern: String,
    },
    /// A value that is well-formed but makes no sense, at a place.
    #[error("suite `{}`, line {line}: {message}", .path.display())]
    Wrong {
        /// The suite file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// A lowercase fragment.
        message: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A value that is well-formed but makes no sense.
    #[error("suite `{}`: {message}", .path.display())]
    Invalid {
        /// The suite file.
        path: PathBuf,
        /// A lowercase fragment.
        message: String,
    },
}

impl SuiteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SuiteError::UnknownKey { key, known, .. } => {
                let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, key))?;
                Some(match strsim::damerau_levenshtein(nearest, key) {
                    0..=3 => format!("did you mean `{nearest}`?"),
                    _ => format!("valid keys are {}", quoted(known)),
                })
            }
            SuiteError::Unreadable { .. } => Some("check the path; suite files end in `.toml`".to_owned()),
            SuiteError::NoMatch { path, .. } => {
                let folder = folder(path);
                Some(format!("paths are relative to the suite file's directory `{}`", folder.display()))
            }
            SuiteError::Wrong { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

/// What is wrong at a place of a suite file, before the file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// A lowercase fragment.
    pub message: String,
    pub hint: Option<String>,
}

impl Mistake {
    pub fn new(message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Mistake {
        Mistake { hint: Some(hint.into()), ..self }
    }

    /// Names what exists instead of something that does not: the nearest if it is a slip, otherwise all, if they are few.
    pub fn known<'a>(self, wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Mistake {
        const MOST: usize = 12;
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, wanted)).copied();
        match nearest.filter(|name| strsim::damerau_levenshtein(name, wanted) <= 3) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None if known.is_empty() => self,
            None => {
                let more = if known.len() > MOST { format!(" and {} more", known.len() - MOST) } else { String::new() };
                self.hint(format!("it has {}{more}", quoted(&known[..known.len().min(MOST)])))
            }
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

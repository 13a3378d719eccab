//! [`Failure`]: why a command could not do its work, with hints and the exit code.

use std::fmt;

use super::run::report_failure;
use crate::matrix::MatrixError;
use crate::record::exit_code;
use crate::store::StoreError;

/// One thing that is wrong, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    message: String,
    hint: Option<String>,
}

/// Why a command could not do its work. Displays as one block for each problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    problems: Vec<Problem>,
}

impl Failure {
    /// The user's input is wrong.
    pub(super) fn input(message: impl fmt::Display, hint: Option<String>) -> Failure {
        Failure { code: exit_code::BAD_CONFIGURATION, problems: vec![Problem { message: message.to_string(), hint }] }
    }

    /// The machine, the network or a tool is to blame.
    pub(super) fn infrastructure(message: impl fmt::Display, hint: Option<String>) -> Failure {
        Failure { code: exit_code::INFRASTRUCTURE, ..Failure::input(message, hint) }
    }

    /// The user stopped it.
    pub(super) fn interrupted() -> Failure {
        Failure { code: exit_code::INTERRUPTED, ..Failure::input("stopped", None) }
    }

    /// Several things are wrong with the user's input.
    pub(super) fn inputs(problems: impl IntoIterator<Item = (String, Option<String>)>) -> Failure {
        let problems = problems.into_iter().map(|(message, hint)| Problem { message, hint }).collect();
        Failure { code: exit_code::BAD_CONFIGURATION, problems }
    }
}

impl From<MatrixError> for Failure {
    fn from(error: MatrixError) -> Failure {
        match error {
            MatrixError::Objects(errors) => {
                Failure::inputs(errors.iter().map(|error| (error.to_string(), error.hint())))
            }
            MatrixError::Store(StoreError::Stopped) => Failure::interrupted(),
            error if error.is_input() => Failure::input(&error, error.hint()),
            MatrixError::Write(error) => report_failure(&error.into()),
            error => Failure::infrastructure(&error, error.hint()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}error: {}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The store failed, or a source of kernels or packages.
pub(super) fn store_failure(error: StoreError) -> Failure {
    Failure::from(MatrixError::from(error))
}

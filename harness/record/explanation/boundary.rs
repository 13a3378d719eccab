//! [`Boundary`]: where in the matrix something comes or goes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// On which kernels of the matrix something is there. Displays as `present up to 6.1, missing from 6.12`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "boundary", rename_all = "snake_case")]
pub enum Boundary {
    /// On every kernel.
    Everywhere,
    /// On no kernel.
    Nowhere,
    /// It came once and stayed.
    Since {
        /// The last kernel without it.
        missing: String,
        /// The first kernel with it.
        present: String,
    },
    /// It went once and stayed away.
    Until {
        /// The last kernel with it.
        present: String,
        /// The first kernel without it.
        missing: String,
    },
    /// It comes and goes: a back-port, a config, or a matrix that is not in order of age.
    Mixed {
        /// The runs of like kernels, in matrix order.
        runs: Vec<Run>,
    },
}

/// Kernels that follow one another in the matrix and agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// The first of them.
    pub first: String,
    /// The last of them; the same as `first` for a single one.
    pub last: String,
    /// Whether they have what is in question.
    pub present: bool,
}

impl Boundary {
    /// The boundary of kernels in matrix order, each with whether it has what is in question.
    pub fn of<'a>(kernels: impl IntoIterator<Item = (&'a str, bool)>) -> Boundary {
        let mut runs: Vec<Run> = Vec::new();
        for (kernel, present) in kernels {
            match runs.last_mut() {
                Some(run) if run.present == present => run.last = kernel.to_owned(),
                _ => runs.push(Run { first: kernel.to_owned(), last: kernel.to_owned(), present }),
            }
        }
        match runs.as_slice() {
            [] => Boundary::Nowhere,
            [only] if only.present => Boundary::Everywhere,
            [_] => Boundary::Nowhere,
            [before, after] if after.present => {
                Boundary::Since { missing: before.last.clone(), present: after.first.clone() }
            }
            [before, after] => Boundary::Until { present: before.last.clone(), missing: after.first.clone() },
            _ => Boundary::Mixed { runs },
        }
    }
}

/// `6.1 to 6.12`, or one name.
pub fn span(first: &str, last: &str) -> String {
    if first == last { first.to_owned() } else { format!("{first} to {last}") }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Boundary::Everywhere => f.write_str("present on every kernel of this matrix"),
            Boundary::Nowhere => f.write_str("missing on every kernel of this matrix"),
            Boundary::Since { missing, present } => write!(f, "missing up to {missing}, present from {present}"),
            Boundary::Until { present, missing } => write!(f, "present up to {present}, missing from {missing}"),
            Boundary::Mixed { runs } => {
                for (index, run) in runs.iter().enumerate() {
                    let word = if run.present { "present" } else { "missing" };
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{word} on {}", span(&run.first, &run.last))?;
                }
                f.write_str(": not monotonic, so a version check cannot be used")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_told() {
        let kernels = ["5.10", "6.1", "6.12", "7.3"];
        let text = |present: [bool; 4]| Boundary::of(kernels.into_iter().zip(present)).to_string();
        assert_eq!(text([true; 4]), "present on every kernel of this matrix");
        assert_eq!(text([false; 4]), "missing on every kernel of this matrix");
        assert_eq!(text([true, true, false, false]), "present up to 6.1, missing from 6.12");
        assert_eq!(text([false, true, true, true]), "missing up to 5.10, present from 6.1");
        assert_eq!(
            text([false, true, true, false]),
            "missing on 5.10, present on 6.1 to 6.12, missing on 7.3: not monotonic, so a version check cannot be used"
        );
        assert_eq!(Boundary::of([]), Boundary::Nowhere);
    }
}

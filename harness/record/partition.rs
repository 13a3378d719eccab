//! [`Partition`]: which part of a matrix a run takes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `number` of `of`, written `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Partition {
    /// Counts from 1.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(text: &str) -> Result<Self, PartitionError> {
        let read = || {
            let (number, of) = text.split_once('/')?;
            let partition = Partition { number: number.trim().parse().ok()?, of: of.trim().parse().ok()? };
            (1..=partition.of).contains(&partition.number).then_some(partition)
        };
        read().ok_or_else(|| PartitionError(text.to_owned()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// The text is no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a partition such as `2/5`: the first number must be from 1 to the second")]
pub struct PartitionError(String);

//! [`Partition`]: which part of a matrix a run takes, and [`split`], which makes the parts.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `number` of `of`, written `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Partition {
    /// Counts from 1.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

/// The text is no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no partition such as `2/5`: the first number is at least 1 and at most the second")]
pub struct PartitionError(String);

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

/// Distributes things of these costs over `parts` parts of about equal cost; each part lists the places of its things in order.
/// The same costs always give the same parts. Of more parts than things the last, which have none, are left out.
pub fn split(costs: &[usize], parts: usize) -> Vec<Vec<usize>> {
    // With more parts than things there are parts without any, which need no room here.
    let parts = parts.min(costs.len());
    let mut split = vec![Vec::new(); parts];
    let mut loads = vec![0_usize; parts];
    let mut order: Vec<usize> = (0..costs.len()).collect();
    // The largest first, each to the part that has least to do so far: never more than a third above the best there is.
    order.sort_by_key(|&thing| (Reverse(costs[thing]), thing));
    for thing in order {
        let Some(part) = (0..parts).min_by_key(|&part| (loads[part], part)) else { break };
        loads[part] = loads[part].saturating_add(costs[thing]);
        split[part].push(thing);
    }
    split.iter_mut().for_each(|part| part.sort_unstable());
    split
}

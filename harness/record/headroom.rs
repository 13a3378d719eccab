//! [`LimitUse`]: how much of a limit of the kernel a program uses.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ProgramRecord, RunRecord};

/// A program that uses more of a limit than this, in percent, is close to it.
pub const NEAR_LIMIT_PERCENT: f64 = 80.0;

/// A limit that kernels set to programs. States that the verifier keeps have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Instructions that the verifier walks through, on all paths.
    Instructions,
    /// Bytes of stack: of the deepest chain of calls, or of the largest function where functions have stacks of their own.
    Stack,
    /// Tail calls, one after the other, through the program arrays that the object itself fills.
    TailCalls,
    /// Instructions of the program itself, after the verifier's rewriting.
    Size,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Limit; 4] = [Limit::Instructions, Limit::Stack, Limit::TailCalls, Limit::Size];

    /// The limit in words.
    pub fn label(self) -> &'static str {
        match self {
            Limit::Instructions => "instruction limit",
            Limit::Stack => "stack limit",
            Limit::TailCalls => "tail call limit",
            Limit::Size => "program size limit",
        }
    }

    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Limit::Instructions | Limit::Size => "instructions",
            Limit::Stack => "bytes",
            Limit::TailCalls => "tail calls",
        }
    }
}

/// How much of a limit a program uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitUse {
    /// Of which limit.
    pub limit: Limit,
    /// How much it uses.
    pub used: u64,
    /// How much it may use.
    pub most: u64,
}

impl LimitUse {
    /// The share that it uses.
    pub fn percent(&self) -> f64 {
        if self.most == 0 { 100.0 } else { 100.0 * self.used as f64 / self.most as f64 }
    }

    /// Whether it is close to the limit.
    pub fn is_near(&self) -> bool {
        self.percent() > NEAR_LIMIT_PERCENT
    }
}

impl fmt::Display for LimitUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded down, so that what is below the limit never looks as if it had reached it.
        let percent = (self.percent() * 10.0).floor() / 10.0;
        write!(
            f,
            "uses {percent} % of the {} ({} of {} {})",
            self.limit.label(),
            self.used,
            self.most,
            self.limit.unit()
        )
    }
}

impl ProgramRecord {
    /// How much of a limit it uses; `None` if that is not known.
    pub fn use_of(&self, limit: Limit) -> Option<&LimitUse> {
        self.headroom.iter().find(|one| one.limit == limit)
    }
}

impl RunRecord {
    /// How much of a limit a program uses on each kernel, as an index, that loads it, the most first. Kernels that use as much are in the
    /// order of the matrix.
    pub fn uses_of(&self, object: usize, program: usize, limit: Limit) -> Vec<(usize, LimitUse)> {
        let on = |k: usize| {
            let one = self.cell(object, k).programs.get(program)?;
            Some((k, *one.use_of(limit).filter(|_| one.verdict.is_pass())?))
        };
        let mut uses: Vec<(usize, LimitUse)> = (0..self.kernels.len()).filter_map(on).collect();
        uses.sort_by(|(_, a), (_, b)| b.percent().total_cmp(&a.percent()));
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_near_above_eighty_percent() {
        let used = |used| LimitUse { limit: Limit::Instructions, used, most: 1_000_000 };
        assert!(!used(800_000).is_near() && used(800_001).is_near());
        assert_eq!(used(999_999).to_string(), "uses 99.9 % of the instruction limit (999999 of 1000000 instructions)");
        assert_eq!(LimitUse { limit: Limit::Stack, used: 0, most: 0 }.percent(), 100.0);
    }
}

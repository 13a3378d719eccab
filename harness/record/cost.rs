//! [`CostRecord`]: how long a program runs, measured in turns with the same program of another build.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Fewer rounds are not enough.
pub const LEAST_ROUNDS: usize = 8;
/// Fewer runs of either program, over all rounds, are not enough.
pub const LEAST_RUNS: u64 = 64;

/// Runs of a program, by the kernel's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunTime {
    /// How often it ran (`run_cnt`).
    pub runs: u64,
    /// Nanoseconds of all runs together (`run_time_ns`).
    pub ns: u64,
}

impl RunTime {
    /// Nanoseconds of a run.
    pub fn per_run(&self) -> Option<f64> {
        (self.runs > 0).then(|| self.ns as f64 / self.runs as f64)
    }
}

/// A round: each of the two ran for a while, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostRound {
    /// The program of the baseline.
    pub baseline: RunTime,
    /// The program itself.
    pub program: RunTime,
}

/// How long a program runs beside the same program of another build, in one guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostRecord {
    /// The object that is the baseline.
    pub baseline: String,
    /// What made both run, such as `test runs` or `fork, exec`.
    pub by: String,
    /// Why nothing was measured, as a lowercase fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Each round. Noise: it differs from run to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<CostRound>,
}

/// By how much a program takes longer than the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostRatio {
    /// The median of all rounds.
    pub median: f64,
    /// The ends of an interval that holds the true median in 95 of 100 cases or more, regardless of the noise.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// What is to say of a limit for the ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CostVerdict {
    /// It is below the limit beyond noise.
    Within(CostRatio),
    /// It is above the limit beyond noise.
    Exceeds(CostRatio),
    /// The limit lies in the noise.
    TooNoisy(CostRatio),
    /// Too few runs to say anything.
    NotEnough,
}

impl fmt::Display for CostRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} times as long (95 % interval {:.2} to {:.2})", self.median, self.low, self.high)
    }
}

impl CostRecord {
    /// Runs of both, over all rounds: those of the baseline first.
    pub fn totals(&self) -> [RunTime; 2] {
        let add = |all: RunTime, one: RunTime| RunTime {
            runs: all.runs.saturating_add(one.runs),
            ns: all.ns.saturating_add(one.ns),
        };
        self.rounds.iter().fold([RunTime::default(); 2], |[baseline, program], round| {
            [add(baseline, round.baseline), add(program, round.program)]
        })
    }

    /// The ratio of each round, and the interval of the sign test: it takes ranks alone, so that no shape of the noise is assumed. `None` if
    /// there are too few rounds or runs.
    pub fn ratio(&self) -> Option<CostRatio> {
        if self.totals().iter().any(|total| total.runs < LEAST_RUNS) {
            return None;
        }
        let of_round = |round: &CostRound| {
            let (baseline, program) = (round.baseline.per_run()?, round.program.per_run()?);
            (baseline > 0.0).then(|| program / baseline)
        };
        let mut ratios: Vec<f64> = self.rounds.iter().filter_map(of_round).collect();
        if ratios.len() < LEAST_ROUNDS {
            return None;
        }
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        let median = match ratios.len() % 2 {
            0 => f64::midpoint(ratios[middle - 1], ratios[middle]),
            _ => ratios[middle],
        };
        let outside = ranks_outside(ratios.len());
        Some(CostRatio { median, low: ratios[outside], high: ratios[ratios.len() - 1 - outside] })
    }

    /// Whether the program takes at most `limit` times as long as the baseline.
    pub fn verdict(&self, limit: f64) -> CostVerdict {
        match self.ratio() {
            None => CostVerdict::NotEnough,
            Some(ratio) if ratio.low > limit => CostVerdict::Exceeds(ratio),
            Some(ratio) if ratio.high <= limit => CostVerdict::Within(ratio),
            Some(ratio) => CostVerdict::TooNoisy(ratio),
        }
    }
}

impl fmt::Display for CostRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.problem, self.ratio()) {
            (Some(problem), _) => write!(f, "not measured against `{}`: {problem}", self.baseline),
            (None, Some(ratio)) => write!(f, "{ratio} as in `{}`", self.baseline),
            (None, None) => write!(f, "not enough runs to compare with `{}`", self.baseline),
        }
    }
}

/// How many of the smallest, and of the largest, of `count` values may be left out of an interval that holds the median in 95 of 100 cases:
/// of a fair coin's tosses at most as many are heads in 2.5 of 100 cases.
fn ranks_outside(count: usize) -> usize {
    let mut chance = 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut sum, mut heads) = (chance, 0);
    while sum <= 0.025 && heads < count / 2 {
        heads += 1;
        chance *= (count + 1 - heads) as f64 / heads as f64;
        sum += chance;
    }
    // Of a toss with at most `heads - 1` heads the chance was small enough.
    heads.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(ratios: &[u64]) -> CostRecord {
        let round = |percent: &u64| CostRound {
            baseline: RunTime { runs: 100, ns: 100 * 100 },
            program: RunTime { runs: 50, ns: 50 * percent },
        };
        CostRecord { rounds: ratios.iter().map(round).collect(), ..CostRecord::default() }
    }

    #[test]
    fn interval_is_that_of_the_sign_test() {
        // From tables: of 8 values all, of 9 to 11 all but the outermost, of 15 the fourth to the twelfth.
        assert_eq!([6, 8, 9, 11, 12, 15, 20, 30].map(ranks_outside), [0, 0, 1, 1, 2, 3, 5, 9]);
    }

    #[test]
    fn only_what_exceeds_the_limit_beyond_noise_does() {
        let equal = measured(&[98, 101, 100, 99, 102, 100, 97, 103, 100, 100, 99, 101, 100, 100, 250]);
        assert!(matches!(equal.verdict(1.3), CostVerdict::Within(ratio) if ratio.median == 1.0));
        let slow = measured(&[200, 210, 190, 205, 195, 200, 220, 180, 200, 200, 50, 400]);
        assert!(matches!(slow.verdict(1.3), CostVerdict::Exceeds(ratio) if ratio.low > 1.8));
        let noisy = measured(&[50, 60, 90, 100, 120, 140, 160, 180, 200, 220]);
        assert!(matches!(noisy.verdict(1.3), CostVerdict::TooNoisy(_)));
        assert_eq!(measured(&[100; 7]).verdict(1.3), CostVerdict::NotEnough);
        let mut few = measured(&[100; 20]);
        few.rounds.iter_mut().for_each(|round| round.program.runs = 3);
        assert_eq!(few.verdict(1.3), CostVerdict::NotEnough);
        let mut idle = measured(&[100; 20]);
        idle.rounds.iter_mut().for_each(|round| round.baseline = RunTime::default());
        assert_eq!(idle.verdict(1.3), CostVerdict::NotEnough);
        assert_eq!(CostRecord::default().verdict(1.3), CostVerdict::NotEnough);
    }
}

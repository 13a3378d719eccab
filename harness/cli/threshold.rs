//! [`Thresholds`]: how much of the guards has to be proven.

use clap::Args;

use crate::coverage::CoverageFloor;

/// How much of the guards has to be proven, else the exit code is 1.
#[derive(Debug, Clone, Args)]
pub(super) struct Thresholds {
    /// Fail if less than this percentage of guard sides is verified. The `minimum-coverage` of a suite applies, too.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,
    /// Fail if a guard side is verified on no kernel.
    #[arg(long)]
    fail_unproven: bool,
}

impl Thresholds {
    pub fn floor(&self) -> CoverageFloor {
        CoverageFloor { percent: self.fail_under, every_side: self.fail_unproven }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=100.0).contains(&number) {
        true => Ok(number),
        false => Err("a percentage is between 0 and 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_between_0_and_100() {
        assert!(percent("101").is_err() && percent("NaN").is_err() && percent("99.5") == Ok(99.5));
    }
}

//! [`GateLimits`]: what the gate lets pass.

use time::{Date, OffsetDateTime};

use crate::coverage::CoverageFloor;

/// What the gate lets pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateLimits {
    /// By how many percent the verifier may walk through more instructions of a program than in the baseline.
    pub instructions_percent: f64,
    /// How much of the guards has to be proven.
    pub coverage: CoverageFloor,
    /// How many percent of the instruction limit a program may use at most; `None` for any.
    pub instructions_share: Option<f64>,
    /// How many times as long as in the baseline a run may take; `None` for any.
    pub cost_ratio: Option<f64>,
    /// Whether a program that is predicted to fail on a kernel that was not booted is red.
    pub predicted_failures: bool,
    /// The day on which expectations must not have expired.
    pub today: Date,
}

impl GateLimits {
    /// By how many percent a program may grow unless it is said otherwise.
    pub const INSTRUCTIONS_PERCENT: f64 = 10.0;

    /// The usual limits, today.
    pub fn now() -> GateLimits {
        GateLimits {
            instructions_percent: GateLimits::INSTRUCTIONS_PERCENT,
            coverage: CoverageFloor::default(),
            instructions_share: None,
            cost_ratio: None,
            predicted_failures: false,
            today: OffsetDateTime::now_utc().date(),
        }
    }
}

//! [`CoverageFloor`]: how much of the guards has to be proven.

use super::{ProofLevel, Unit};
use crate::record::RunRecord;

/// How much of the guards has to be proven, beside what the suites of a run require.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CoverageFloor {
    /// Percent of the guard sides that have to be verified; `None` for any.
    pub percent: Option<f64>,
    /// Whether each side has to be verified on some kernel.
    pub every_side: bool,
}

impl CoverageFloor {
    /// What these units of a run fall short of, a line each.
    pub fn broken(&self, record: &RunRecord, units: &[Unit]) -> Vec<String> {
        let total: usize = units.iter().map(|unit| unit.sides(record).len()).sum();
        let verified: usize = units.iter().map(|unit| unit.count(record, ProofLevel::Verified)).sum();
        let mut broken = Vec::new();
        // Nothing to prove is proven.
        let reached = if total == 0 { 100.0 } else { 100.0 * verified as f64 / total as f64 };
        let wanted = [(self.percent, "--fail-under"), (record.minimum_coverage, "the suite's minimum-coverage")];
        for (least, name) in wanted {
            if let Some(least) = least.filter(|least| reached < *least) {
                // Rounded down, so that it is never shown as reached.
                let shown = (reached * 10.0).floor() / 10.0;
                broken.push(format!(
                    "{verified} of {total} guard sides are verified ({shown}%), but {name} requires {least}%"
                ));
            }
        }
        if self.every_side && verified < total {
            let missing = total - verified;
            let noun = if missing == 1 { "side of a guard is" } else { "sides of guards are" };
            broken.push(format!(
                "{missing} {noun} verified on no kernel; `corematrix coverage RUN --unproven` lists them"
            ));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ProgramLoading, sample};

    #[test]
    fn programs_that_are_never_loaded_are_not_asked_for() {
        let mut record = crate::report::coverage::tests::record();
        let all = |record: &RunRecord| Unit::all(record).iter().map(|unit| unit.sides(record).len()).sum::<usize>();
        assert!(all(&record) > 0);
        let program = record.objects[0].programs[0].name.clone();
        let never = ProgramLoading { program, autoload: Some(false), ..Default::default() };
        record.objects[0].loading.programs.push(never);
        assert_eq!((all(&record), crate::coverage::sides(&record.objects[0]).count()), (0, 0));
        let floor = CoverageFloor { percent: Some(100.0), every_side: true };
        assert!(floor.broken(&record, &Unit::all(&record)).is_empty());
    }

    #[test]
    fn floor_are_held_against_what_is_verified() {
        let mut record = crate::report::coverage::tests::record();
        let broken = |record: &RunRecord, percent, every_side| {
            CoverageFloor { percent, every_side }.broken(record, &Unit::all(record)).join("\n")
        };
        assert_eq!(broken(&record, None, false), "");
        assert_eq!(broken(&record, Some(50.0), false), "");
        assert_eq!(
            broken(&record, Some(50.1), true),
            "1 of 2 guard sides are verified (50%), but --fail-under requires 50.1%\n\
             1 side of a guard is verified on no kernel; `corematrix coverage RUN --unproven` lists them"
        );
        record.minimum_coverage = Some(80.0);
        assert!(broken(&record, Some(10.0), false).ends_with("the suite's minimum-coverage requires 80%"));
        assert_eq!(broken(&sample::record(), Some(100.0), true), "");
    }
}

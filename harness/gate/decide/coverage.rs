//! How much of the guards has to be proven.

use super::super::decision::{Rule, Weight};
use super::Gate;
use crate::compare::Place;
use crate::coverage::Unit;

impl Gate<'_> {
    /// What suites and limits require to be proven, and is not. Where something could not be judged that may be why, so that no object is blamed.
    pub(super) fn coverage(&mut self) {
        let broken = self.limits.coverage.broken(self.record, &Unit::all(self.record));
        let is_whole = !self.report.decisions.iter().any(|decision| decision.weight == Weight::Infrastructure);
        let weight = if is_whole { Weight::Red } else { Weight::Infrastructure };
        for story in broken {
            let hint = "`corematrix coverage RUN --unproven` shows what would prove them".to_owned();
            self.push(weight, Rule::CoverageTooLow, Place::default(), &story, Some(hint));
        }
    }
}

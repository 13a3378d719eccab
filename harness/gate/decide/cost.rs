//! How much longer programs may run than those of the baseline.

use super::super::decision::{Rule, Weight};
use super::Gate;
use crate::compare::Place;
use crate::record::{CostRecord, CostVerdict, LEAST_ROUNDS, LEAST_RUNS};

/// What to do where nothing can be said.
const QUIETER: &str = "run it again on a machine that does nothing else, or raise the limit";

impl Gate<'_> {
    /// Programs that take longer than they may. What is too noisy, and what was not measured, does not pass in silence.
    pub(super) fn cost(&mut self) {
        let Some(limit) = self.limits.cost_ratio else { return };
        let record = self.record;
        let mut measured = 0;
        for (o, object) in record.objects.iter().enumerate() {
            for (k, kernel) in record.kernels.iter().enumerate() {
                for program in &record.cell(o, k).programs {
                    let Some(cost) = &program.cost else { continue };
                    measured += 1;
                    let place = Place::cell(&object.name, &kernel.name).of_program(&program.name);
                    self.cost_of(cost, limit, place);
                }
            }
        }
        if measured == 0 {
            let story = "no program was measured beside a baseline, so that nothing is known of what it costs";
            let hint = "`corematrix run NEW --against OLD --max-cost RATIO` measures both in turns".to_owned();
            self.push(Weight::Infrastructure, Rule::RunCost, Place::default(), story, Some(hint));
        }
    }

    fn cost_of(&mut self, cost: &CostRecord, limit: f64, place: Place) {
        let baseline = &cost.baseline;
        if let Some(problem) = &cost.problem {
            let story = format!("not measured beside `{baseline}`: {problem}");
            return self.push(Weight::Infrastructure, Rule::RunCost, place, &story, None);
        }
        let rounds = cost.rounds.len();
        match cost.verdict(limit) {
            CostVerdict::Within(_) => {}
            CostVerdict::Exceeds(ratio) => {
                let story = format!(
                    "a run takes {ratio} as in `{baseline}`, by {rounds} rounds, and {limit} times is the limit"
                );
                self.push(Weight::Red, Rule::RunCost, place, &story, None);
            }
            CostVerdict::TooNoisy(ratio) => {
                let story = format!(
                    "too noisy to tell: a run takes {ratio} as in `{baseline}`, and {limit} times is the limit"
                );
                self.push(Weight::Infrastructure, Rule::RunCost, place, &story, Some(QUIETER.to_owned()));
            }
            CostVerdict::NotEnough => {
                let [old, new] = cost.totals();
                let story = format!(
                    "not enough runs: {} of `{baseline}` and {} of its own in {rounds} rounds; it takes {LEAST_RUNS} of each in {LEAST_ROUNDS} rounds",
                    old.runs, new.runs
                );
                let hint = "a suite's `test-run` with `repeat`, or a `command`, makes it run more often".to_owned();
                self.push(Weight::Infrastructure, Rule::RunCost, place, &story, Some(hint));
            }
        }
    }
}

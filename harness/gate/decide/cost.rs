//! How much longer programs may run than those of the baseline.

use super::super::decision::{Rule, Weight};
use super::Gate;
use crate::compare::Place;
use crate::record::{CostRecord, CostVerdict, LEAST_ROUNDS, LEAST_RUNS};

/// What to do where nothing can be said.
const QUIETER: &str = "run it again on an idle machine, or raise the limit";

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
            let story = "no program was measured against a baseline, so the run cost is unknown";
            let hint = "`corematrix run NEW --against OLD --max-cost RATIO` measures both in turns".to_owned();
            self.push(Weight::Infrastructure, Rule::RunCost, Place::default(), story, Some(hint));
        }
    }

    fn cost_of(&mut self, cost: &CostRecord, limit: f64, place: Place) {
        let baseline = &cost.baseline;
        if let Some(problem) = &cost.problem {
            let story = format!("not measured against `{baseline}`: {problem}");
            return self.push(Weight::Infrastructure, Rule::RunCost, place, &story, None);
        }
        let rounds = cost.rounds.len();
        match cost.verdict(limit) {
            CostVerdict::Within(_) => {}
            CostVerdict::Exceeds(ratio) => {
                let story =
                    format!("a run takes {ratio} as in `{baseline}` ({rounds} rounds); the limit is {limit} times");
                self.push(Weight::Red, Rule::RunCost, place, &story, None);
            }
            CostVerdict::TooNoisy(ratio) => {
                let story =
                    format!("too noisy to decide: a run takes {ratio} as in `{baseline}`; the limit is {limit} times");
                self.push(Weight::Infrastructure, Rule::RunCost, place, &story, Some(QUIETER.to_owned()));
            }
            CostVerdict::NotEnough => {
                let [old, new] = cost.totals();
                let story = format!(
                    "not enough runs: {} of `{baseline}` and {} of the new build in {rounds} rounds; {LEAST_RUNS} of \
    each in {LEAST_ROUNDS} rounds are required",
                    old.runs, new.runs
                );
                let hint = "make it run more often with `test-run` and `repeat`, or `command`, in a suite".to_owned();
                self.push(Weight::Infrastructure, Rule::RunCost, place, &story, Some(hint));
            }
        }
    }
}

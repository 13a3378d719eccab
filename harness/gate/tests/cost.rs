use super::*;
use crate::record::{CostRecord, CostRound, RunTime};

fn measured(ratios: &[u64]) -> Option<CostRecord> {
    let round = |percent: &u64| CostRound {
        baseline: RunTime { runs: 100, ns: 100 * 100 },
        program: RunTime { runs: 100, ns: 100 * percent },
    };
    let rounds = ratios.iter().map(round).collect();
    Some(CostRecord { baseline: "old".to_owned(), by: "test runs".to_owned(), problem: None, rounds })
}

#[test]
fn what_takes_longer_beyond_noise_is_red_and_what_cannot_be_told_is_no_pass() {
    let judged = |cost: Option<CostRecord>, most| {
        let mut record = baseline();
        record.cells[0].programs[0].cost = cost;
        let limits = GateLimits { cost_ratio: most, ..limits() };
        let (code, lines) = decided(&decide(&record, Some(&baseline()), &Expectations::default(), &limits));
        format!("{code}\n{lines}")
    };
    let problem = CostRecord {
        baseline: "old".to_owned(),
        problem: Some("it does not load".to_owned()),
        ..CostRecord::default()
    };
    let all = [
        judged(measured(&[200; 10]), None),
        judged(measured(&[100; 10]), Some(1.3)),
        judged(measured(&[200; 10]), Some(1.3)),
        judged(measured(&[50, 80, 100, 110, 120, 140, 160, 170, 200, 300]), Some(1.3)),
        judged(measured(&[100; 3]), Some(1.3)),
        judged(Some(problem), Some(1.3)),
        judged(None, Some(1.3)),
    ];
    insta::assert_snapshot!(all.join("\n---\n"), @"
    0

    ---
    0

    ---
    1
    Red run cost: `a/first` on 5.10: a run takes 2.00 times as long (95 % interval 2.00 to 2.00) as in `old` (10 rounds); the limit is 1.3 times
    ---
    3
    Infrastructure run cost: `a/first` on 5.10: too noisy to decide: a run takes 1.30 times as long (95 % interval 0.80 to 2.00) as in `old`; the limit is 1.3 times
    ---
    3
    Infrastructure run cost: `a/first` on 5.10: not enough runs: 300 of `old` and 300 of the new build in 3 rounds; 64 of each in 8 rounds are required
    ---
    3
    Infrastructure run cost: `a/first` on 5.10: not measured against `old`: it does not load
    ---
    3
    Infrastructure run cost: the run: no program was measured against a baseline, so the run cost is unknown
    ");
}

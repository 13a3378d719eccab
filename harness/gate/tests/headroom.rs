use super::*;
use crate::record::{Limit, LimitUse};

fn used(used: u64) -> Vec<LimitUse> {
    vec![LimitUse { limit: Limit::Instructions, used, most: 1_000_000 }]
}

#[test]
fn what_uses_too_much_of_the_instruction_limit_is_red_where_it_is_worst_and_what_is_unknown_is_no_pass() {
    let mut record = baseline();
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        program.headroom = used(1_000);
    }
    let judged = |record: &RunRecord, most| {
        let limits = GateLimits { instructions_share: most, ..limits() };
        let (code, lines) = decided(&decide(record, Some(&baseline()), &Expectations::default(), &limits));
        format!("{code}\n{lines}")
    };
    assert_eq!(judged(&record, Some(50.0)), "0\n");
    record.cells[1].programs[0].headroom = used(700_000);
    record.cells[2].programs[0].headroom = used(870_000);
    // What failed is no question of headroom.
    record.cells[0].programs[1].headroom = used(1_000_000);
    let unknown = |record: &RunRecord| {
        let mut record = record.clone();
        record.cells[3].programs[0].headroom.clear();
        record
    };
    let all = [
        judged(&record, None),
        judged(&record, Some(50.0)),
        judged(&record, Some(87.0)),
        judged(&unknown(&record), Some(90.0)),
        judged(&unknown(&record), None),
    ];
    insta::assert_snapshot!(all.join("\n---\n"), @"
    0

    ---
    1
    Red too many instructions: `a/first` on 6.12: uses 87 % of the instruction limit (870000 of 1000000 instructions); the limit is 50 %; also on 1 other kernel
    ---
    0

    ---
    3
    Infrastructure too many instructions: `b`: the share of the instruction limit is unknown for 1 program: the loader left no verifier statistics
    ---
    0
    ");
}

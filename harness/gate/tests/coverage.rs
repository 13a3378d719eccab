use super::*;

#[test]
fn guards_that_are_not_proven_are_red_as_suites_and_limits_require_and_blame_no_object_for_the_machine() {
    let mut record = crate::report::coverage::tests::record();
    // What fails is expected here.
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        (program.verdict, program.cause, program.reason) = (Verdict::Loaded, None, None);
    }
    let judged = |record: &RunRecord, coverage| {
        let limits = GateLimits { coverage, ..limits() };
        let (code, lines) = decided(&decide(record, None, &Expectations::default(), &limits));
        format!("{code}\n{lines}")
    };
    let none = CoverageFloor::default();
    let mut of_suite = record.clone();
    of_suite.minimum_coverage = Some(80.0);
    let mut unjudged = of_suite.clone();
    unjudged.cells[1].programs[0].verdict = Verdict::HarnessError;
    let all = [
        judged(&record, none),
        judged(&record, CoverageFloor { percent: Some(50.0), every_side: false }),
        judged(&record, CoverageFloor { percent: Some(50.1), every_side: true }),
        judged(&of_suite, none),
        judged(&unjudged, none),
    ];
    insta::assert_snapshot!(all.join("\n---\n"), @"
    0

    ---
    0

    ---
    1
    Red coverage too low: the run: 1 of 2 guard sides are verified (50%), but --fail-under requires 50.1%
    Red coverage too low: the run: 1 side of a guard is verified on no kernel; `corematrix coverage RUN --unproven` lists them
    ---
    1
    Red coverage too low: the run: 1 of 2 guard sides are verified (50%), but the suite's minimum-coverage requires 80%
    ---
    3
    Infrastructure infrastructure: `a/probe` on 6.12: infrastructure failure
    Infrastructure coverage too low: the run: 1 of 2 guard sides are verified (50%), but the suite's minimum-coverage requires 80%
    ");
}

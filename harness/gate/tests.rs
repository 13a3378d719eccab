//! Each kind of problem separately, and what is not a problem.

mod alternatives;
mod cost;
mod coverage;
mod expected;
mod headroom;
mod kernel_warning;
mod regression;

use time::{Date, Month};

use super::*;
use crate::coverage::CoverageFloor;
use crate::record::Cause;
use crate::record::Statistics;
use crate::record::Verdict;
use crate::record::exit_code;
use crate::record::sample;
use crate::record::{KernelState, RunRecord, WholeLoad};
use crate::record::{KernelWarning, WarningKind};

/// Two objects on three kernels; `a/second` fails on 5.10.
fn baseline() -> RunRecord {
    let kernels = ["5.10", "6.1", "6.12"].map(sample::kernel).to_vec();
    let objects = vec![
        sample::object("a", &[("first", "kprobe/x"), ("second", "fentry/y")]),
        sample::object("b", &[("third", "kprobe/z")]),
    ];
    let mut record = sample::assemble(kernels, objects, |o, p, k| match (o, p, k) {
        (0, 1, 0) => (Verdict::AttachTargetMissing, Some("no `y` here".to_owned())),
        _ => (Verdict::Loaded, None),
    });
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        program.statistics = Some(Statistics { insns_processed: Some(1000), ..Statistics::default() });
    }
    record
}

fn warning(program: Option<&str>, kind: WarningKind, headline: &str) -> KernelWarning {
    let program = program.map(str::to_owned);
    KernelWarning { program, kind, headline: headline.to_owned(), text: format!("cut here\n{headline}"), count: 1 }
}

fn limits() -> GateLimits {
    let today = Date::from_calendar_date(2027, Month::March, 1).unwrap();
    GateLimits {
        instructions_percent: 10.0,
        coverage: CoverageFloor::default(),
        instructions_share: None,
        cost_ratio: None,
        predicted_failures: false,
        today,
    }
}

fn expectations(text: &str) -> Expectations {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.toml");
    std::fs::write(&path, text).unwrap();
    let mut read = Expectations::read(&path).unwrap();
    let scopes = read.failures.iter_mut().map(|known| &mut known.scope);
    for scope in scopes.chain(read.warnings.iter_mut().map(|known| &mut known.scope)) {
        scope.origin = scope.origin.rsplit('/').next().unwrap().to_owned();
    }
    read
}

/// The exit code, and what weighs, as text.
fn decided(report: &GateReport) -> (u8, String) {
    let lines: Vec<String> = report
        .decisions
        .iter()
        .map(|decision| format!("{:?} {}: {}", decision.weight, decision.rule.label(), decision.message))
        .collect();
    (report.exit_code(), lines.join("\n"))
}

fn with(change: impl FnOnce(&mut RunRecord)) -> (u8, String) {
    let mut record = baseline();
    change(&mut record);
    decided(&decide(&record, Some(&baseline()), &Expectations::default(), &limits()))
}

#[test]
fn what_is_predicted_is_red_only_where_that_is_asked_for() {
    let record = crate::record::sample::predicted();
    let weighed = |expectations: &Expectations, predicted_failures: bool| {
        let limits = GateLimits { predicted_failures, ..limits() };
        let report = decide(&record, None, expectations, &limits);
        let mine = report.decisions.iter().filter(|decision| decision.rule == Rule::PredictedFailure);
        let lines: Vec<String> =
            mine.map(|one| format!("{:?} predicted failure: {}", one.weight, one.message)).collect();
        lines
    };
    let lines = weighed(&Expectations::default(), false);
    assert_eq!(lines, ["Notice predicted failure: kernel 5.4: 5 programs are predicted to fail, from BTF alone"]);
    let lines = weighed(&Expectations::default(), true);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert_eq!(
        lines[1],
        "Red predicted failure: `execsnoop/vfs_read_exit` on 5.4: predicted from BTF: attach target missing: \
    `vfs_read` is not in the kernel itself"
    );
    let known = "[[expect]]\nobject = \"execsnoop\"\nkernel = \"5.4\"\nreason = \"r\"\n";
    assert_eq!(weighed(&expectations(known), true).len(), 2);
}

#[test]
fn every_rule_that_turns_it_red_has_its_case() {
    // A rule that is added has to be put into one of the lists, and into the tests above or below.
    let weight = |rule: Rule| match rule {
        Rule::Failure
        | Rule::VerdictWorse
        | Rule::CauseChanged
        | Rule::NotWhole
        | Rule::NotServed
        | Rule::CellLost
        | Rule::CoverageLost
        | Rule::CoverageTooLow
        | Rule::InstructionsGrew
        | Rule::NewDanger
        | Rule::KernelWarning
        | Rule::TooManyInstructions
        | Rule::RunCost
        | Rule::ExpectationExpired => Weight::Red,
        Rule::Infrastructure => Weight::Infrastructure,
        // Red where that is requested.
        Rule::PredictedFailure => Weight::Notice,
        Rule::UnexpectedPass | Rule::ExpectationUnused | Rule::Flaky | Rule::Improved => Weight::Notice,
    };
    let cases = [
        include_str!("tests.rs"),
        include_str!("tests/alternatives.rs"),
        include_str!("tests/cost.rs"),
        include_str!("tests/coverage.rs"),
        include_str!("tests/expected.rs"),
        include_str!("tests/headroom.rs"),
        include_str!("tests/kernel_warning.rs"),
        include_str!("tests/regression.rs"),
    ]
    .concat();
    for rule in [
        Rule::Failure,
        Rule::VerdictWorse,
        Rule::CauseChanged,
        Rule::NotWhole,
        Rule::NotServed,
        Rule::CellLost,
        Rule::CoverageLost,
        Rule::CoverageTooLow,
        Rule::InstructionsGrew,
        Rule::TooManyInstructions,
        Rule::RunCost,
        Rule::NewDanger,
        Rule::KernelWarning,
        Rule::ExpectationExpired,
        Rule::Infrastructure,
        Rule::PredictedFailure,
        Rule::UnexpectedPass,
        Rule::ExpectationUnused,
        Rule::Flaky,
        Rule::Improved,
    ] {
        let line = format!("{:?} {}: ", weight(rule), rule.label());
        assert!(cases.contains(&line), "no test says `{line}`");
    }
    let (code, text) = with(|record| record.cells[0].programs[1].verdict = Verdict::Loaded);
    assert_eq!(
        (code, text.as_str()),
        (exit_code::GOOD, "Notice improved: `a/second` on 5.10: loads; in the baseline: attach target missing")
    );
}

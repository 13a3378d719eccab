//! What the gate decided, as cases: [`GatedProgram`] is what it says of one program on one kernel, [`suite`] has all else.

use junit_report::{TestCase, TestCaseBuilder, TestSuite};
use time::{Duration, OffsetDateTime};

use super::{attribute, cdata, classed};
use crate::compare::Place;
use crate::gate::{Decision, Excuse, GateReport, Rule, Weight};

/// What the gate says of one program on one kernel.
#[derive(Default)]
pub(super) struct GatedProgram<'a> {
    /// What makes it red.
    pub red: Vec<&'a Decision>,
    /// Why a failure of it passes.
    pub excuse: Option<&'a Excuse>,
}

impl<'a> GatedProgram<'a> {
    pub fn of(gate: &'a GateReport, place: &Place) -> GatedProgram<'a> {
        GatedProgram {
            red: gate
                .of_weight(Weight::Red)
                .filter(|decision| is_of_program(decision) && decision.place == *place)
                .collect(),
            excuse: gate.excused.iter().find(|excuse| excuse.rule == Rule::Failure && excuse.place == *place),
        }
    }

    /// The case of a program that the gate takes for red.
    pub fn failure(&self, name: &str, time: Duration) -> TestCaseBuilder {
        let kind = self.red.first().map_or("", |decision| decision.rule.label());
        let messages: Vec<&str> = self.red.iter().map(|decision| decision.message.as_str()).collect();
        TestCaseBuilder::failure(name, time, kind, &attribute(&messages.join("; ")))
    }
}

/// Whether a case of a program says it.
fn is_of_program(decision: &Decision) -> bool {
    let Place { object, program, kernel } = &decision.place;
    // An expectation may be about the same names, and what is lost has no case.
    object.is_some()
        && program.is_some()
        && kernel.is_some()
        && !matches!(decision.rule, Rule::ExpectationExpired | Rule::ExpectationUnused | Rule::UnexpectedPass)
}

/// A case for each decision that is about no single program of the run; `None` if there is none.
pub(super) fn suite(gate: &GateReport, started: OffsetDateTime) -> Option<TestSuite> {
    let cases: Vec<TestCase> = gate.decisions.iter().filter(|decision| !is_of_program(decision)).map(case).collect();
    if cases.is_empty() {
        return None;
    }
    let mut suite = TestSuite::new("gate");
    suite.set_timestamp(started);
    suite.add_testcases(cases);
    Some(suite)
}

fn case(decision: &Decision) -> TestCase {
    let (name, message) = (attribute(&decision.place.to_string()), attribute(&decision.message));
    let kind = decision.rule.label();
    let mut case = match decision.weight {
        Weight::Red => TestCaseBuilder::failure(&name, Duration::ZERO, kind, &message),
        Weight::Infrastructure => TestCaseBuilder::error(&name, Duration::ZERO, kind, &message),
        Weight::Notice => TestCaseBuilder::success(&name, Duration::ZERO),
    };
    match (decision.weight, &decision.hint) {
        (Weight::Notice, _) => drop(case.set_system_out(&cdata(&decision.message))),
        (_, Some(hint)) => drop(case.set_trace(&cdata(&format!("hint: {hint}")))),
        (_, None) => {}
    }
    classed(case, kind)
}

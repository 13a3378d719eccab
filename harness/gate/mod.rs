//! The gate: whether a run passes. [`decide`] weighs a record against what is expected of it and against a
//! baseline; every [`Decision`] names the cell and the reason.

mod decide;
mod decision;
mod expectation;
mod limits;
mod scope;
mod written_name;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use decide::decide;
pub use decision::{Decision, Excuse, GateOutcome, GateReport, Rule, Weight};
pub use expectation::{
    Expectation, ExpectationError, Expectations, WarningAllowance, WrittenAllowance, WrittenExpectation,
};
pub use limits::GateLimits;
pub use scope::{Scope, TableError};

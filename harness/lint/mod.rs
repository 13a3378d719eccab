//! [`LintReport`]: what is wrong, or may be, in objects, on kernels of which only the types are known. Nothing is booted; every finding
//! has its line in the source.

mod constant_guard;
mod finding;
mod hint;
mod kernel_span;
mod message;
mod report;
mod rule;
mod sighting;
mod subject;

pub use finding::{LintFinding, LintedObject, UnreadKernel};
pub use report::LintReport;
pub use rule::{LintLevel, LintRule};
pub use subject::LintSubject;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

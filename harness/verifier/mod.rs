//! Verifier logs, as kernels from 5.10 to 7.3 print them.
//!
//! [`Statistics`](crate::record::Statistics) and [`VerifierFailure`] are what a log says, [`fold()`] makes a long one readable, [`log_file`] keeps it whole on disk.
//! Kernels change their wording without notice: what is not known is skipped, and no text makes these readers fail.

mod explanation;
mod failure;
mod fold;
mod hottest_line;
mod line;
pub mod log_file;
mod moment;
mod parting;
mod stack;
mod statistics;

#[cfg(test)]
mod tests;

pub use explanation::VerifierExplanation;
pub use failure::VerifierFailure;
pub use fold::{Folded, fold};
pub use hottest_line::HottestLine;
pub use moment::{Moment, Register, Visit};
pub use parting::{LoggedSource, Parting, Said, WalkStep};
pub use stack::{StackRounding, deepest_stack};
pub use statistics::statistics;

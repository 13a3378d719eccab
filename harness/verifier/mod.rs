//! Verifier logs, as kernels from 5.10 to 7.3 print them.
//!
//! [`Statistics`](crate::record::Statistics) and [`Failure`] are what a log says, [`fold()`] makes a long one readable, [`store`] keeps it whole on disk.
//! Kernels change their wording without notice: what is not known is skipped, and no text makes these readers fail.

mod explanation;
mod failure;
mod fold;
mod line;
mod moment;
mod parting;
mod statistics;
pub mod store;

#[cfg(test)]
mod tests;

pub use explanation::Explanation;
pub use failure::Failure;
pub use fold::{Folded, fold};
pub use moment::{Moment, Register, Visit};
pub use parting::{Parting, Said, SourceLine, Step};
pub use statistics::statistics;

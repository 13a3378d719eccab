//! Fallback-path coverage: the guards of an object, and which of their sides have been proven on which kernel.
//!
//! [`Analysis`] finds the guards in an object's own bytes; [`Analysis::proof`] holds them against what one kernel made of the object.

mod analysis;
mod answer;
mod cell_coverage;
mod code;
mod context;
mod executed;
mod fixed_read;
mod floor;
mod flow;
mod insn;
mod line_table;
mod program;
mod reach;
mod survival;
mod union;
mod value;

pub use analysis::Analysis;
pub use cell_coverage::ObjectFacts;
pub use fixed_read::FixedRead;
pub use floor::CoverageFloor;
pub use reach::{KfuncCall, Reached};
pub use survival::ProgramEvidence;
pub use union::{ProofLevel, Unit, on_kernel, proven, sides};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

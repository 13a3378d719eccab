//! Fallback-path coverage: the guards of an object, and which of their sides have been proven on which kernel.
//!
//! [`Analysis`] finds the guards in an object's own bytes.

mod analysis;
mod code;
mod flow;
mod guard;
mod insn;
mod line_set;
mod line_table;
mod program;
mod value;

pub use analysis::Analysis;
pub use guard::{GuardKind, GuardRecord, SideRecord};
pub use line_set::LineSet;
pub use line_table::{LineTable, SourceLine};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

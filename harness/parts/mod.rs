//! One matrix on several machines: a [`Partition`](crate::record::Partition) says which objects a run takes, [`merge`] puts the
//! runs together again, and [`Schedule`](crate::plan::Schedule) lists what a CI service has to start.
//!
//! Parts take whole objects: what only all kernels together show of an object (where it is in danger, what to advise) is then
//! known in one part, and the merged report is the one that an undivided run writes.

mod merge;
mod partition;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use merge::{MergeError, merge};
pub use partition::split;

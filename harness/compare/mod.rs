//! What differs between two runs, or between two kernels of one run: [`differences`] finds every [`Difference`], cell by cell.
//!
//! Cells are paired by name, so the order of kernels and objects does not matter; times and notes are not looked at.

mod difference;
mod pair;
mod runs;
mod sides;

pub use difference::{Change, Difference, Place, growth};
pub(crate) use pair::Pair;
pub use runs::{differences, one_kernel};

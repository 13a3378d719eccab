//! What differs between two runs, between two kernels of one run, or between two objects: [`differences`] finds every [`Difference`], cell by cell.
//!
//! Cells are paired by name, so the order of kernels and objects does not matter; times and notes are not looked at.

mod difference;
mod loaders;
mod objects;
mod pair;
mod runs;
mod sides;

pub use difference::{Change, Difference, Place, growth};
pub use loaders::{LoaderDifference, LoaderSubject, loader_differences};
pub use objects::{ObjectFigures, ObjectGrid, ProgramFigures, ProgramRow, one_object};
pub(crate) use pair::Pair;
pub use runs::{differences, moved_kernels, one_kernel};

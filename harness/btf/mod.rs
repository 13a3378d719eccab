//! What can be done with the BTF of kernels besides loading objects: look things up in it, write it as C, cut it down.
//!
//! The readers are in [`crate::object::btf`]. Nothing here knows of stores or machines.

mod difference;
mod find;
mod header;
mod minimal;

pub use difference::{PartChange, TypeChange, TypeDifference, TypePart};
pub use find::{Hit, Query, suggestions};
pub use header::{HeaderError, vmlinux_h};
pub use minimal::minimal;

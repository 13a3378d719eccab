//! [`COMPLAINTS`]: what the verifier says when it refuses a program, and the cause that each text stands for.
//!
//! The texts are those of kernels from 5.4 to 7.3. The first row that fits counts, so the more specific ones come first. A row fits a
//! line that has all its pieces in this order.

mod form;
mod kernel;
mod memory;

use crate::record::Cause;

/// Pieces of a line, and the cause that it stands for.
pub(super) type Row = (&'static [&'static str], Cause);

/// Complaints of the verifier. libbpf rewrites calls that it poisoned only where they stand in the last lines of a log.
///
/// In the order in which they are tried.
pub(super) const COMPLAINTS: [&[Row]; 3] = [kernel::KERNEL, form::FORM, memory::MEMORY];

/// The classes of the explanations that kernels from 7.x on give, for complaints that no row knows.
pub(super) const CLASSES: &[(&str, Cause)] = &[
    ("Resource Lifetime Safety", Cause::MemoryLeak),
    ("Memory Safety", Cause::MemoryOther),
    ("Register Type Safety", Cause::MemoryOther),
    ("Call Type Safety", Cause::MemoryOther),
    ("Execution Context Safety", Cause::MemoryOther),
    ("Policy", Cause::ForbiddenHelper),
];

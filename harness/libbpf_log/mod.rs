//! Reads what libbpf logs of a whole object: relocations, externs, poisoned instructions. The formats are those of libbpf 1.7, the
//! version that is linked in.

pub mod externs;
pub mod poison;
pub mod relocations;

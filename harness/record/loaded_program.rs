//! [`LoadedProgram`]: what a kernel made of a program.

use serde::{Deserialize, Serialize};

/// What the kernel says of a program that it loaded, from `bpf_prog_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadedProgram {
    /// Size of the translated program in bytes.
    pub xlated_bytes: u32,
    /// Size of the machine code in bytes; 0 if it was not compiled.
    pub jited_bytes: u32,
}

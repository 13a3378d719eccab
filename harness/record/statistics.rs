//! [`Statistics`]: the numbers at the end of a verifier log.

use serde::{Deserialize, Serialize};

/// The numbers at the end of a verifier log. Level 1 has only those of the `processed` line; level 4 has the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Statistics {
    /// Instructions that the verifier walked through, on all paths.
    pub insns_processed: Option<u64>,
    /// How many it would walk through at most.
    pub insn_limit: Option<u64>,
    /// The most states it kept for one instruction.
    pub max_states_per_insn: Option<u64>,
    /// States it kept in all.
    pub total_states: Option<u64>,
    /// States it kept at a time.
    pub peak_states: Option<u64>,
    /// The longest chain of states through which it marked a register as read.
    pub mark_read: Option<u64>,
    /// Bytes of stack of the program and each of its subprograms.
    pub stack_depth: Vec<u32>,
    /// Bytes of stack of the deepest chain of calls; known from 7.x on.
    pub stack_depth_max: Option<u32>,
    /// Microseconds. Noise: it differs from run to run.
    pub verification_time_us: Option<u64>,
    /// The program's functions; known from 7.x on.
    pub subprograms: Vec<Subprogram>,
}

/// One function of a program: `subprog 0 (on_exec) main insns_self 10 insns_total 42 stack 8`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subprogram {
    /// Its name.
    pub name: String,
    /// Instructions walked through in the function itself.
    pub insns_self: u64,
    /// Instructions walked through in it and what it calls.
    pub insns_total: u64,
    /// Bytes of stack.
    pub stack: u32,
}

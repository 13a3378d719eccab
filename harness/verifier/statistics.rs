//! [`Statistics`]: the numbers at the end of a verifier log.

use serde::{Deserialize, Serialize};

use super::line::Line;

/// The numbers at the end of a verifier log. Level 1 tells only those of the `processed` line; level 4 tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Bytes of stack of the deepest chain of calls; told from 7.x on.
    pub stack_depth_max: Option<u32>,
    /// Microseconds. Noise: it differs from run to run.
    pub verification_time_us: Option<u64>,
    /// The program's functions; told from 7.x on.
    pub subprograms: Vec<Subprogram>,
}

/// One function of a program: `subprog 0 (on_exec) main insns_self 10 insns_total 42 stack 8`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl Statistics {
    /// Reads the numbers at the end of `log`; what is not there stays empty.
    pub fn parse(log: &str) -> Statistics {
        let mut statistics = Statistics::default();
        // From the end: nothing but the last lines has to be looked at, however long the log is.
        let trailer = log.lines().rev().skip_while(|line| line.trim().is_empty());
        for line in trailer.take_while(|line| Line::read(line) == Line::Statistics) {
            statistics.take(line.trim());
        }
        statistics.subprograms.reverse();
        if statistics.stack_depth.is_empty() {
            statistics.stack_depth = statistics.subprograms.iter().map(|subprogram| subprogram.stack).collect();
        }
        statistics
    }

    fn take(&mut self, line: &str) {
        if let Some(depth) = line.strip_prefix("stack depth max ") {
            self.stack_depth_max = depth.parse().ok();
        } else if let Some(depths) = line.strip_prefix("stack depth ") {
            self.stack_depth = depths.split('+').map_while(|depth| depth.trim().parse().ok()).collect();
        } else if let Some(rest) = line.strip_prefix("subprog ") {
            self.subprograms.extend(Subprogram::parse(rest));
        } else {
            self.insns_processed = number(line, "processed ").or(self.insns_processed);
            self.insn_limit = number(line, "(limit ").or(self.insn_limit);
            self.max_states_per_insn = number(line, "max_states_per_insn ").or(self.max_states_per_insn);
            self.total_states = number(line, "total_states ").or(self.total_states);
            self.peak_states = number(line, "peak_states ").or(self.peak_states);
            self.mark_read = number(line, "mark_read ").or(self.mark_read);
            self.verification_time_us = number(line, "verification time ").or(self.verification_time_us);
        }
    }
}

impl Subprogram {
    fn parse(rest: &str) -> Option<Subprogram> {
        let (_, rest) = rest.split_once('(')?;
        let (name, rest) = rest.split_once(')')?;
        Some(Subprogram {
            name: name.to_owned(),
            insns_self: number(rest, "insns_self ")?,
            insns_total: number(rest, "insns_total ")?,
            stack: number(rest, " stack ")?.try_into().ok()?,
        })
    }
}

/// The number behind `key`.
fn number(line: &str, key: &str) -> Option<u64> {
    let (_, rest) = line.split_once(key)?;
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_old_and_new_kernels() {
        let old = "9: (95) exit\nverification time 87 usec\nstack depth 8+304\nprocessed 9 insns (limit 1000000) \
                   max_states_per_insn 0 total_states 1 peak_states 2 mark_read 3\n\n";
        let old = Statistics::parse(old);
        assert_eq!((old.insns_processed, old.insn_limit), (Some(9), Some(1_000_000)));
        assert_eq!((old.total_states, old.peak_states, old.mark_read), (Some(1), Some(2), Some(3)));
        assert_eq!((old.stack_depth.as_slice(), old.verification_time_us), ([8, 304].as_slice(), Some(87)));

        let new = "stack depth max 312\nsubprog 0 (on_exec) main insns_self 20 insns_total 35 stack 8\n\
                   subprog 1 (deep) static insns_self 15 insns_total 15 stack 304\nprocessed 35 insns (limit 1000000)";
        let new = Statistics::parse(new);
        assert_eq!((new.stack_depth.as_slice(), new.stack_depth_max), ([8, 304].as_slice(), Some(312)));
        assert_eq!((new.subprograms[1].name.as_str(), new.subprograms[0].insns_total), ("deep", 35));
    }

    #[test]
    fn log_without_numbers_has_none() {
        assert_eq!(Statistics::parse("processed pork\nstack depth ++\n0: (95) exit\n"), Statistics::default());
        assert_eq!(Statistics::parse(""), Statistics::default());
        let huge = Statistics::parse("processed 99999999999999999999999 insns");
        assert_eq!(huge.insns_processed, None);
    }
}

//! [`statistics`] reads [`Statistics`]: the numbers at the end of a verifier log.

use super::line::LogLine;
use crate::record::{Statistics, Subprogram};

/// Reads the numbers at the end of `log`; what is not there stays empty.
pub fn statistics(log: &str) -> Statistics {
    let mut statistics = Statistics::default();
    // From the end: nothing but the last lines has to be looked at, however long the log is.
    let trailer = log.lines().rev().skip_while(|line| line.trim().is_empty());
    for line in trailer.take_while(|line| LogLine::read(line) == LogLine::Statistics) {
        take(&mut statistics, line.trim());
    }
    statistics.subprograms.reverse();
    if statistics.stack_depth.is_empty() {
        statistics.stack_depth = statistics.subprograms.iter().map(|subprogram| subprogram.stack).collect();
    }
    statistics
}

fn take(statistics: &mut Statistics, line: &str) {
    if let Some(depth) = line.strip_prefix("stack depth max ") {
        statistics.stack_depth_max = depth.parse().ok();
    } else if let Some(depths) = line.strip_prefix("stack depth ") {
        statistics.stack_depth = depths.split('+').map_while(|depth| depth.trim().parse().ok()).collect();
    } else if let Some(rest) = line.strip_prefix("subprog ") {
        statistics.subprograms.extend(subprogram(rest));
    } else {
        statistics.insns_processed = number(line, "processed ").or(statistics.insns_processed);
        statistics.insn_limit = number(line, "(limit ").or(statistics.insn_limit);
        statistics.max_states_per_insn = number(line, "max_states_per_insn ").or(statistics.max_states_per_insn);
        statistics.total_states = number(line, "total_states ").or(statistics.total_states);
        statistics.peak_states = number(line, "peak_states ").or(statistics.peak_states);
        statistics.mark_read = number(line, "mark_read ").or(statistics.mark_read);
        statistics.verification_time_us = number(line, "verification time ").or(statistics.verification_time_us);
    }
}

fn subprogram(rest: &str) -> Option<Subprogram> {
    let (_, rest) = rest.split_once('(')?;
    let (name, rest) = rest.split_once(')')?;
    Some(Subprogram {
        name: name.to_owned(),
        insns_self: number(rest, "insns_self ")?,
        insns_total: number(rest, "insns_total ")?,
        stack: number(rest, " stack ")?.try_into().ok()?,
    })
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
        let old = statistics(old);
        assert_eq!((old.insns_processed, old.insn_limit), (Some(9), Some(1_000_000)));
        assert_eq!((old.total_states, old.peak_states, old.mark_read), (Some(1), Some(2), Some(3)));
        assert_eq!((old.stack_depth.as_slice(), old.verification_time_us), ([8, 304].as_slice(), Some(87)));

        let new = "stack depth max 312\nsubprog 0 (on_exec) main insns_self 20 insns_total 35 stack 8\n\
                   subprog 1 (deep) static insns_self 15 insns_total 15 stack 304\nprocessed 35 insns (limit 1000000)";
        let new = statistics(new);
        assert_eq!((new.stack_depth.as_slice(), new.stack_depth_max), ([8, 304].as_slice(), Some(312)));
        assert_eq!((new.subprograms[1].name.as_str(), new.subprograms[0].insns_total), ("deep", 35));
    }

    #[test]
    fn log_without_numbers_has_none() {
        assert_eq!(statistics("processed pork\nstack depth ++\n0: (95) exit\n"), Statistics::default());
        assert_eq!(statistics(""), Statistics::default());
        let huge = statistics("processed 99999999999999999999999 insns");
        assert_eq!(huge.insns_processed, None);
    }
}

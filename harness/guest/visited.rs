//! [`read`]: which instructions the verifier visited, from its log.

/// A program for which the verifier processed more has a log of many megabytes.
const MOST_PROCESSED: u64 = 20_000;
/// How many lines at the end of a log are looked at: newer kernels write one for each subprogram behind that of all.
const TRAILER: usize = 512;
/// More instructions than the kernel takes.
const MOST_INSNS: usize = 1 << 20;

/// Whether the statistics in a log promise that a full log is bearable.
pub fn is_small(log: &str) -> bool {
    processed(log).is_some_and(|processed| processed <= MOST_PROCESSED)
}

/// How many instructions the verifier processed, by the line near the end of its log: `processed 10 insns (limit 1000000) ...`.
fn processed(log: &str) -> Option<u64> {
    let line = log.lines().rev().take(TRAILER).find_map(|line| line.strip_prefix("processed "))?;
    line.split(' ').next()?.parse().ok()
}

/// Reads a full log: one bit for each instruction, the lowest first. An instruction is a line such as `12: (b7) r1 = 1`.
pub fn read(log: &str) -> Vec<u8> {
    let mut bits = Vec::new();
    let mut lines = log.lines().peekable();
    // Since 7.1 or so the verifier analyses the whole program first and prints every instruction of it alike. What it then visits
    // begins with a state.
    if log.lines().any(is_state) {
        while lines.next_if(|line| !is_state(line)).is_some() {}
    }
    for line in lines {
        let Some((number, rest)) = line.split_once(": (") else { continue };
        let is_code =
            rest.get(..3).is_some_and(|code| code.ends_with(')') && u8::from_str_radix(&code[..2], 16).is_ok());
        let Some(insn) = number.parse::<usize>().ok().filter(|&insn| is_code && insn < MOST_INSNS) else { continue };
        if bits.len() <= insn / 8 {
            bits.resize(insn / 8 + 1, 0);
        }
        bits[insn / 8] |= 1u8 << (insn % 8);
    }
    bits
}

/// Whether a line is the state before an instruction: `0: R1=ctx() R10=fp0`.
fn is_state(line: &str) -> bool {
    let Some((number, rest)) = line.split_once(':') else { return false };
    let state = rest.trim_start();
    number.bytes().all(|byte| byte.is_ascii_digit()) && (state.starts_with('R') || state.starts_with("frame"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_analysed_is_not_visited() {
        let log = "func#0 @0\nsubprog#0 naive:\n  1: (bf) r6 = r10\tr6: _ -> fp0+0\n120: (79) r1 = *(u64 *)(r10 -24)\n\
            Live regs before insn:\n      0: .1........ (b7) r1 = 1\n0: R1=ctx() R10=fp0\n0: (b7) r1 = 1   ; R1=1\n";
        assert_eq!(read(log), [1]);
    }

    #[test]
    fn visited_instructions_are_read_from_logs_of_all_kernels() {
        let log = "func#0 @0\n0: R1=ctx() R10=fp0\n; int naive(void *ctx) @ a.c:3\n0: (b7) r1 = 1   ; R1_w=1\n\
            1: (16) if w1 == 0x0 goto pc+2\n1: R1_w=1\n9: (95) exit\nfrom 1 to 4: R0=0\n10: R0=0 (x)\n\
            regs=1 stack=0 before 3: (bf) r1 = r2\nmark_precise: frame0: regs=r1 before 5: (b7) r1 = 0\n\
            processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
        assert_eq!(read(log), [0b11, 0b10]);
        assert!(is_small(log) && !is_small(""));
    }
}

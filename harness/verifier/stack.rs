//! [`deepest_stack`]: the deepest chain of calls of a program, in bytes of stack, as the verifier adds it up.

use crate::bytes::u32_at;

const INSN_BYTES: usize = 8;
const CALL: u8 = 0x85;
const LOAD: u8 = 0x18;
/// Source registers: a call of a function of the program, the address of one, and a call of a function of the kernel.
const PSEUDO_CALL: u8 = 1;
const PSEUDO_FUNC: u8 = 4;
const PSEUDO_KFUNC_CALL: u8 = 2;
/// `bpf_timer_set_callback`: what it is given runs on a separate stack.
const TIMER_SET_CALLBACK: u32 = 170;
/// The verifier lets no more functions call each other.
const MOST_FRAMES: usize = 8;

/// How a kernel rounds up what a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackRounding {
    /// To 32 bytes, and 32 at least: what the interpreter takes. Before 6.9 always, and without the JIT.
    Interpreter,
    /// To 16 bytes.
    Jit,
}

impl StackRounding {
    fn round(self, depth: u32) -> u64 {
        let depth = u64::from(depth);
        match self {
            StackRounding::Interpreter => depth.max(1).next_multiple_of(32),
            StackRounding::Jit => depth.next_multiple_of(16),
        }
    }
}

/// Bytes of the deepest chain of calls. `insns` are the program's instructions, its subprograms appended, and `depths` what the verifier
/// says of each function. `None` if the two do not fit together, or if it is not known which functions run on a separate stack.
pub fn deepest_stack(insns: &[u8], depths: &[u32], rounding: StackRounding) -> Option<u64> {
    let functions = Functions::read(insns)?;
    if functions.starts.len() != depths.len() {
        return None;
    }
    // By the number of frames: the deepest chain that ends in each function.
    let frames: Vec<u64> = depths.iter().map(|depth| rounding.round(*depth)).collect();
    let mut chains: Vec<Option<u64>> = vec![None; depths.len()];
    *chains.first_mut()? = frames.first().copied();
    let mut deepest = frames.first().copied()?;
    for _ in 1..MOST_FRAMES {
        let mut next = vec![None; depths.len()];
        for &(caller, callee) in &functions.calls {
            if let Some(chain) = chains[caller] {
                let chain = chain + frames[callee];
                next[callee] = next[callee].max(Some(chain));
                deepest = deepest.max(chain);
            }
        }
        chains = next;
    }
    Some(deepest)
}

/// The functions of a program, and who calls whom.
struct Functions {
    /// Instructions at which they begin, sorted.
    starts: Vec<usize>,
    calls: Vec<(usize, usize)>,
}

impl Functions {
    fn read(insns: &[u8]) -> Option<Functions> {
        let (mut starts, mut found) = (vec![0], Vec::new());
        let (mut is_asynchronous, mut has_callback) = (false, false);
        let count = insns.len() / INSN_BYTES;
        let mut at = 0;
        while at < count {
            let insn = &insns[at * INSN_BYTES..(at + 1) * INSN_BYTES];
            let (code, source, immediate) = (insn[0], insn[1] >> 4, u32_at(insn, 4)?);
            let is_callback = (code, source) == (LOAD, PSEUDO_FUNC);
            if (code, source) == (CALL, PSEUDO_CALL) || is_callback {
                let target = i64::try_from(at).ok()? + 1 + i64::from(immediate.cast_signed());
                let target = usize::try_from(target).ok().filter(|target| *target < count)?;
                starts.push(target);
                found.push((at, target));
                has_callback |= is_callback;
            }
            is_asynchronous |= (code, source, immediate) == (CALL, 0, TIMER_SET_CALLBACK);
            is_asynchronous |= (code, source) == (CALL, PSEUDO_KFUNC_CALL);
            at += if code == LOAD { 2 } else { 1 };
        }
        if has_callback && is_asynchronous {
            return None;
        }
        starts.sort_unstable();
        starts.dedup();
        let function = |insn: usize| starts.partition_point(|start| *start <= insn) - 1;
        let calls = found.iter().map(|&(from, to)| (function(from), function(to))).collect();
        Some(Functions { starts, calls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    fn call(source: u8, immediate: i32) -> [u8; 8] {
        let [a, b, c, d] = immediate.to_le_bytes();
        [CALL, source << 4, 0, 0, a, b, c, d]
    }

    fn load(immediate: i32) -> [[u8; 8]; 2] {
        let [a, b, c, d] = immediate.to_le_bytes();
        [[LOAD, PSEUDO_FUNC << 4 | 2, 0, 0, a, b, c, d], [0; 8]]
    }

    #[test]
    fn chains_are_added_up_as_kernels_do() {
        // The program calls 4 and 6, and 4 calls 6.
        let insns = [call(1, 3), call(1, 4), EXIT, EXIT, call(1, 1), EXIT, EXIT].concat();
        let depth = |depths: &[u32], rounding| deepest_stack(&insns, depths, rounding);
        assert_eq!(depth(&[96, 8, 304], StackRounding::Jit), Some(96 + 16 + 304));
        assert_eq!(depth(&[96, 8, 304], StackRounding::Interpreter), Some(96 + 32 + 320));
        assert_eq!(depth(&[0, 400, 0], StackRounding::Interpreter), Some(32 + 416 + 32));
        assert_eq!(depth(&[96, 8], StackRounding::Jit), None);
        assert_eq!(deepest_stack(&EXIT, &[512], StackRounding::Jit), Some(512));
        assert_eq!(deepest_stack(&[], &[512], StackRounding::Jit), Some(512));
    }

    #[test]
    fn callbacks_count_unless_they_may_run_later() {
        let with = |helper: [u8; 8]| [&load(4)[..], &[helper, EXIT, EXIT, EXIT]].concat().concat();
        let depths = [16, 32];
        assert_eq!(deepest_stack(&with(call(0, 164)), &depths, StackRounding::Jit), Some(48));
        assert_eq!(deepest_stack(&with(call(0, 170)), &depths, StackRounding::Jit), None);
        assert_eq!(deepest_stack(&with(call(2, 9)), &depths, StackRounding::Jit), None);
        assert_eq!(deepest_stack(&call(1, 99), &[0, 0], StackRounding::Jit), None, "no such instruction");
    }

    #[test]
    fn functions_that_call_each_other_end() {
        let insns = [call(1, 0), call(1, -2), EXIT].concat();
        assert!(deepest_stack(&insns, &[16, 16], StackRounding::Jit).is_some_and(|depth| depth <= 8 * 16));
    }
}

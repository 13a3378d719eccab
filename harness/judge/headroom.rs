//! [`headroom`]: how much of each limit of its kernel a program uses that was loaded.

use crate::object::{Inventory, MOST_TAIL_CALLS, ProgramInfo};
use crate::record::{Limit, LimitUse, LoadedProgram, Statistics};
use crate::verifier::{StackRounding, deepest_stack};

/// Bytes of stack (`MAX_BPF_STACK`).
const MOST_STACK: u64 = 512;
/// Instructions of a program that someone with privileges loads (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MOST_INSNS: u64 = 1_000_000;
const INSN_BYTES: u32 = 8;
/// The first kernel that rounds a function's stack as the JIT needs it.
const JIT_ROUNDING: (u32, u32) = (6, 9);
/// The first kernel on which functions of some programs have separate stacks.
const PRIVATE_STACKS: (u32, u32) = (6, 13);
/// libbpf's names of the types of those programs.
const WITH_PRIVATE_STACKS: [&str; 7] =
    ["kprobe", "tracepoint", "perf_event", "raw_tracepoint", "tracing", "lsm", "struct_ops"];

/// What is known about a program that was loaded.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// What the verifier counted.
    pub statistics: Option<&'a Statistics>,
    /// What the kernel made of it.
    pub loaded: Option<&'a LoadedProgram>,
    /// Its instructions after relocation, subprograms appended; empty if they are not known.
    pub insns: &'a [u8],
    /// What the object says of it.
    pub program: Option<&'a ProgramInfo>,
    /// What the object holds.
    pub object: Option<&'a Inventory>,
    /// The kernel's release.
    pub release: Option<(u32, u32)>,
}

/// How much of each limit it uses, as far as that is known.
pub fn headroom(load: &Load<'_>) -> Vec<LimitUse> {
    let statistics = load.statistics;
    let instructions = statistics.and_then(|known| Some((known.insns_processed?, known.insn_limit?)));
    let calls = load.program.zip(load.object).and_then(|(program, object)| object.tail_calls(&program.name));
    let size = load.loaded.filter(|loaded| loaded.xlated_bytes > 0);
    let uses = [
        (Limit::Instructions, instructions),
        (Limit::Stack, stack(load).map(|used| (used, MOST_STACK))),
        // Most programs make none.
        (Limit::TailCalls, calls.filter(|calls| *calls > 0).map(|calls| (calls.into(), MOST_TAIL_CALLS.into()))),
        (Limit::Size, size.map(|loaded| (u64::from(loaded.xlated_bytes / INSN_BYTES), MOST_INSNS))),
    ];
    let known = |(limit, used): (Limit, Option<(u64, u64)>)| used.map(|(used, most)| LimitUse { limit, used, most });
    uses.into_iter().filter_map(known).collect()
}

fn stack(load: &Load<'_>) -> Option<u64> {
    let statistics = load.statistics?;
    if let Some(deepest) = statistics.stack_depth_max {
        return Some(deepest.into());
    }
    let depths = statistics.stack_depth.as_slice();
    let kind = load.program.and_then(|program| program.prog_type.as_deref());
    let may_be_private = kind.is_none_or(|kind| WITH_PRIVATE_STACKS.contains(&kind));
    if load.release? >= PRIVATE_STACKS && may_be_private && depths.len() > 1 {
        // Which functions have their own is not known; the largest has to fit in any case.
        return depths.iter().max().map(|depth| u64::from(*depth));
    }
    let is_jited = load.loaded?.jited_bytes > 0;
    let rounding = match load.release? >= JIT_ROUNDING && is_jited {
        true => StackRounding::Jit,
        false => StackRounding::Interpreter,
    };
    deepest_stack(load.insns, depths, rounding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_told_as_far_as_it_is_known() {
        let statistics = Statistics {
            insns_processed: Some(850_000),
            insn_limit: Some(1_000_000),
            stack_depth: vec![72],
            ..Statistics::default()
        };
        let loaded = LoadedProgram { xlated_bytes: 800, jited_bytes: 400 };
        let load = Load {
            statistics: Some(&statistics),
            loaded: Some(&loaded),
            insns: &[0x95, 0, 0, 0, 0, 0, 0, 0],
            program: None,
            object: None,
            release: Some((6, 12)),
        };
        let told = |load: &Load<'_>| {
            let uses = headroom(load);
            uses.iter().map(|one| (one.limit, one.used, one.most)).collect::<Vec<_>>()
        };
        let (insns, size) = ((Limit::Instructions, 850_000, 1_000_000), (Limit::Size, 100, 1_000_000));
        assert_eq!(told(&load), [insns, (Limit::Stack, 80, 512), size]);
        let old = Load { release: Some((5, 10)), ..load };
        assert_eq!(told(&old), [insns, (Limit::Stack, 96, 512), size]);
        assert_eq!(told(&Load { release: None, ..load }), [insns, size]);
        assert_eq!(told(&Load { statistics: None, ..load }), [size]);
        let new = Statistics { stack_depth: vec![96, 304], stack_depth_max: Some(304), ..Statistics::default() };
        assert_eq!(told(&Load { statistics: Some(&new), ..load })[0], (Limit::Stack, 304, 512));
        // A chain of two functions, of which no one knows whether the second has a separate stack.
        let middle = Statistics { stack_depth_max: None, ..new };
        let private = Load { statistics: Some(&middle), release: Some((6, 17)), ..load };
        assert_eq!(told(&private)[0], (Limit::Stack, 304, 512));
    }
}

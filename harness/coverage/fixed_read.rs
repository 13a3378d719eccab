//! [`Analysis::fixed_reads`]: where a program reads behind a pointer of the kernel at an offset that no relocation adapts.

use std::collections::BTreeMap;

use super::analysis::Analysis;
use super::insn::{Insn, Next};
use crate::record::SourcePlace;

/// The frame pointer.
const FRAME: u8 = 10;
/// Bytes of a pointer.
const POINTER: u8 = 8;
/// Functions with more instructions are passed over.
const MOST_INSNS: usize = 1 << 16;
/// Helpers that copy from kernel memory, by the name in the kernel's headers.
const COPIES: [(i32, &str); 4] = [
    (4, "bpf_probe_read"),
    (45, "bpf_probe_read_str"),
    (113, "bpf_probe_read_kernel"),
    (115, "bpf_probe_read_kernel_str"),
];
/// `bpf_get_current_task` and `bpf_get_current_task_btf`.
const CURRENT: [i32; 2] = [35, 158];

/// A read behind a pointer of the kernel at an offset that is a plain constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedRead {
    /// Bytes behind the pointer.
    pub offset: i64,
    /// The helper that copies; `None` for a load by the program itself.
    pub helper: Option<&'static str>,
    /// The instruction, counted from the start of the program.
    pub insn: usize,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
}

/// What is known about a register or a place on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Unknown,
    Context,
    /// The frame pointer and so many bytes.
    Frame(i32),
    /// A pointer that the context, the current task or kernel memory gave, and so many bytes.
    Kernel(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    registers: [Held; 11],
    /// Pointers on the stack, by place.
    stack: BTreeMap<i32, Held>,
}

impl Analysis {
    /// The reads of a program, an index, behind pointers that it has from its context, from the current task or from other kernel memory,
    /// as far as their offset is a constant that is not relocated. Subprograms are not looked into.
    pub fn fixed_reads(&self, program: usize) -> Vec<FixedRead> {
        let Some(part) = self.programs.get(program).and_then(|program| program.parts.first()) else {
            return Vec::new();
        };
        let Some(function) = self.code.functions.get(part.function) else { return Vec::new() };
        if function.insns.len() > MOST_INSNS {
            return Vec::new();
        }
        let relocated = |at: usize| function.relocations.iter().any(|(own, _)| *own == at);
        let found = reads(&function.insns, &relocated);
        let read =
            |(insn, (offset, helper))| FixedRead { offset, helper, insn, source: self.source(part.function, insn) };
        found.into_iter().map(read).collect()
    }
}

type Found = BTreeMap<usize, (i64, Option<&'static str>)>;

fn reads(insns: &[Insn], relocated: &dyn Fn(usize) -> bool) -> Found {
    let mut states: Vec<Option<State>> = vec![None; insns.len()];
    let mut entry = State { registers: [Held::Unknown; 11], stack: BTreeMap::new() };
    entry.registers[1] = Held::Context;
    entry.registers[usize::from(FRAME)] = Held::Frame(0);
    let mut open = vec![(0, entry)];
    while let Some((at, state)) = open.pop() {
        let Some(known) = states.get_mut(at) else { continue };
        let met = match known.as_ref() {
            // What holds on every way here; each time less, so this ends.
            Some(before) => {
                let met = before.meet(&state);
                if met == *before {
                    continue;
                }
                met
            }
            None => state,
        };
        *known = Some(met.clone());
        let insn = insns[at];
        let mut after = met;
        after.step(insn, relocated(at));
        let next = at + 1 + usize::from(insn.is_wide());
        let target = |by: i32| (at + 1).checked_add_signed(by as isize).unwrap_or(usize::MAX);
        match insn.next() {
            Next::Exit => {}
            Next::Through => open.push((next, after)),
            Next::Jump(by) => open.push((target(by), after)),
            Next::Branch(by) => {
                open.push((target(by), after.clone()));
                open.push((next, after));
            }
        }
    }
    let mut found = Found::new();
    for (at, (&insn, state)) in insns.iter().zip(&states).enumerate() {
        let Some(state) = state.as_ref().filter(|_| !relocated(at)) else { continue };
        if insn.class() == 1
            && let Held::Kernel(offset) = state.get(insn.src)
        {
            found.insert(at, (offset.saturating_add(insn.off.into()), None));
        }
        if let (Some(helper), Held::Kernel(offset)) = (copies(insn), state.get(3))
            && offset != 0
        {
            found.insert(at, (offset, Some(helper)));
        }
    }
    found
}

/// The helper that an instruction copies kernel memory by.
fn copies(insn: Insn) -> Option<&'static str> {
    let found = COPIES.iter().find(|(number, _)| insn.code == 0x85 && insn.src == 0 && insn.imm == *number);
    found.map(|(_, name)| *name)
}

impl State {
    fn get(&self, register: u8) -> Held {
        self.registers.get(usize::from(register)).copied().unwrap_or(Held::Unknown)
    }

    fn set(&mut self, register: u8, held: Held) {
        if let Some(known) = self.registers.get_mut(usize::from(register)) {
            *known = held;
        }
    }

    fn meet(&self, other: &State) -> State {
        let mut registers = self.registers;
        for (own, other) in registers.iter_mut().zip(&other.registers) {
            *own = if own == other { *own } else { Held::Unknown };
        }
        let same = |(place, held): &(&i32, &Held)| other.stack.get(place) == Some(held);
        State { registers, stack: self.stack.iter().filter(same).map(|(&place, &held)| (place, held)).collect() }
    }

    fn step(&mut self, insn: Insn, relocated: bool) {
        match (insn.class(), insn.code) {
            (0, _) => self.set(if insn.is_wide() { insn.dst } else { 0 }, Held::Unknown),
            (1, code) => {
                let whole = code & 0xe0 == 0x60 && insn.access_bytes() == POINTER;
                let held = match self.get(insn.src) {
                    Held::Context | Held::Kernel(_) if whole => Held::Kernel(0),
                    Held::Frame(base) if whole => {
                        let place = base.saturating_add(insn.off.into());
                        self.stack.get(&place).copied().unwrap_or(Held::Unknown)
                    }
                    _ => Held::Unknown,
                };
                self.set(insn.dst, held);
            }
            (2 | 3, code) => {
                let Held::Frame(base) = self.get(insn.dst) else { return };
                let place = base.saturating_add(insn.off.into());
                self.forget(place, insn.access_bytes().into());
                if code == 0x7b {
                    self.stack.insert(place, self.get(insn.src));
                }
            }
            // A relocated number is an offset that fits.
            (4 | 7, _) if relocated => self.set(insn.dst, Held::Unknown),
            (7, 0xbf) if insn.off == 0 => self.set(insn.dst, self.get(insn.src)),
            (7, 0x07) => {
                let held = match self.get(insn.dst) {
                    Held::Kernel(offset) => Held::Kernel(offset.saturating_add(insn.imm.into())),
                    Held::Frame(base) => Held::Frame(base.saturating_add(insn.imm)),
                    _ => Held::Unknown,
                };
                self.set(insn.dst, held);
            }
            (4 | 7, _) => self.set(insn.dst, Held::Unknown),
            _ if insn.is_call() => self.call(insn),
            _ => {}
        }
    }

    fn call(&mut self, insn: Insn) {
        for register in 1..=5 {
            if let Held::Frame(place) = self.get(register) {
                self.forget(place, i32::MAX);
                if register == 1 && copies(insn).is_some() {
                    self.stack.insert(place, Held::Kernel(0));
                }
            }
        }
        let is_current = insn.code == 0x85 && insn.src == 0 && CURRENT.contains(&insn.imm);
        self.set(0, if is_current { Held::Kernel(0) } else { Held::Unknown });
        (1..=5).for_each(|register| self.set(register, Held::Unknown));
    }

    /// Something else may be in these bytes from now on.
    fn forget(&mut self, from: i32, bytes: i32) {
        let end = from.saturating_add(bytes);
        self.stack.retain(|&place, _| place.saturating_add(POINTER.into()) <= from || end <= place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(insns: &[[i32; 5]], relocated: &[usize]) -> Vec<(usize, i64, Option<&'static str>)> {
        let insn = |&[code, dst, src, off, imm]: &[i32; 5]| Insn {
            code: code as u8,
            dst: dst as u8,
            src: src as u8,
            off: off as i16,
            imm,
        };
        let insns: Vec<Insn> = insns.iter().map(insn).collect();
        let found = reads(&insns, &|at| relocated.contains(&at));
        found.into_iter().map(|(at, (offset, helper))| (at, offset, helper)).collect()
    }

    const EXIT: [i32; 5] = [0x95, 0, 0, 0, 0];

    #[test]
    fn copies_at_a_constant_offset_are_found() {
        // r3 = *(r1 + 112); r3 += 16; r1 = r10; r1 += -8; r2 = 8; call; r3 = *(r10 - 8); r3 += 40; call
        let chain = [
            [0x79, 3, 1, 112, 0],
            [0x07, 3, 0, 0, 16],
            [0xbf, 1, 10, 0, 0],
            [0x07, 1, 0, 0, -8],
            [0xb7, 2, 0, 0, 8],
            [0x85, 0, 0, 0, 113],
            [0x79, 3, 10, -8, 0],
            [0x07, 3, 0, 0, 40],
            [0x85, 0, 0, 0, 4],
            EXIT,
        ];
        assert_eq!(found(&chain, &[]), [(5, 16, Some("bpf_probe_read_kernel")), (8, 40, Some("bpf_probe_read"))]);
        // Relocated offsets are none of these.
        assert!(found(&chain, &[1, 7]).is_empty());
        let task = [[0x85, 0, 0, 0, 35], [0xbf, 3, 0, 0, 0], [0x07, 3, 0, 0, 24], [0x85, 0, 0, 0, 113], EXIT];
        assert_eq!(found(&task, &[]), [(3, 24, Some("bpf_probe_read_kernel"))]);
    }

    #[test]
    fn loads_behind_arguments_are_found() {
        // r6 = *(r1 + 0); r2 = *(u32 *)(r6 + 1256)
        let load = [[0x79, 6, 1, 0, 0], [0x61, 2, 6, 1256, 0], EXIT];
        assert_eq!(found(&load, &[]), [(1, 1256, None)]);
        assert!(found(&load, &[1]).is_empty());
    }

    #[test]
    fn other_memory_is_none_of_the_kernels() {
        // The stack, the bare pointer, a map's value, user memory, and an offset that is no constant.
        assert!(found(&[[0xbf, 3, 10, 0, 0], [0x07, 3, 0, 0, -16], [0x85, 0, 0, 0, 113], EXIT], &[]).is_empty());
        assert!(found(&[[0x79, 3, 1, 8, 0], [0x85, 0, 0, 0, 115], EXIT], &[]).is_empty());
        assert!(found(&[[0x85, 0, 0, 0, 1], [0x79, 3, 0, 8, 0], [0x85, 0, 0, 0, 113], EXIT], &[]).is_empty());
        assert!(found(&[[0x79, 3, 1, 8, 0], [0x07, 3, 0, 0, 8], [0x85, 0, 0, 0, 112], EXIT], &[]).is_empty());
        assert!(found(&[[0x79, 3, 1, 8, 0], [0x0f, 3, 4, 0, 0], [0x85, 0, 0, 0, 113], EXIT], &[]).is_empty());
        // A loop that goes on and on through memory ends.
        assert!(found(&[[0x79, 3, 1, 8, 0], [0x07, 3, 0, 0, 8], [0x05, 0, 0, -2, 0]], &[]).is_empty());
    }
}

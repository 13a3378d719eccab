//! [`Analysis::context_reads`]: which parts of its context a program reads.

use std::collections::BTreeSet;

use super::analysis::Analysis;
use super::cell_coverage::ObjectFacts;
use super::flow::Flow;
use super::insn::{Insn, Next};

/// The frame pointer.
const FRAME: u8 = 10;
/// Passes over a function until it is known what is read later; code as compilers write it takes a few.
const MOST_PASSES: usize = 32;
/// Bytes of a register.
const WORD: i32 = 8;

/// Where the context's address surely is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holders {
    /// One bit a register.
    registers: u16,
    /// Places on the stack.
    places: BTreeSet<i16>,
}

impl Analysis {
    /// The offsets at which a program, an index, loads from its context. `facts` show what a kernel answers, so that what it
    /// rules out is left out, loads whose value only such code uses, too; without them every branch counts. Subprograms are not looked into.
    pub fn context_reads(&self, program: usize, facts: Option<&ObjectFacts<'_>>) -> BTreeSet<i16> {
        let flow = facts.and_then(|facts| self.answered(program, facts));
        let Some(program) = self.programs.get(program) else { return BTreeSet::new() };
        let end = program.parts.get(1).map_or(program.insns.len(), |part| part.first);
        reads(&program.insns[..end.min(program.insns.len())], flow.as_ref())
    }
}

fn reads(insns: &[Insn], flow: Option<&Flow>) -> BTreeSet<i16> {
    let mut found = BTreeSet::new();
    let mut states: Vec<Option<Holders>> = vec![None; insns.len()];
    let mut open = vec![(0, Holders { registers: 1 << 1, places: BTreeSet::new() })];
    while let Some((at, state)) = open.pop() {
        let Some(known) = states.get_mut(at) else { continue };
        if flow.is_some_and(|flow| flow.reached.get(at) == Some(&false)) {
            continue;
        }
        // What holds on every way here; each time less, so this ends.
        let mut state = match known.take() {
            Some(before) => {
                let met = before.meet(&state);
                let is_news = met != before;
                *known = Some(met.clone());
                if !is_news {
                    continue;
                }
                met
            }
            None => {
                *known = Some(state.clone());
                state
            }
        };
        let insn = insns[at];
        let ways = flow.and_then(|flow| flow.ways.get(&at)).copied().unwrap_or([true; 2]);
        state.step(insn);
        let next = at + 1 + usize::from(insn.is_wide());
        let target = |by: i32| (at + 1).checked_add_signed(by as isize).unwrap_or(usize::MAX);
        match insn.next() {
            Next::Exit => {}
            Next::Through => open.push((next, state)),
            Next::Jump(by) => open.push((target(by), state)),
            Next::Branch(by) => {
                if ways[1] {
                    open.push((target(by), state.clone()));
                }
                if ways[0] {
                    open.push((next, state));
                }
            }
        }
    }
    let live = live_after(insns, flow);
    for (at, (insn, state)) in insns.iter().zip(&states).enumerate() {
        let holds = state.as_ref().is_some_and(|state| state.holds(insn.src));
        // Compilers load early what only one side of a guard uses.
        let is_used = live.as_ref().is_none_or(|live| live[at] & 1 << insn.dst != 0);
        if insn.class() == 1 && holds && is_used {
            found.insert(insn.off);
        }
    }
    found
}

/// By instruction, the registers that are read later on some way that can be gone, one bit each; `None` where that takes too long to find.
fn live_after(insns: &[Insn], flow: Option<&Flow>) -> Option<Vec<u16>> {
    let mut before = vec![0u16; insns.len()];
    let mut after = vec![0u16; insns.len()];
    for _ in 0..MOST_PASSES {
        let mut news = false;
        for (at, &insn) in insns.iter().enumerate().rev() {
            let next = at + 1 + usize::from(insn.is_wide());
            let [through, jumps] = flow.and_then(|flow| flow.ways.get(&at)).copied().unwrap_or([true; 2]);
            let on = |at: usize, goes: bool| before.get(at).copied().filter(|_| goes).unwrap_or_default();
            let target = |by: i32| (at + 1).checked_add_signed(by as isize).unwrap_or(usize::MAX);
            after[at] = match insn.next() {
                Next::Exit => 0,
                Next::Through => on(next, true),
                Next::Jump(by) => on(target(by), true),
                Next::Branch(by) => on(next, through) | on(target(by), jumps),
            };
            let (uses, writes) = registers(insn);
            let own = after[at] & !writes | uses;
            news |= own != before[at];
            before[at] = own;
        }
        if !news {
            return Some(after);
        }
    }
    None
}

/// The registers that an instruction reads, and those that it writes without having read them.
fn registers(insn: Insn) -> (u16, u16) {
    const ARGUMENTS: u16 = 0b11_1110;
    let (dst, src) = (1 << insn.dst, 1 << insn.src);
    let operand = if insn.uses_register() { src } else { 0 };
    match insn.class() {
        0 if insn.is_wide() => (0, dst),
        // A load from a packet, whose context is in register 6.
        0 => (src | 1 << 6, 1),
        1 => (src, dst),
        2 => (dst, 0),
        // An atomic one may compare with register 0.
        3 => (dst | src | 1, 0),
        4 | 7 if insn.code & 0xf0 == 0xb0 => (operand, dst),
        4 | 7 => (dst | operand, 0),
        5 if insn.is_call() => (ARGUMENTS | dst, 1),
        5 if insn.next() == Next::Exit => (1, 0),
        _ => (dst | operand, 0),
    }
}

impl Holders {
    fn holds(&self, register: u8) -> bool {
        self.registers & 1 << register != 0
    }

    fn set(&mut self, register: u8, holds: bool) {
        let bit = 1 << register;
        self.registers = if holds { self.registers | bit } else { self.registers & !bit };
    }

    fn meet(&self, other: &Holders) -> Holders {
        let places = self.places.intersection(&other.places).copied().collect();
        Holders { registers: self.registers & other.registers, places }
    }

    fn step(&mut self, insn: Insn) {
        match insn.class() {
            // A 64-bit load into a register; loads from packets write register 0.
            0 => self.set(if insn.is_wide() { insn.dst } else { 0 }, false),
            1 => {
                let whole = insn.code == 0x79 && insn.src == FRAME;
                self.set(insn.dst, whole && self.places.contains(&insn.off));
            }
            2 | 3 if insn.dst == FRAME => {
                let (from, bytes) = (i32::from(insn.off), i32::from(insn.access_bytes()));
                self.places.retain(|&place| i32::from(place) + WORD <= from || from + bytes <= i32::from(place));
                if insn.code == 0x7b && self.holds(insn.src) {
                    self.places.insert(insn.off);
                }
            }
            4 | 7 => self.set(insn.dst, insn.code == 0xbf && insn.off == 0 && self.holds(insn.src)),
            5 if insn.is_call() => self.registers &= !0b11_1111,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(insns: &[[i32; 5]], flow: Option<&Flow>) -> Vec<i16> {
        let insn = |&[code, dst, src, off, imm]: &[i32; 5]| Insn {
            code: code as u8,
            dst: dst as u8,
            src: src as u8,
            off: off as i16,
            imm,
        };
        let insns: Vec<Insn> = insns.iter().map(insn).collect();
        reads(&insns, flow).into_iter().collect()
    }

    const EXIT: [i32; 5] = [0x95, 0, 0, 0, 0];

    #[test]
    fn context_is_followed_through_registers_and_stack() {
        // r6 = r1; call; r2 = *(r6 + 8); *(r10 - 8) = r6; r7 = *(r10 - 8); r3 = *(u32 *)(r7 + 16)
        let offsets = loaded(
            &[
                [0xbf, 6, 1, 0, 0],
                [0x85, 0, 0, 0, 14],
                [0x79, 2, 6, 8, 0],
                [0x7b, 10, 6, -8, 0],
                [0x79, 7, 10, -8, 0],
                [0x61, 3, 7, 16, 0],
                [0x0f, 2, 3, 0, 0],
                [0xbf, 0, 2, 0, 0],
                EXIT,
            ],
            None,
        );
        assert_eq!(offsets, [8, 16]);
    }

    #[test]
    fn other_memory_is_not_the_context() {
        // A call takes r1; a load gives another pointer; arithmetic makes another address; a write takes the place.
        assert!(loaded(&[[0x85, 0, 0, 0, 14], [0x79, 0, 1, 8, 0], EXIT], None).is_empty());
        assert_eq!(loaded(&[[0x79, 1, 1, 0, 0], [0x79, 0, 1, 8, 0], EXIT], None), [0]);
        assert!(loaded(&[[0x07, 1, 0, 0, 8], [0x79, 0, 1, 8, 0], EXIT], None).is_empty());
        let overwritten = [[0x7b, 10, 1, -8, 0], [0x63, 10, 0, -4, 0], [0x79, 3, 10, -8, 0], [0x79, 0, 3, 24, 0], EXIT];
        assert!(loaded(&overwritten, None).is_empty());
        // On one of two ways r6 is something else.
        let met = [[0xbf, 6, 1, 0, 0], [0x15, 0, 0, 1, 0], [0xb7, 6, 0, 0, 0], [0x79, 0, 6, 8, 0], EXIT];
        assert!(loaded(&met, None).is_empty());
    }

    #[test]
    fn what_only_the_other_side_of_a_guard_uses_is_not_read() {
        // r6 = *(r1 + 16); r7 = *(r1 + 8); if r0 == 0 goto +2; r0 = r6; exit; r0 = r7; exit
        let code = [
            [0x79, 6, 1, 16, 0],
            [0x79, 7, 1, 8, 0],
            [0x15, 0, 0, 2, 0],
            [0xbf, 0, 6, 0, 0],
            EXIT,
            [0xbf, 0, 7, 0, 0],
            EXIT,
        ];
        assert_eq!(loaded(&code, None), [8, 16]);
        let flow = Flow {
            reached: [true, true, true, false, false, true, true].into(),
            ways: [(2, [false, true])].into(),
            decisions: Default::default(),
            reads: Default::default(),
        };
        assert_eq!(loaded(&code, Some(&flow)), [8]);
        // No one uses it at all.
        assert!(loaded(&[[0x79, 6, 1, 16, 0], EXIT], None).is_empty());
    }
}

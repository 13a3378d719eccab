//! [`passes`]: whether a program that ran to its end must have come by one of some instructions, whichever way it took.
//!
//! A run count shows that a program ran, and not where. So only what lies on every way counts as executed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::insn::{Insn, Next};
use super::program::Program;

/// `bpf_tail_call`, which leaves the program where it succeeds.
const TAIL_CALL: i32 = 12;
/// `BPF_PSEUDO_KFUNC_CALL`: one of them ends the program by an exception.
const KFUNC: u8 = 2;

/// What is known about the ways through a program.
pub(super) struct Ways<'a> {
    /// The program.
    pub program: &'a Program,
    /// Instructions that the verifier took out.
    pub dead: &'a dyn Fn(usize) -> bool,
    /// Branches that can go on and that can jump, given what the kernel answered; of others both is possible.
    pub ways: &'a BTreeMap<usize, [bool; 2]>,
}

/// Whether every way from the start of the program to an end comes by one of the instructions `wanted`.
pub(super) fn passes(ways: &Ways<'_>, wanted: &BTreeSet<usize>) -> bool {
    let nothing = BTreeSet::new();
    let around = |avoided: &BTreeSet<usize>| Walk { ways, avoided, known: HashMap::new() }.ends(0);
    // Where no way is left at all, what is known about the program is wrong.
    around(&nothing) && !around(wanted)
}

struct Walk<'a> {
    ways: &'a Ways<'a>,
    avoided: &'a BTreeSet<usize>,
    /// By first instruction of a function, whether it can be gone through.
    known: HashMap<usize, bool>,
}

impl Walk<'_> {
    /// Whether an end of the function can be reached around what is avoided.
    fn ends(&mut self, function: usize) -> bool {
        if let Some(known) = self.known.get(&function) {
            return *known;
        }
        // Functions do not call themselves; one that did could be gone through for all that is known.
        self.known.insert(function, true);
        let ends = self.walk(function);
        self.known.insert(function, ends);
        ends
    }

    fn walk(&mut self, function: usize) -> bool {
        let (mut open, mut seen) = (vec![function], vec![false; self.ways.program.insns.len()]);
        while let Some(at) = open.pop() {
            let Some(&insn) = self.ways.program.insns.get(at) else { return true };
            if std::mem::replace(&mut seen[at], true) || self.avoided.contains(&at) || (self.ways.dead)(at) {
                continue;
            }
            let next = at + 1 + usize::from(insn.is_wide());
            let target = |by: i32| (at + 1).checked_add_signed(by as isize).unwrap_or(usize::MAX);
            match insn.next() {
                Next::Exit => return true,
                _ if may_end(insn) => return true,
                Next::Jump(by) => open.push(target(by)),
                Next::Branch(by) => {
                    let [goes_on, jumps] = self.ways.ways.get(&at).copied().unwrap_or([true; 2]);
                    open.extend(goes_on.then_some(next));
                    open.extend(jumps.then(|| target(by)));
                }
                Next::Through => match self.ways.program.calls.get(&at) {
                    Some(&callee) if !self.ends(callee) => {}
                    _ => open.push(next),
                },
            }
        }
        false
    }
}

/// Whether the program may end at an instruction that does not say so.
fn may_end(insn: Insn) -> bool {
    let leaves = insn.code == 0x85 && (insn.src == KFUNC || (insn.src == 0 && insn.imm == TAIL_CALL));
    // Loads of packets end the program beyond the packet's end.
    let loads_packet = insn.class() == 0 && matches!(insn.code & 0xe0, 0x20 | 0x40);
    leaves || loads_packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const CALL: u8 = 0x85;
    const EXIT: [i32; 4] = [0x95, 0, 0, 0];
    const WORK: [i32; 4] = [0xb7, 0, 0, 0];

    /// Instructions as code, source register, offset and immediate.
    fn program(insns: &[[i32; 4]], calls: &[(usize, usize)]) -> Program {
        let insn =
            |&[code, src, off, imm]: &[i32; 4]| Insn { code: code as u8, dst: 0, src: src as u8, off: off as i16, imm };
        Program {
            insns: insns.iter().map(insn).collect(),
            parts: Vec::new(),
            calls: calls.iter().copied().collect(),
            globals: BTreeSet::new(),
            operands: BTreeMap::new(),
            joins: BTreeSet::new(),
            too_large: false,
        }
    }

    fn executed(program: &Program, wanted: &[usize], dead: &[usize], taken: Option<(usize, bool)>) -> bool {
        let known = taken.into_iter().map(|(branch, taken)| (branch, [!taken, taken])).collect();
        let ways = Ways { program, dead: &|insn| dead.contains(&insn), ways: &known };
        passes(&ways, &wanted.iter().copied().collect())
    }

    #[test]
    fn only_what_lies_on_every_way_is_certain() {
        // 0: if it jumps, 3; 1: work; 2: jump to 4; 3: work; 4: exit
        let program = program(&[[0x15, 0, 2, 0], WORK, [0x05, 0, 1, 0], WORK, EXIT], &[]);
        assert!(executed(&program, &[0], &[], None) && executed(&program, &[4], &[], None));
        assert!(!executed(&program, &[1], &[], None) && !executed(&program, &[3], &[], None));
        assert!(executed(&program, &[1, 3], &[], None));
        assert!(executed(&program, &[1], &[3], None) && executed(&program, &[3], &[], Some((0, true))));
        assert!(!executed(&program, &[1], &[], Some((0, true))));
        // Nothing is certain of a program that has no way through.
        assert!(!executed(&program, &[1], &[4], None));
    }

    #[test]
    fn ways_that_leave_early_count() {
        let call = |src: i32, imm: i32| [i32::from(CALL), src, 0, imm];
        assert!(executed(&program(&[call(0, 5), WORK, EXIT], &[]), &[1], &[], None));
        for insn in [call(0, TAIL_CALL), call(i32::from(KFUNC), 77), [0x30, 0, 0, 0]] {
            assert!(!executed(&program(&[insn, WORK, EXIT], &[]), &[1], &[], None), "{insn:?}");
        }
    }

    #[test]
    fn subprograms_are_gone_through() {
        // 0: call 2; 1: exit; 2: if it jumps, 4; 3: exit; 4: work; 5: exit
        let with = program(&[[i32::from(CALL), 1, 0, 1], EXIT, [0x15, 0, 1, 0], EXIT, WORK, EXIT], &[(0, 2)]);
        assert!(executed(&with, &[2], &[], None) && !executed(&with, &[4], &[], None));
        assert!(executed(&with, &[4], &[3], None));
    }
}

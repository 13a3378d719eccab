//! [`Program`]: a program with its subprograms appended, as libbpf hands it to the verifier, and what its instructions refer to.

use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map};

use super::code::{Code, Reference};
use super::insn::{Insn, Next};

/// Functions that the kernel takes in one program (`BPF_MAX_SUBPROGS`).
const MOST_PARTS: usize = 256;
/// Instructions that the kernel takes in one program (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MOST_INSNS: usize = 1_000_000;

/// What an instruction refers to besides its own operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// The value of a CO-RE relocation.
    Relocation {
        /// As an index into the object's list.
        index: usize,
        /// Whether it asks for existence, so that the value is 0 or 1.
        existence: bool,
    },
    /// The address of a weak kernel symbol, by its place among the object's externs.
    Ksym(usize),
    /// An address in a kconfig value or in read-only data.
    Variable {
        /// Its place among the object's variables.
        variable: usize,
        /// Bytes from its start.
        offset: i64,
    },
    /// The address of a subprogram, by its first instruction.
    Function(usize),
    /// Something that guards do not ask about.
    Other,
}

/// A function within a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Its place among the object's functions.
    pub function: usize,
    /// Its first instruction in the program.
    pub first: usize,
}

/// One program, linked.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// As the compiler wrote them.
    pub insns: Vec<Insn>,
    /// The functions in it: its own first.
    pub parts: Vec<Part>,
    /// Calls to subprograms in it: instruction, first instruction of the subprogram.
    pub calls: HashMap<usize, usize>,
    /// First instructions of its global subprograms, which the verifier looks at on their own.
    pub globals: BTreeSet<usize>,
    /// What instructions refer to.
    pub operands: BTreeMap<usize, Operand>,
    /// Instructions where ways meet.
    pub joins: BTreeSet<usize>,
    /// Whether it is larger than any that a kernel takes; then it is empty.
    pub too_large: bool,
}

/// A function that is being appended: what its instructions refer to and is not looked at yet.
struct Appending<'a> {
    first: usize,
    left: btree_map::Iter<'a, usize, Reference>,
}

impl Program {
    /// Links the function `own` of the object. `room` is how many instructions there may be at most.
    pub fn link(code: &Code, own: usize, room: usize) -> Program {
        let empty = || Program {
            insns: Vec::new(),
            parts: Vec::new(),
            calls: HashMap::new(),
            globals: BTreeSet::new(),
            operands: BTreeMap::new(),
            joins: BTreeSet::new(),
            too_large: false,
        };
        let mut program = empty();
        match program.append_all(code, own, room.min(MOST_INSNS)) {
            Some(()) => program.find_joins(),
            None => program = Program { too_large: true, ..empty() },
        }
        program
    }

    /// Appends a function and, in the order of its calls, what it calls: the order of libbpf's `bpf_object__reloc_code`. libbpf
    /// goes into a subprogram before it looks at the caller's next call; so does this. `None` if it becomes too large.
    fn append_all(&mut self, code: &Code, own: usize, room: usize) -> Option<()> {
        let mut known: HashMap<usize, usize> = HashMap::new();
        let mut open = vec![self.append(code, own, &mut known, room)?];
        while let Some(function) = open.last_mut() {
            let Some((&insn, reference)) = function.left.next() else {
                open.pop();
                continue;
            };
            let at = function.first + insn;
            let (callee, is_call) = match *reference {
                Reference::Call(callee) => (callee, true),
                Reference::Function(callee) => (callee, false),
                Reference::Operand(operand) => {
                    self.operands.insert(at, operand);
                    continue;
                }
            };
            let target = match known.get(&callee) {
                Some(&first) => first,
                None => {
                    let appended = self.append(code, callee, &mut known, room)?;
                    let first = appended.first;
                    open.push(appended);
                    first
                }
            };
            if is_call {
                self.calls.insert(at, target);
            } else {
                self.operands.insert(at, Operand::Function(target));
            }
        }
        Some(())
    }

    fn append<'a>(
        &mut self,
        code: &'a Code,
        function: usize,
        known: &mut HashMap<usize, usize>,
        room: usize,
    ) -> Option<Appending<'a>> {
        let first = self.insns.len();
        let functions = &code.functions[function];
        if self.parts.len() >= MOST_PARTS || first.saturating_add(functions.insns.len()) > room {
            return None;
        }
        self.parts.push(Part { function, first });
        known.insert(function, first);
        self.insns.extend_from_slice(&functions.insns);
        if functions.global && first > 0 {
            self.globals.insert(first);
        }
        Some(Appending { first, left: functions.references.iter() })
    }

    fn find_joins(&mut self) {
        for (at, insn) in self.insns.iter().enumerate() {
            if let Next::Jump(by) | Next::Branch(by) = insn.next() {
                self.joins.extend((at + 1).checked_add_signed(by as isize));
            }
        }
    }

    /// The function that an instruction lies in.
    pub fn part(&self, at: usize) -> Part {
        let after = self.parts.partition_point(|part| part.first <= at);
        self.parts[..after].last().copied().unwrap_or(Part { function: 0, first: 0 })
    }

    /// The first instruction of the function that an instruction lies in.
    pub fn function_start(&self, at: usize) -> usize {
        self.part(at).first
    }
}

#[cfg(test)]
mod tests {
    use super::super::code::Function;
    use super::*;

    /// An object of so many functions that each have these instructions, all of them exits, and call the next one first.
    fn chain(functions: usize, insns: usize) -> Code {
        let function = |number: usize| Function {
            name: format!("f{number}"),
            subprogram: number > 0,
            global: false,
            insns: Insn::decode(&[0x95, 0, 0, 0, 0, 0, 0, 0].repeat(insns)),
            relocations: Vec::new(),
            kfuncs: Vec::new(),
            maps: Vec::new(),
            references: (number + 1 < functions).then_some((0, Reference::Call(number + 1))).into_iter().collect(),
            lines: Vec::new(),
        };
        Code { functions: (0..functions).map(function).collect(), ..Code::default() }
    }

    #[test]
    fn long_chain_of_calls_is_no_program() {
        let program = Program::link(&chain(200_000, 2), 0, usize::MAX);
        assert!(program.too_large && program.insns.is_empty() && program.parts.is_empty());
        let program = Program::link(&chain(MOST_PARTS, 2), 0, usize::MAX);
        assert!(!program.too_large);
        assert_eq!((program.insns.len(), program.calls.len()), (2 * MOST_PARTS, MOST_PARTS - 1));
        assert!(Program::link(&chain(MOST_PARTS + 1, 2), 0, usize::MAX).too_large);
        assert!(Program::link(&chain(10, MOST_INSNS / 9), 0, usize::MAX).too_large);
        assert!(Program::link(&chain(10, 10), 0, 99).too_large);
    }

    #[test]
    fn part_is_the_one_that_an_instruction_lies_in() {
        let program = Program::link(&chain(3, 5), 0, usize::MAX);
        let starts: Vec<usize> = (0..15).map(|at| program.function_start(at)).collect();
        assert_eq!(starts, [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10, 10, 10, 10, 10]);
    }
}

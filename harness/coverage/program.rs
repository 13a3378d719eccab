//! [`Program`]: a program with its subprograms appended, as libbpf hands it to the verifier, and what its instructions refer to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::code::{Code, Reference};
use super::insn::{Insn, Next};

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
}

impl Program {
    /// Links the function `own` of the object.
    pub fn link(code: &Code, own: usize) -> Program {
        let mut program = Program {
            insns: Vec::new(),
            parts: Vec::new(),
            calls: HashMap::new(),
            globals: BTreeSet::new(),
            operands: BTreeMap::new(),
            joins: BTreeSet::new(),
        };
        program.append(code, own);
        program.find_joins();
        program
    }

    /// Appends a function and, in the order of its calls, what it calls: the order of libbpf's `bpf_object__reloc_code`. libbpf
    /// goes into a subprogram before it looks at the caller's next call; so does this.
    fn append(&mut self, code: &Code, function: usize) -> usize {
        let first = self.insns.len();
        self.parts.push(Part { function, first });
        let functions = &code.functions[function];
        self.insns.extend_from_slice(&functions.insns);
        if functions.global && first > 0 {
            self.globals.insert(first);
        }
        for (&insn, reference) in &functions.references {
            let at = first + insn;
            let operand = match *reference {
                Reference::Call(callee) => {
                    let target = self.place(code, callee);
                    self.calls.insert(at, target);
                    continue;
                }
                Reference::Function(callee) => Operand::Function(self.place(code, callee)),
                Reference::Operand(operand) => operand,
            };
            self.operands.insert(at, operand);
        }
        first
    }

    fn place(&mut self, code: &Code, function: usize) -> usize {
        let known = self.parts.iter().find(|part| part.function == function).map(|part| part.first);
        known.unwrap_or_else(|| self.append(code, function))
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
        let after = self.parts.iter().rev().filter(|part| part.first <= at).max_by_key(|part| part.first);
        after.copied().unwrap_or(Part { function: 0, first: 0 })
    }

    /// The first instruction of the function that an instruction lies in.
    pub fn function_start(&self, at: usize) -> usize {
        self.part(at).first
    }
}

//! [`Flow`]: which instructions of a program can be reached when guards have given values.
//!
//! An abstract interpretation: registers and stack places hold what is known about a [`Value`], states are joined where ways meet.
//! A static subprogram is followed with all arguments that its callers give; a global one with unknown arguments, as the verifier does.

mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::insn::{Insn, Next, Test};
use super::program::{Operand, Program};
use super::value::{Bits, Value, ValueSource};
use state::State;

/// Steps that one flow may take before a program is given up as too large; the kernel's own limit is a million instructions.
const MOST_STEPS: u64 = 4_000_000;
/// What guards shall be.
#[derive(Debug, Default)]
pub(super) struct FlowSetting {
    /// Values of questions, by the instruction that asks.
    pub values: HashMap<usize, Bits>,
    /// A branch and whether it is taken.
    pub forced: Option<(usize, bool)>,
}

/// What can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// By instruction.
    pub reached: Vec<bool>,
    /// Branches that went on to the next instruction, and that jumped.
    pub ways: BTreeMap<usize, [bool; 2]>,
    /// Branches that one question decides, by branch and asking instruction.
    pub decisions: BTreeMap<(usize, usize), BranchComparison>,
    /// Instructions that read a variable that guards know, with the variable and the offset in it.
    pub reads: BTreeMap<usize, (usize, i64)>,
}

/// What a branch compares an answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BranchComparison {
    /// Seen from the answer; `None` if the operands do not show it.
    pub test: Option<Test>,
    /// `None` for something that is no constant.
    pub with: Option<u64>,
}

/// A subprogram while it is followed.
#[derive(Default)]
struct Called {
    /// Where to go on when it returns something new.
    callers: BTreeSet<usize>,
    returned: Option<Value>,
}

struct Walk<'a> {
    program: &'a Program,
    setting: &'a FlowSetting,
    /// By first instruction of a block.
    states: HashMap<usize, State>,
    open: BTreeSet<usize>,
    called: HashMap<usize, Called>,
    flow: Flow,
    /// Steps that it may still take.
    left: u64,
}

impl Flow {
    /// Follows the program from its start; `None` if it is too large.
    pub fn of(program: &Program, setting: &FlowSetting) -> Option<Flow> {
        let mut left = MOST_STEPS;
        Flow::within(program, setting, &mut left)
    }

    /// Follows it likewise, and takes the steps that this needs from `left`; `None` if there are not enough.
    pub fn within(program: &Program, setting: &FlowSetting, left: &mut u64) -> Option<Flow> {
        // Also a flow that goes nowhere needs room for all instructions.
        let least = 1 + program.insns.len() as u64 / 64;
        if program.too_large || *left < least {
            return None;
        }
        *left -= least;
        let flow = Flow {
            reached: vec![false; program.insns.len()],
            ways: BTreeMap::new(),
            decisions: BTreeMap::new(),
            reads: BTreeMap::new(),
        };
        let (states, called) = (HashMap::new(), HashMap::new());
        let most = (*left).min(MOST_STEPS);
        let mut walk = Walk { program, setting, states, open: BTreeSet::new(), called, flow, left: most };
        walk.arrive(0, &State::entry([Value::Unknown; 5]));
        while let Some(block) = walk.open.pop_first().filter(|_| walk.left > 0) {
            walk.block(block);
        }
        *left -= most - walk.left;
        (walk.left > 0).then_some(walk.flow)
    }
}

impl Walk<'_> {
    fn arrive(&mut self, at: usize, state: &State) {
        self.left = self.left.saturating_sub(1 + state.stack.len() as u64);
        let news = match self.states.get_mut(&at) {
            Some(known) => known.join(state),
            None => {
                self.states.insert(at, state.clone());
                true
            }
        };
        if news {
            self.open.insert(at);
        }
    }

    fn block(&mut self, begin: usize) {
        let Some(mut state) = self.states.get(&begin).cloned() else { return };
        let mut at = begin;
        while let Some(&insn) = self.program.insns.get(at).filter(|_| self.left > 0) {
            self.left -= 1;
            self.flow.reached[at] = true;
            let next = at + 1 + usize::from(insn.is_wide());
            match insn.next() {
                Next::Exit => return self.leave(at, state.get(0)),
                Next::Jump(by) => return self.jump(at, by, &state),
                Next::Branch(by) => {
                    let ways = self.branch(at, insn, &state);
                    let seen = self.flow.ways.entry(at).or_default();
                    *seen = [seen[0] | ways[0], seen[1] | ways[1]];
                    if ways[0] {
                        self.arrive(next, &state);
                    }
                    if ways[1] {
                        self.jump(at, by, &state);
                    }
                    return;
                }
                Next::Through if insn.is_call() => {
                    let Some(returned) = self.call(at, begin, &state) else { return };
                    state.after_call(returned);
                }
                Next::Through => self.step(at, insn, &mut state),
            }
            at = next;
            if self.program.joins.contains(&at) {
                return self.arrive(at, &state);
            }
        }
    }

    fn jump(&mut self, at: usize, by: i32, state: &State) {
        if let Some(target) = (at + 1).checked_add_signed(by as isize).filter(|&to| to < self.program.insns.len()) {
            self.arrive(target, state);
        }
    }

    /// Whether a branch can go on and whether it can jump.
    fn branch(&mut self, at: usize, insn: Insn, state: &State) -> [bool; 2] {
        if let Some((branch, taken)) = self.setting.forced
            && branch == at
        {
            return [!taken, taken];
        }
        let Some(test) = insn.test() else { return [true, true] };
        let left = state.get(insn.dst);
        let right = match insn.uses_register() {
            true => state.get(insn.src),
            false => Value::constant(i64::from(insn.imm).cast_unsigned()),
        };
        // Against what only the run time knows an answer decides nothing.
        let other_is_known = |one: Value| one.source() != ValueSource::None || one.bits().known().is_some();
        if let ValueSource::One(asked) = left.source().join(right.source())
            && other_is_known(left)
            && other_is_known(right)
        {
            let (test, other) = match left.source() {
                ValueSource::None => (test.mirrored(), left),
                _ => (test, right),
            };
            let with = other.bits().known().filter(|_| other.source() == ValueSource::None);
            self.flow.decisions.insert((at, asked), BranchComparison { test: Some(test), with });
        }
        match left.bits().test(test, right.bits(), insn.class() == 6) {
            Some(taken) => [!taken, taken],
            None => [true, true],
        }
    }

    /// Follows a call; gives what it returns, or `None` as long as that is not known.
    fn call(&mut self, at: usize, block: usize, state: &State) -> Option<Value> {
        let Some(&target) = self.program.calls.get(&at) else { return Some(Value::Unknown) };
        if self.program.globals.contains(&target) {
            self.arrive(target, &State::entry([Value::Unknown; 5]));
            return Some(Value::Unknown);
        }
        let argument = |register| match state.get(register) {
            // The caller's stack is not that of the subprogram.
            Value::Stack(_) => Value::Unknown,
            value => value,
        };
        self.arrive(target, &State::entry([1, 2, 3, 4, 5].map(argument)));
        let called = self.called.entry(target).or_default();
        called.callers.insert(block);
        called.returned
    }

    fn leave(&mut self, at: usize, returned: Value) {
        let function = self.program.function_start(at);
        let returned = if matches!(returned, Value::Stack(_)) { Value::Unknown } else { returned };
        let called = self.called.entry(function).or_default();
        let joined = called.returned.map_or(returned, |known| known.join(returned));
        if called.returned != Some(joined) {
            called.returned = Some(joined);
            self.open.extend(called.callers.iter().copied());
        }
    }

    /// An instruction that neither jumps nor calls.
    fn step(&mut self, at: usize, insn: Insn, state: &mut State) {
        match insn.class() {
            4 | 7 => {
                let value = match self.program.operands.get(&at) {
                    Some(Operand::Relocation { existence, .. }) => self.asked(
                        at,
                        match existence {
                            true => Bits::BOOLEAN,
                            false => Bits::UNKNOWN,
                        },
                    ),
                    _ => state.compute(insn),
                };
                state.set(insn.dst, value);
            }
            0 if insn.is_wide() => {
                let value = match self.program.operands.get(&at) {
                    Some(Operand::Relocation { existence, .. }) => self.asked(
                        at,
                        match existence {
                            true => Bits::BOOLEAN,
                            false => Bits::UNKNOWN,
                        },
                    ),
                    Some(Operand::Ksym(_)) => self.asked(at, Bits::UNKNOWN),
                    Some(Operand::Variable { variable, offset }) => Value::Data(*variable, *offset),
                    Some(Operand::Function(target)) => {
                        self.arrive(*target, &State::entry([Value::Unknown; 5]));
                        Value::Unknown
                    }
                    Some(Operand::Other) => Value::Unknown,
                    None => {
                        let high = self.program.insns.get(at + 1).map_or(0, |half| half.imm);
                        let (low, high) = (u64::from(insn.imm.cast_unsigned()), u64::from(high.cast_unsigned()));
                        if insn.src == 0 { Value::constant(low | high << 32) } else { Value::Unknown }
                    }
                };
                state.set(insn.dst, value);
            }
            1 => {
                let value = self.load(at, insn, state);
                state.set(insn.dst, value);
            }
            2 | 3 => state.store(insn),
            // Loads of packets, which end the program or give a number.
            _ => state.after_call(Value::Unknown),
        }
    }

    fn asked(&self, at: usize, otherwise: Bits) -> Value {
        Value::Number(self.setting.values.get(&at).copied().unwrap_or(otherwise), ValueSource::One(at))
    }

    fn load(&mut self, at: usize, insn: Insn, state: &State) -> Value {
        let bytes = insn.access_bytes();
        // BPF_MEM; what a signed load or a probe gives is not followed.
        let plain = insn.code & 0xe0 == 0x60;
        let width = if bytes == 8 { u64::MAX } else { (1 << (8 * u32::from(bytes))) - 1 };
        match state.get(insn.src) {
            Value::Stack(Some(base)) if plain => {
                let place = base.checked_add(i32::from(insn.off)).map(|at| (at, bytes));
                place.and_then(|place| state.stack.get(&place).copied()).unwrap_or(Value::Unknown)
            }
            Value::Data(variable, offset) if plain || insn.code & 0xe0 == 0x80 => {
                self.flow.reads.insert(at, (variable, offset.wrapping_add(insn.off.into())));
                self.asked(at, Bits::within(if plain { width } else { u64::MAX }))
            }
            _ if plain => Value::Number(Bits::within(width), ValueSource::None),
            _ => Value::Unknown,
        }
    }
}

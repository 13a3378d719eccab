//! [`State`]: what is known about registers and stack, and what instructions make of it.

use std::collections::BTreeMap;

use super::super::insn::Insn;
use super::super::value::{Bits, Value};

/// The size of a stack in bytes (`MAX_BPF_STACK`).
const STACK: i32 = 512;

/// What is known about registers and stack at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    registers: [Value; 11],
    /// By offset from the frame pointer and size.
    pub stack: BTreeMap<(i32, u8), Value>,
}

impl State {
    pub fn entry(arguments: [Value; 5]) -> State {
        let mut registers = [Value::Unknown; 11];
        registers[1..6].copy_from_slice(&arguments);
        registers[10] = Value::Stack(Some(0));
        State { registers, stack: BTreeMap::new() }
    }

    /// Takes another way to the same place in; returns whether that changes anything.
    pub fn join(&mut self, other: &State) -> bool {
        let before = self.clone();
        for (one, other) in self.registers.iter_mut().zip(&other.registers) {
            *one = one.join(*other);
        }
        self.stack.retain(|place, value| match other.stack.get(place) {
            Some(other) => {
                *value = value.join(*other);
                true
            }
            None => false,
        });
        *self != before
    }

    pub fn get(&self, register: u8) -> Value {
        self.registers.get(usize::from(register)).copied().unwrap_or(Value::Unknown)
    }

    pub fn set(&mut self, register: u8, value: Value) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }

    /// Forgets what a write to the stack may have changed. Whoever gets an address may write from there on upwards.
    fn overwrite(&mut self, at: Option<i32>, bytes: Option<u8>) {
        self.stack.retain(|&(offset, size), _| match (at, bytes) {
            (None, _) => false,
            (Some(at), None) => offset + i32::from(size) <= at,
            (Some(at), Some(bytes)) => offset + i32::from(size) <= at || at.saturating_add(i32::from(bytes)) <= offset,
        });
    }

    /// What a call leaves behind.
    pub fn after_call(&mut self, returned: Value) {
        for register in 1..6 {
            if let Value::Stack(at) = self.get(register) {
                self.overwrite(at, None);
            }
            self.set(register, Value::Unknown);
        }
        self.set(0, returned);
    }

    /// What a store leaves on the stack.
    pub fn store(&mut self, insn: Insn) {
        let Value::Stack(base) = self.get(insn.dst) else { return };
        let bytes = insn.access_bytes();
        let at = base.and_then(|base| base.checked_add(insn.off.into()));
        self.overwrite(at, Some(bytes));
        let value = match insn.class() {
            2 => Value::constant(i64::from(insn.imm).cast_unsigned()),
            _ => self.get(insn.src),
        };
        // An atomic operation leaves something else there, and may change its source.
        if insn.code & 0xe0 == 0xc0 {
            self.set(insn.src, Value::Unknown);
            self.set(0, Value::Unknown);
            return;
        }
        if let Some(at) = at {
            let kept = match value {
                Value::Number(bits, source) if bytes < 8 => {
                    let width = Bits::constant((1 << (8 * u32::from(bytes))) - 1);
                    Value::Number(bits.compute(0x50, width, false), source)
                }
                value => value,
            };
            // Beyond the stack nothing can be kept, and here nothing needs to be.
            if (-STACK..0).contains(&at) {
                self.stack.insert((at, bytes), kept);
            }
        }
    }

    /// What an arithmetic instruction gives.
    pub fn compute(&self, insn: Insn) -> Value {
        let narrow = insn.class() == 4;
        let (code, left) = (insn.code & 0xf0, self.get(insn.dst));
        let right = match insn.uses_register() && code != 0x80 {
            true => self.get(insn.src),
            false => Value::constant(i64::from(insn.imm).cast_unsigned()),
        };
        // A move that extends a sign (-mcpu=v4), a swap of bytes.
        if (insn.off != 0 && matches!(code, 0xb0)) || code == 0xd0 {
            return Value::Number(Bits::UNKNOWN, right.source().join(left.source()));
        }
        match (code, left, right) {
            (0xb0, _, right) if !narrow => right,
            (0x00 | 0x10, Value::Stack(base), Value::Number(by, _)) if !narrow => {
                let by = by.known().and_then(|by| i32::try_from(by.cast_signed()).ok());
                let by = if code == 0x10 { by.and_then(i32::checked_neg) } else { by };
                Value::Stack(base.zip(by).and_then(|(base, by)| base.checked_add(by)))
            }
            (0x00, Value::Data(variable, base), Value::Number(by, _)) if !narrow => match by.known() {
                Some(by) => Value::Data(variable, base.wrapping_add(by.cast_signed())),
                None => Value::Unknown,
            },
            (_, Value::Stack(_), _) | (_, _, Value::Stack(_)) => Value::Stack(None),
            (0xb0, _, right) => Value::Number(right.bits().narrow(), right.source()),
            (_, left, right) => {
                Value::Number(left.bits().compute(code, right.bits(), narrow), left.source().join(right.source()))
            }
        }
    }
}

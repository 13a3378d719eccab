//! [`Value`]: what is known about a register or of a place on the stack while the program is followed.

use super::insn::Test;

/// A number of which some bits are known, as the verifier's `tnum`: where `mask` is 1 the bit is unknown and `value` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    value: u64,
    mask: u64,
}

/// Which guard a number came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueSource {
    /// None.
    None,
    /// One question.
    One(usize),
    /// Several, so that none of them decides alone.
    Several,
}

/// What is known about a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing; also not that it is no pointer.
    Unknown,
    /// A number.
    Number(Bits, ValueSource),
    /// The frame pointer and so many bytes; `None` for somewhere on the stack.
    Stack(Option<i32>),
    /// An address within a variable that the guards know: the number of its question set and the offset.
    Data(usize, i64),
}

impl Bits {
    /// Nothing is known.
    pub const UNKNOWN: Bits = Bits { value: 0, mask: u64::MAX };
    /// 0 or 1.
    pub const BOOLEAN: Bits = Bits { value: 0, mask: 1 };

    pub fn constant(value: u64) -> Bits {
        Bits { value, mask: 0 }
    }

    /// A number of which only the low bits can be set.
    pub fn within(mask: u64) -> Bits {
        Bits { value: 0, mask }
    }

    pub fn known(self) -> Option<u64> {
        (self.mask == 0).then_some(self.value)
    }

    pub fn join(self, other: Bits) -> Bits {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Bits { value: self.value & !mask, mask }
    }

    /// The low 32 bits, the others 0.
    pub fn narrow(self) -> Bits {
        Bits { value: self.value & 0xffff_ffff, mask: self.mask & 0xffff_ffff }
    }

    fn and(self, other: Bits) -> Bits {
        let (alpha, beta) = (self.value | self.mask, other.value | other.mask);
        let value = self.value & other.value;
        Bits { value, mask: alpha & beta & !value }
    }

    fn or(self, other: Bits) -> Bits {
        let value = self.value | other.value;
        Bits { value, mask: (self.mask | other.mask) & !value }
    }

    fn xor(self, other: Bits) -> Bits {
        let mask = self.mask | other.mask;
        Bits { value: (self.value ^ other.value) & !mask, mask }
    }

    fn add(self, other: Bits) -> Bits {
        let (masks, values) = (self.mask.wrapping_add(other.mask), self.value.wrapping_add(other.value));
        let sigma = masks.wrapping_add(values);
        let mask = (sigma ^ values) | self.mask | other.mask;
        Bits { value: values & !mask, mask }
    }

    /// What an ALU operation gives; `code` is the high half of its operation code.
    pub fn compute(self, code: u8, other: Bits, narrow: bool) -> Bits {
        let (left, right) = if narrow { (self.narrow(), other.narrow()) } else { (self, other) };
        let width = if narrow { 32 } else { 64 };
        let shift = right.known().map(|by| (by % width) as u32);
        let result = match (code, shift) {
            (0x00, _) => left.add(right),
            (0x40, _) => left.or(right),
            (0x50, _) => left.and(right),
            (0xa0, _) => left.xor(right),
            (0xb0, _) => right,
            (0x60, Some(by)) => Bits { value: left.value << by, mask: left.mask << by },
            (0x70, Some(by)) => Bits { value: left.value >> by, mask: left.mask >> by },
            (0xc0, Some(by)) => left.shift_signed(by, narrow),
            _ => match (left.known(), right.known()) {
                (Some(left), Some(right)) => compute(code, left, right, narrow).map_or(Bits::UNKNOWN, Bits::constant),
                _ => Bits::UNKNOWN,
            },
        };
        if narrow { result.narrow() } else { result }
    }

    fn shift_signed(self, by: u32, narrow: bool) -> Bits {
        // An unknown sign makes the bits that are shifted in unknown: the mask is shifted as a number with a sign, too.
        let shift = |word: u64| match narrow {
            true => u64::from(((word as u32).cast_signed() >> by).cast_unsigned()),
            false => (word.cast_signed() >> by).cast_unsigned(),
        };
        let mask = shift(self.mask);
        Bits { value: shift(self.value) & !mask, mask }
    }

    /// What a test gives; `None` if it can go both ways.
    pub fn test(self, test: Test, other: Bits, narrow: bool) -> Option<bool> {
        let (left, right) = if narrow { (self.narrow(), other.narrow()) } else { (self, other) };
        if let (Some(left), Some(right)) = (left.known(), right.known()) {
            return Some(test.holds(left, right, narrow));
        }
        let differ = (left.value ^ right.value) & !left.mask & !right.mask != 0;
        let (least, most) = (left.value, left.value | left.mask);
        let (right_least, right_most) = (right.value, right.value | right.mask);
        match test {
            Test::Equal if differ => Some(false),
            Test::NotEqual if differ => Some(true),
            Test::Bits if left.value & right.value != 0 => Some(true),
            Test::Bits if most & right_most == 0 => Some(false),
            Test::Above | Test::BelowEqual if least > right_most || most <= right_least => {
                Some((least > right_most) == (test == Test::Above))
            }
            Test::AboveEqual | Test::Below if least >= right_most || most < right_least => {
                Some((least >= right_most) == (test == Test::AboveEqual))
            }
            _ => None,
        }
    }
}

/// Operations whose operands have to be known whole.
fn compute(code: u8, left: u64, right: u64, narrow: bool) -> Option<u64> {
    Some(match code {
        0x10 => left.wrapping_sub(right),
        0x20 => left.wrapping_mul(right),
        0x80 if narrow => u64::from((left as u32).wrapping_neg()),
        0x80 => left.wrapping_neg(),
        _ => return None,
    })
}

impl ValueSource {
    pub fn join(self, other: ValueSource) -> ValueSource {
        match (self, other) {
            (ValueSource::None, one) | (one, ValueSource::None) => one,
            (one, other) if one == other => one,
            _ => ValueSource::Several,
        }
    }
}

impl Value {
    pub const fn constant(value: u64) -> Value {
        Value::Number(Bits { value, mask: 0 }, ValueSource::None)
    }

    pub fn join(self, other: Value) -> Value {
        match (self, other) {
            (one, other) if one == other => one,
            (Value::Number(one, source), Value::Number(other, with)) => {
                Value::Number(one.join(other), source.join(with))
            }
            (Value::Stack(_), _) | (_, Value::Stack(_)) => Value::Stack(None),
            _ => Value::Unknown,
        }
    }

    pub fn bits(self) -> Bits {
        match self {
            Value::Number(bits, _) => bits,
            // An address is never 0; guards ask for nothing else of one.
            _ => Bits::UNKNOWN,
        }
    }

    pub fn source(self) -> ValueSource {
        match self {
            Value::Number(_, source) => source,
            _ => ValueSource::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number that `bits` can be, of the low three bits.
    fn all(bits: Bits) -> impl Iterator<Item = u64> {
        (0..8).filter(move |number| number & !bits.mask == bits.value)
    }

    #[test]
    fn what_is_computed_holds_for_every_number() {
        let some = || (0..8u64).flat_map(|mask| (0..8u64).map(move |value| Bits { value: value & !mask, mask }));
        for (left, right) in some().flat_map(|left| some().map(move |right| (left, right))) {
            for code in [0x00, 0x40, 0x50, 0xa0, 0xb0] {
                let result = left.compute(code, right, false);
                for (a, b) in all(left).flat_map(|a| all(right).map(move |b| (a, b))) {
                    let exact = match code {
                        0x00 => a + b,
                        0x40 => a | b,
                        0x50 => a & b,
                        0xa0 => a ^ b,
                        _ => b,
                    };
                    assert_eq!(exact & !result.mask, result.value, "{left:?} {code:#x} {right:?}");
                }
            }
            for test in
                [Test::Equal, Test::NotEqual, Test::Above, Test::AboveEqual, Test::Below, Test::BelowEqual, Test::Bits]
            {
                if let Some(result) = left.test(test, right, false) {
                    let mut pairs = all(left).flat_map(|a| all(right).map(move |b| (a, b)));
                    assert!(pairs.all(|(a, b)| test.holds(a, b, false) == result), "{left:?} {test:?} {right:?}");
                }
            }
        }
    }

    #[test]
    fn half_known_answers_decide_where_they_can() {
        let zero = Bits::constant(0);
        assert_eq!(Bits::BOOLEAN.compute(0x50, zero, true), zero);
        assert_eq!(Bits::BOOLEAN.compute(0x40, Bits::constant(1), false).known(), Some(1));
        assert_eq!(Bits::BOOLEAN.test(Test::Equal, zero, true), None);
        assert_eq!(Bits::constant(0x8000_0000).compute(0xc0, Bits::constant(31), true).known(), Some(0xffff_ffff));
        assert_eq!(Bits::constant(5 << 32).compute(0xc0, Bits::constant(32), false).known(), Some(5));
    }
}

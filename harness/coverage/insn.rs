//! [`Insn`]: one BPF instruction, taken apart as far as the flow analysis needs it.

/// Bytes of an instruction; a 64-bit load takes two of them.
pub(super) const BYTES: usize = 8;

/// `BPF_PSEUDO_CALL`: the source register of a call to a subprogram.
const PSEUDO_CALL: u8 = 1;

/// One instruction. The second half of a 64-bit load is one of its own, with code 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insn {
    /// Operation code.
    pub code: u8,
    /// Destination register.
    pub dst: u8,
    /// Source register.
    pub src: u8,
    /// Offset of a jump or of a memory access.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

/// The place in a value where a jump looks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Above,
    /// `>=`
    AboveEqual,
    /// `<`
    Below,
    /// `<=`
    BelowEqual,
    /// `>`, signed
    Greater,
    /// `>=`, signed
    GreaterEqual,
    /// `<`, signed
    Less,
    /// `<=`, signed
    LessEqual,
    /// `&`
    Bits,
}

/// Where control goes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// To the next one; of a 64-bit load, to the one after its second half.
    Through,
    /// Nowhere: the function ends.
    Exit,
    /// So many instructions after the next one.
    Jump(i32),
    /// There or to the next one.
    Branch(i32),
}

impl Insn {
    /// Takes the instructions of a piece of code apart; bytes that make no whole one are left out.
    pub fn decode(bytes: &[u8]) -> Vec<Insn> {
        let one = |bytes: &[u8]| Insn {
            code: bytes[0],
            dst: bytes[1] & 0xf,
            src: bytes[1] >> 4,
            off: i16::from_le_bytes([bytes[2], bytes[3]]),
            imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        };
        bytes.chunks_exact(BYTES).map(one).collect()
    }

    /// The low three bits of the code.
    pub fn class(self) -> u8 {
        self.code & 7
    }

    /// Whether it is the first half of a 64-bit load.
    pub fn is_wide(self) -> bool {
        self.code == 0x18
    }

    /// Whether the second operand is a register.
    pub fn uses_register(self) -> bool {
        self.code & 8 != 0
    }

    /// The number of the helper that it calls.
    pub fn helper(self) -> Option<u32> {
        (self.code == 0x85 && self.src == 0).then_some(self.imm as u32)
    }

    /// Whether it is a call of a subprogram of the object.
    pub fn calls_subprogram(self) -> bool {
        self.code == 0x85 && self.src == PSEUDO_CALL
    }

    /// Whether it is a call of any sort.
    pub fn is_call(self) -> bool {
        self.code == 0x85 || self.code == 0x8d
    }

    /// Bytes that a memory instruction reads or writes.
    pub fn access_bytes(self) -> u8 {
        match self.code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        }
    }

    /// Whether it only moves control: the verifier may take such a one out although it was reached.
    pub fn is_jump(self) -> bool {
        matches!(self.next(), Next::Jump(_) | Next::Branch(_))
    }

    /// Where control goes.
    pub fn next(self) -> Next {
        match (self.class(), self.code & 0xf0) {
            (5, 0x00) => Next::Jump(self.off.into()),
            // `gotol` of -mcpu=v4.
            (6, 0x00) => Next::Jump(self.imm),
            (5, 0x90) => Next::Exit,
            (5, 0x80) => Next::Through,
            // `may_goto` and similar instructions may go both ways, as every other.
            (5 | 6, _) => Next::Branch(self.off.into()),
            _ => Next::Through,
        }
    }

    /// What a branch tests; `None` if its operands do not decide that.
    pub fn test(self) -> Option<Test> {
        Some(match self.code & 0xf0 {
            0x10 => Test::Equal,
            0x20 => Test::Above,
            0x30 => Test::AboveEqual,
            0x40 => Test::Bits,
            0x50 => Test::NotEqual,
            0x60 => Test::Greater,
            0x70 => Test::GreaterEqual,
            0xa0 => Test::Below,
            0xb0 => Test::BelowEqual,
            0xc0 => Test::Less,
            0xd0 => Test::LessEqual,
            _ => return None,
        })
    }
}

impl Test {
    /// Whether it holds.
    pub fn holds(self, left: u64, right: u64, narrow: bool) -> bool {
        let (left, right) = if narrow { (left & 0xffff_ffff, right & 0xffff_ffff) } else { (left, right) };
        let signed = |value: u64| if narrow { i64::from(value as u32 as i32) } else { value.cast_signed() };
        match self {
            Test::Equal => left == right,
            Test::NotEqual => left != right,
            Test::Above => left > right,
            Test::AboveEqual => left >= right,
            Test::Below => left < right,
            Test::BelowEqual => left <= right,
            Test::Greater => signed(left) > signed(right),
            Test::GreaterEqual => signed(left) >= signed(right),
            Test::Less => signed(left) < signed(right),
            Test::LessEqual => signed(left) <= signed(right),
            Test::Bits => left & right != 0,
        }
    }

    /// The test with its operands swapped.
    pub fn mirrored(self) -> Test {
        match self {
            Test::Above => Test::Below,
            Test::AboveEqual => Test::BelowEqual,
            Test::Below => Test::Above,
            Test::BelowEqual => Test::AboveEqual,
            Test::Greater => Test::Less,
            Test::GreaterEqual => Test::LessEqual,
            Test::Less => Test::Greater,
            Test::LessEqual => Test::GreaterEqual,
            same => same,
        }
    }

    /// How it is written, and how its opposite.
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Test::Equal => ["==", "!="],
            Test::NotEqual => ["!=", "=="],
            Test::Above | Test::Greater => [">", "<="],
            Test::AboveEqual | Test::GreaterEqual => [">=", "<"],
            Test::Below | Test::Less => ["<", ">="],
            Test::BelowEqual | Test::LessEqual => ["<=", ">"],
            Test::Bits => ["has a bit of", "has no bit of"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_apart() {
        let bytes = [
            [0x16, 1, 2, 0, 0, 0, 0, 0],
            [0x05, 0, 0xff, 0xff, 0, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
            [0x85, 0x10, 0, 0, 7, 0, 0, 0],
            [0x18, 0x41, 0, 0, 7, 0, 0, 0],
            [0x61, 0x21, 0xf8, 0xff, 0, 0, 0, 0],
        ];
        let insns = Insn::decode(bytes.as_flattened());
        let next: Vec<Next> = insns.iter().map(|insn| insn.next()).collect();
        use Next::{Branch, Exit, Jump, Through};
        assert_eq!(next, [Branch(2), Jump(-1), Exit, Through, Through, Through]);
        assert!(insns[3].calls_subprogram() && insns[4].is_wide() && insns[0].is_jump());
        assert_eq!((insns[0].test(), insns[5].access_bytes(), insns[5].off), (Some(Test::Equal), 4, -8));
        assert!(Insn::decode(&[0; 7]).is_empty());
    }

    #[test]
    fn narrow_tests_see_32_bits() {
        assert!(Test::Equal.holds(1 << 32, 0, true) && !Test::Equal.holds(1 << 32, 0, false));
        assert!(Test::Less.holds(0xffff_ffff, 0, true) && !Test::Less.holds(0xffff_ffff, 0, false));
    }
}

//! [`NewInstruction`]: an instruction that older kernels refuse, recognised by its bytes.

use std::collections::BTreeSet;

use super::inventory::INSN_SIZE;

/// A kind of instruction that came later than the oldest kernels that one tests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NewInstruction {
    /// An atomic one that is more than an addition without result: `and`, `or`, `xor`, `fetch`, `xchg`, `cmpxchg`.
    Atomic,
    /// A load-acquire or store-release.
    AcquireRelease,
    /// A load that extends the sign.
    SignExtendingLoad,
    /// A move that extends the sign.
    SignExtendingMove,
    /// `bswap`: a swap of bytes on every machine.
    ByteSwap,
    /// A signed division or remainder.
    SignedDivision,
    /// `gotol`: a jump with an offset of 32 bits.
    LongJump,
    /// `may_goto`: the jump of `can_loop` and `cond_break`.
    MayGoto,
    /// A cast of a pointer into or out of an arena.
    AddressSpaceCast,
    /// `gotox`: a jump through a table.
    IndirectJump,
}

impl NewInstruction {
    /// Every kind.
    pub const ALL: [NewInstruction; 10] = [
        NewInstruction::Atomic,
        NewInstruction::AcquireRelease,
        NewInstruction::SignExtendingLoad,
        NewInstruction::SignExtendingMove,
        NewInstruction::ByteSwap,
        NewInstruction::SignedDivision,
        NewInstruction::LongJump,
        NewInstruction::MayGoto,
        NewInstruction::AddressSpaceCast,
        NewInstruction::IndirectJump,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            NewInstruction::Atomic => "atomic instruction",
            NewInstruction::AcquireRelease => "load-acquire or store-release",
            NewInstruction::SignExtendingLoad => "sign-extending load",
            NewInstruction::SignExtendingMove => "sign-extending move",
            NewInstruction::ByteSwap => "bswap",
            NewInstruction::SignedDivision => "signed division",
            NewInstruction::LongJump => "gotol",
            NewInstruction::MayGoto => "may_goto",
            NewInstruction::AddressSpaceCast => "addr_space_cast",
            NewInstruction::IndirectJump => "gotox",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<NewInstruction> {
        NewInstruction::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The first release of Linux that takes it on x86-64.
    pub fn since(self) -> (u32, u32) {
        match self {
            NewInstruction::Atomic => (5, 12),
            NewInstruction::SignExtendingLoad
            | NewInstruction::SignExtendingMove
            | NewInstruction::ByteSwap
            | NewInstruction::SignedDivision
            | NewInstruction::LongJump => (6, 6),
            NewInstruction::MayGoto | NewInstruction::AddressSpaceCast => (6, 9),
            NewInstruction::AcquireRelease => (6, 15),
            NewInstruction::IndirectJump => (6, 19),
        }
    }

    /// The kind of an instruction of 8 bytes; `None` for one that all kernels take.
    fn of(insn: &[u8]) -> Option<NewInstruction> {
        let &[code, _, low, high, a, b, c, d] = insn else { return None };
        let offset = i16::from_le_bytes([low, high]);
        let immediate = i32::from_le_bytes([a, b, c, d]);
        match code {
            // `lock *(u32 *)` and `lock *(u64 *)`; 0 is the addition that kernels had before.
            0xc3 | 0xdb if matches!(immediate, 0x100 | 0x110) => Some(NewInstruction::AcquireRelease),
            0xc3 | 0xdb => (immediate != 0).then_some(NewInstruction::Atomic),
            // Of bytes and half words there is nothing else.
            0xcb | 0xd3 => Some(NewInstruction::AcquireRelease),
            0x81 | 0x89 | 0x91 => Some(NewInstruction::SignExtendingLoad),
            0xbf if offset == 1 => Some(NewInstruction::AddressSpaceCast),
            0xbc | 0xbf => matches!(offset, 8 | 16 | 32).then_some(NewInstruction::SignExtendingMove),
            0xd7 => Some(NewInstruction::ByteSwap),
            0x34 | 0x37 | 0x3c | 0x3f | 0x94 | 0x97 | 0x9c | 0x9f => {
                (offset == 1).then_some(NewInstruction::SignedDivision)
            }
            0x06 => Some(NewInstruction::LongJump),
            0x0d => Some(NewInstruction::IndirectJump),
            0xe5 => Some(NewInstruction::MayGoto),
            _ => None,
        }
    }
}

/// The kinds in a function's code.
pub(super) fn in_code(code: &[u8]) -> BTreeSet<NewInstruction> {
    let mut insns = code.chunks_exact(INSN_SIZE as usize);
    let mut found = BTreeSet::new();
    while let Some(insn) = insns.next() {
        found.extend(NewInstruction::of(insn));
        if insn[0] == 0x18 {
            // The second half of a 64-bit load.
            insns.next();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_bytes() {
        let kinds = |code: &[[u8; 8]]| Vec::from_iter(in_code(&code.concat()));
        for (insn, kind) in [
            ([0xdb, 0x21, 0, 0, 0x01, 0, 0, 0], NewInstruction::Atomic),
            ([0xdb, 0x21, 0, 0, 0xf1, 0, 0, 0], NewInstruction::Atomic),
            ([0xc3, 0x21, 0, 0, 0x50, 0, 0, 0], NewInstruction::Atomic),
            ([0xd3, 0x21, 0, 0, 0, 1, 0, 0], NewInstruction::AcquireRelease),
            ([0xdb, 0x21, 0, 0, 0x10, 1, 0, 0], NewInstruction::AcquireRelease),
            ([0x91, 0x10, 0, 0, 0, 0, 0, 0], NewInstruction::SignExtendingLoad),
            ([0xbf, 0x11, 8, 0, 0, 0, 0, 0], NewInstruction::SignExtendingMove),
            ([0xbf, 0x11, 1, 0, 1, 0, 0, 0], NewInstruction::AddressSpaceCast),
            ([0xd7, 0x01, 0, 0, 0x10, 0, 0, 0], NewInstruction::ByteSwap),
            ([0x3f, 0x21, 1, 0, 0, 0, 0, 0], NewInstruction::SignedDivision),
            ([0x06, 0, 0, 0, 1, 0, 0, 0], NewInstruction::LongJump),
            ([0x0d, 0x01, 0, 0, 0, 0, 0, 0], NewInstruction::IndirectJump),
            ([0xe5, 0, 1, 0, 0, 0, 0, 0], NewInstruction::MayGoto),
        ] {
            assert_eq!(kinds(&[insn]), [kind], "{insn:x?}");
            // It is a number there.
            assert_eq!(kinds(&[[0x18, 0x01, 0, 0, 0, 0, 0, 0], insn]), [], "{insn:x?}");
        }
        // An addition without result, a plain load, move, division and jump, and a swap into an order.
        let old = [
            [0xdb, 0x21, 0, 0, 0, 0, 0, 0],
            [0x79, 0x10, 0, 0, 0, 0, 0, 0],
            [0xbf, 0x11, 0, 0, 0, 0, 0, 0],
            [0x3f, 0x21, 0, 0, 0, 0, 0, 0],
            [0x05, 0, 1, 0, 0, 0, 0, 0],
            [0xdc, 0x01, 0, 0, 0x10, 0, 0, 0],
        ];
        assert_eq!(kinds(&old), []);
    }

    #[test]
    fn every_name_is_that_of_one_kind() {
        for kind in NewInstruction::ALL {
            assert_eq!(NewInstruction::of_name(kind.name()), Some(kind));
        }
    }
}

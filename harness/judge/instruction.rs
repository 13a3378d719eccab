//! [`refused`]: which instruction a kernel does not take, where it complains of the form of one.
//!
//! Kernels look at the forms of all instructions before they walk through a program, and then name none. The object's bytes show it.

use super::Case;
use crate::object::NewInstruction;

/// The complaints of kernels from 5.4 on that lack the instruction.
fn complaints(kind: NewInstruction) -> &'static [&'static str] {
    match kind {
        NewInstruction::Atomic => &["BPF_STX uses reserved fields", "BPF_XADD uses reserved fields"],
        NewInstruction::AcquireRelease => &[
            "BPF_STX uses reserved fields",
            "BPF_XADD uses reserved fields",
            "BPF_ATOMIC uses invalid atomic opcode",
            "BPF_ATOMIC uses reserved fields",
            "invalid atomic operand size",
            "load-acquires are only supported",
            "store-releases are only supported",
            "unknown opcode cb",
            "unknown opcode d3",
        ],
        NewInstruction::SignExtendingLoad => {
            &["BPF_LDX uses reserved fields", "unknown opcode 81", "unknown opcode 89", "unknown opcode 91"]
        }
        NewInstruction::SignExtendingMove => &["BPF_MOV uses reserved fields"],
        NewInstruction::ByteSwap => &["BPF_END uses reserved fields", "unknown opcode d7"],
        NewInstruction::SignedDivision => &["BPF_ALU uses reserved fields"],
        NewInstruction::LongJump => {
            &["BPF_JA uses reserved fields", "unknown opcode 06", "unknown opcode 6", "invalid BPF_JMP"]
        }
        NewInstruction::MayGoto => &["unknown opcode e5", "invalid BPF_JMP opcode e0", "invalid may_goto"],
        NewInstruction::AddressSpaceCast => &["BPF_MOV uses reserved fields", "addr_space_cast insn can only convert"],
        NewInstruction::IndirectJump => &["BPF_JA uses reserved fields", "unknown opcode 0d", "unknown opcode d"],
    }
}

/// The new instruction of the program that `line` complains of, on a kernel that may lack it.
pub(super) fn refused(case: &Case<'_>, line: &str) -> Option<NewInstruction> {
    let lacks = |kind: &NewInstruction| case.kernel.release().is_none_or(|release| release < kind.since());
    let meant = |kind: &NewInstruction| {
        let mut words = complaints(*kind).iter();
        // `unknown opcode d` is no `unknown opcode d7`.
        words.any(|words| line.match_indices(words).any(|(at, _)| is_end(words, &line[at + words.len()..])))
    };
    case.program?.new_instructions.iter().copied().find(|kind| meant(kind) && lacks(kind))
}

/// Whether `rest` does not go on with the number that `words` end in.
fn is_end(words: &str, rest: &str) -> bool {
    !words.starts_with("unknown opcode") || !rest.starts_with(|c: char| c.is_ascii_hexdigit())
}

/// What the complaint means, in words that go behind it.
pub(super) fn in_words(kind: NewInstruction) -> String {
    let (major, minor) = kind.since();
    let name = match kind {
        NewInstruction::Atomic => "an atomic instruction other than a plain addition".to_owned(),
        NewInstruction::AcquireRelease | NewInstruction::SignExtendingLoad | NewInstruction::SignExtendingMove => {
            format!("a {}", kind.name())
        }
        NewInstruction::SignedDivision => "a signed division or remainder".to_owned(),
        _ => format!("`{}`", kind.name()),
    };
    format!("the program has {name}, which needs Linux {major}.{minor} or later")
}

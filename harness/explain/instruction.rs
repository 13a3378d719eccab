//! [`instruction`]: what to do about an instruction that a kernel does not take.

use crate::object::NewInstruction;
use crate::record::{Explanation, Subject};

/// Kernels check the form of every instruction before they walk through the program.
const NO_GUARD: &str = "No guard in the program helps: kernels refuse the instruction also where it is never reached. A second program \
                        for the same hook does, if the loader picks one of the two by the kernel (libbpf: `bpf_program__set_autoload`).";

/// An instruction of the kind `name` ([`NewInstruction::name`]) that the kernel `failed` refuses; `None` if that is no kind.
pub fn instruction(name: &str, failed: &str) -> Option<Explanation> {
    let kind = NewInstruction::of_name(name)?;
    let (major, minor) = kind.since();
    let headline =
        format!("the program has an instruction that {failed} lacks, and Linux takes from {major}.{minor} on: {name}");
    let mut explanation = Explanation::rule(Subject::Rule, name, failed, headline);
    explanation.notes.push(way_out(kind));
    if !by_flag(kind) {
        explanation.notes.push(NO_GUARD.to_owned());
    }
    Some(explanation)
}

/// Whether the compiler can do without.
fn by_flag(kind: NewInstruction) -> bool {
    matches!(
        kind,
        NewInstruction::SignExtendingLoad
            | NewInstruction::SignExtendingMove
            | NewInstruction::ByteSwap
            | NewInstruction::SignedDivision
            | NewInstruction::LongJump
            | NewInstruction::IndirectJump
    )
}

fn way_out(kind: NewInstruction) -> String {
    match kind {
        NewInstruction::Atomic => {
            "The compiler writes it for `__sync_fetch_and_add` and its like, for exchanges and for `and`, `or`, `xor`. An addition whose \
             result is not used is an older instruction, which every kernel takes, if it is compiled with `-mcpu=v2`. Where the result \
             is needed, take a map per CPU or `bpf_spin_lock`."
        }
        NewInstruction::AcquireRelease => {
            "The compiler writes it for `__atomic_load_n` and `__atomic_store_n` with `__ATOMIC_ACQUIRE` or `__ATOMIC_RELEASE`. An atomic \
             exchange or `fetch` orders memory as well, from 5.12 on."
        }
        NewInstruction::MayGoto => {
            "`can_loop` and `cond_break` make it. A loop with a constant bound does without from 5.3 on, `bpf_loop` from 5.17 on, and \
             `bpf_for` from 6.4 on."
        }
        NewInstruction::AddressSpaceCast => {
            "It belongs to arenas, which came with the same release: an array or a hash map does for older kernels."
        }
        NewInstruction::IndirectJump => {
            "The compiler writes it for a `switch` with a jump table. Compile with `-fno-jump-tables` or `-mcpu=v3`: the program does the \
             same, and runs on newer kernels, too."
        }
        NewInstruction::SignedDivision => {
            "The compiler writes it with `-mcpu=v4` only, and has no other form of it: divide unsigned numbers, and compile with `-mcpu=v3`."
        }
        NewInstruction::SignExtendingLoad
        | NewInstruction::SignExtendingMove
        | NewInstruction::ByteSwap
        | NewInstruction::LongJump => {
            "The compiler writes it with `-mcpu=v4` only. Compile with `-mcpu=v3`: the program does the same, and runs on newer kernels, \
             too. GCC's default is v4."
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_way_out() {
        for kind in NewInstruction::ALL {
            let explanation = instruction(kind.name(), "5.10").expect("a kind");
            assert_eq!(explanation.notes.len(), if by_flag(kind) { 1 } else { 2 }, "{kind:?}");
        }
        assert_eq!(instruction("exit", "5.10"), None);
    }
}

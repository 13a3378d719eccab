//! [`instruction`]: what to do about an instruction that a kernel does not take.

use crate::object::NewInstruction;
use crate::record::{Explanation, Subject};

/// Kernels check the form of every instruction before they walk through the program.
const NO_GUARD: &str = "A guard in the program does not help: kernels reject the instruction even if it is never \
    reached. Write a second program for the same hook, and let the loader choose between them by kernel (libbpf: \
    `bpf_program__set_autoload`).";

/// An instruction of the kind `name` ([`NewInstruction::name`]) that the kernel `failed` refuses; `None` if that is no kind.
pub fn instruction(name: &str, failed: &str) -> Option<Explanation> {
    let kind = NewInstruction::of_name(name)?;
    let (major, minor) = kind.since();
    let headline =
        format!("the program has an instruction that {failed} lacks (Linux {major}.{minor} or later): {name}");
    let mut explanation = Explanation::rule(Subject::Rule, name, failed, headline);
    explanation.notes.push(way_out(kind));
    if !by_flag(kind) {
        explanation.notes.push(NO_GUARD.to_owned());
    }
    Some(explanation)
}

/// Whether the compiler can avoid it.
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
            "The compiler emits it for `__sync_fetch_and_add` and similar functions, for exchanges, and for `and`, \
    `or` and `xor`. With `-mcpu=v2`, an addition whose result is unused becomes an older instruction that every kernel \
    accepts. If the result is needed, use a per-CPU map or `bpf_spin_lock`."
        }
        NewInstruction::AcquireRelease => {
            "The compiler emits it for `__atomic_load_n` and `__atomic_store_n` with `__ATOMIC_ACQUIRE` or \
    `__ATOMIC_RELEASE`. An atomic exchange or `fetch` operation also orders memory (Linux 5.12 or later)."
        }
        NewInstruction::MayGoto => {
            "`can_loop` and `cond_break` produce it. Alternatives: a loop with a constant bound (Linux 5.3 or later), \
    `bpf_loop` (5.17) or `bpf_for` (6.4)."
        }
        NewInstruction::AddressSpaceCast => {
            "It is part of arenas, which the same release added: use an array or a hash map on older kernels."
        }
        NewInstruction::IndirectJump => {
            "The compiler emits it for a `switch` with a jump table. Compile with `-fno-jump-tables` or `-mcpu=v3`: \
    the program behaves the same, on newer kernels as well."
        }
        NewInstruction::SignedDivision => {
            "The compiler emits it only with `-mcpu=v4`, and has no replacement: divide unsigned numbers, and compile \
    with `-mcpu=v3`."
        }
        NewInstruction::SignExtendingLoad
        | NewInstruction::SignExtendingMove
        | NewInstruction::ByteSwap
        | NewInstruction::LongJump => {
            "The compiler emits it only with `-mcpu=v4` (the default of GCC). Compile with `-mcpu=v3`: the program \
    behaves the same, on newer kernels as well."
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

//! [`compatible`]: whether libbpf takes a type of the object for one of the kernel.

use crate::object::btf::{Btf, TypeKind};

/// libbpf's own limit.
const MAX_DEPTH: usize = 32;
/// Types that are compared before two are taken for different.
const BUDGET: usize = 4096;

/// Whether two types are compatible as `bpf_core_types_are_compat` has it: names count for nothing, and pointers are compared by what
/// they point to. It is what libbpf asks of the prototype of a kernel function.
pub(super) fn compatible(a_btf: &Btf, a: u32, b_btf: &Btf, b: u32) -> bool {
    let mut budget = BUDGET;
    within(a_btf, a, b_btf, b, MAX_DEPTH, &mut budget)
}

fn within(a_btf: &Btf, a: u32, b_btf: &Btf, b: u32, depth: usize, budget: &mut usize) -> bool {
    let (Some(depth), Some(left)) = (depth.checked_sub(1), budget.checked_sub(1)) else { return false };
    *budget = left;
    let (Some(ours), Some(theirs)) = (a_btf.resolve(a), b_btf.resolve(b)) else { return false };
    match (&ours.kind, &theirs.kind) {
        (TypeKind::Void, TypeKind::Void)
        | (TypeKind::Int { .. }, TypeKind::Int { .. })
        | (TypeKind::Enum { .. }, TypeKind::Enum { .. }) => true,
        (TypeKind::Composite { union: a, .. }, TypeKind::Composite { union: b, .. }) => a == b,
        (TypeKind::Forward { .. }, TypeKind::Forward { .. }) => true,
        (TypeKind::Pointer(a), TypeKind::Pointer(b)) => within(a_btf, *a, b_btf, *b, depth, budget),
        (TypeKind::Array { element: a, .. }, TypeKind::Array { element: b, .. }) => {
            within(a_btf, *a, b_btf, *b, depth, budget)
        }
        (
            TypeKind::Prototype { returns: a, parameters: a_parameters },
            TypeKind::Prototype { returns: b, parameters: b_parameters },
        ) => {
            a_parameters.len() == b_parameters.len()
                && a_parameters
                    .iter()
                    .zip(b_parameters)
                    .all(|(a, b)| within(a_btf, a.type_id, b_btf, b.type_id, depth, budget))
                && within(a_btf, *a, b_btf, *b, depth, budget)
        }
        _ => false,
    }
}

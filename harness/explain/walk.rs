//! [`walk`]: follows the path of a relocation through the types of a kernel, as libbpf's `bpf_core_spec_match` does.

use super::spec::{LocalSpec, PathStep};
use crate::object::btf::{Btf, MemberPlace, Type, TypeKind, essential_name};

/// Arrays nested deeper than this are taken for a cycle.
const MAX_DEPTH: usize = 32;

/// A field that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReachedField {
    /// Its type.
    pub type_id: u32,
    /// Bits from the start of the root type.
    pub bit_offset: u64,
    /// Bits that it takes if it is a bitfield, otherwise 0.
    pub bitfield_size: u32,
}

/// Why a field was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// The struct has no member of that name.
    Member {
        /// Which step of the path.
        step: usize,
        /// Type id of the struct, or of what stands where one was expected.
        parent: u32,
    },
    /// The member is there, but its type is of another kind, and libbpf does not take it.
    OtherKind {
        /// Which step of the path.
        step: usize,
        /// Type id of the struct.
        parent: u32,
        /// The member.
        place: MemberPlace,
    },
    /// The array has fewer elements, or it is no array.
    Element {
        /// Which step of the path.
        step: usize,
        /// Type id of the array.
        array: u32,
    },
}

impl Miss {
    /// How many steps of the path were found.
    pub(super) fn step(&self) -> usize {
        match self {
            Miss::Member { step, .. } | Miss::OtherKind { step, .. } | Miss::Element { step, .. } => *step,
        }
    }
}

/// The object's own view of a path: its BTF, and the type that each step of the path leads to.
pub(super) struct Local<'a> {
    /// The object's BTF.
    pub btf: &'a Btf,
    /// Id of the root type.
    pub root: u32,
    /// By step; shorter than the path if the BTF does not know it.
    pub types: Vec<u32>,
}

impl<'a> Local<'a> {
    /// Follows the spec through the object's own types. The root is looked up by name if the id is another object's.
    pub(super) fn of(spec: &LocalSpec, btf: &'a Btf) -> Option<Local<'a>> {
        let by_id = Some(spec.type_id).filter(|&id| btf.name(id) == spec.type_name);
        let by_name = || btf.candidates(&spec.type_name, spec.want()?).find(|&id| btf.name(id) == spec.type_name);
        let root = by_id.or_else(by_name)?;
        let types = (1..=spec.path.len()).map_while(|end| Some(walk(btf, root, &spec.path[..end], None).ok()?.type_id));
        Some(Local { btf, root, types: types.collect() })
    }

    /// The type that a step leads to.
    pub(super) fn after(&self, step: usize) -> Option<u32> {
        self.types.get(step).copied()
    }
}

/// Follows `path` from the type `root` of a kernel. With the object's own types, kinds have to be compatible; without,
/// names suffice.
pub(super) fn walk(
    target: &Btf,
    root: u32,
    path: &[PathStep],
    local: Option<&Local<'_>>,
) -> Result<ReachedField, Miss> {
    let mut at = ReachedField { type_id: root, bit_offset: 0, bitfield_size: 0 };
    let mut last = false;
    for (step, asked) in path.iter().enumerate() {
        let parent = at.type_id;
        match asked {
            PathStep::Member(name) => {
                let place = target.member(parent, name).ok_or(Miss::Member { step, parent })?;
                let local_type = local.and_then(|local| Some((local.btf, local.after(step)?)));
                if local_type.is_some_and(|(btf, id)| !compatible(btf, id, target, place.type_id)) {
                    return Err(Miss::OtherKind { step, parent, place });
                }
                at.type_id = place.type_id;
                at.bit_offset = at.bit_offset.saturating_add(place.bit_offset);
                at.bitfield_size = place.bitfield_size;
                last = place.last;
            }
            PathStep::Index(index) => {
                let beyond = Miss::Element { step, array: parent };
                // A first index steps over whole root types.
                let element = match target.resolve(parent).map(|found| &found.kind) {
                    _ if step == 0 => parent,
                    Some(TypeKind::Array { element, count }) if index < count || (*count == 0 && last) => *element,
                    _ => return Err(beyond),
                };
                let bytes = target.size_of(element).map(|size| u64::from(*index) * u64::from(size));
                let bits = bytes.and_then(|bytes| bytes.checked_mul(8)?.checked_add(at.bit_offset));
                at.bit_offset = bits.ok_or(beyond)?;
                at.type_id = element;
                at.bitfield_size = 0;
                last = false;
            }
            PathStep::Follow => match target.resolve(parent).map(|found| &found.kind) {
                Some(TypeKind::Pointer(pointee)) => {
                    at = ReachedField { type_id: *pointee, bit_offset: 0, bitfield_size: 0 }
                }
                _ => return Err(Miss::Member { step, parent }),
            },
        }
    }
    Ok(at)
}

/// Whether libbpf takes a field of the one type for the other (`bpf_core_fields_are_compat`).
pub(super) fn compatible(local: &Btf, local_id: u32, target: &Btf, target_id: u32) -> bool {
    let (mut local_id, mut target_id) = (local_id, target_id);
    for _ in 0..MAX_DEPTH {
        let (Some(ours), Some(theirs)) = (local.resolve(local_id), target.resolve(target_id)) else {
            return false;
        };
        return match (&ours.kind, &theirs.kind) {
            (TypeKind::Array { element: a, .. }, TypeKind::Array { element: b, .. }) => {
                (local_id, target_id) = (*a, *b);
                continue;
            }
            (TypeKind::Composite { .. }, TypeKind::Composite { .. })
            | (TypeKind::Pointer(_), TypeKind::Pointer(_))
            | (TypeKind::Int { .. }, TypeKind::Int { .. })
            | (TypeKind::Float { .. }, TypeKind::Float { .. }) => true,
            (TypeKind::Enum { .. }, TypeKind::Enum { .. }) | (TypeKind::Forward { .. }, TypeKind::Forward { .. }) => {
                let name = |btf: &Btf, found: &Type| btf.string(found.name_offset).unwrap_or_default();
                let (ours, theirs) = (name(local, ours), name(target, theirs));
                ours.is_empty() || theirs.is_empty() || essential_name(&ours) == essential_name(&theirs)
            }
            _ => false,
        };
    }
    false
}

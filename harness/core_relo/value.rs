//! What a relocation puts into its instruction, from the object's way and the kernel's (`bpf_core_calc_relo`).

use super::Code;
use super::raw_type::{Kind, RawType};
use super::spec::{About, Spec, about};
use super::table::TypeTable;
use crate::object::btf_ext::RelocationKind;

/// What is to be done to an instruction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Patch {
    /// What the compiler must have put there.
    pub old: u64,
    pub new: u64,
    pub poison: bool,
    /// Whether `old` has to be there.
    pub validate: bool,
    /// Bytes of what is read or written there, in the object's eyes and the kernel's; 0 where that does not matter.
    pub old_size: u32,
    pub new_size: u32,
    /// The sizes differ, and reading the other one would give another value.
    pub unsafe_size: bool,
}

/// One side of a field.
#[derive(Default)]
struct Field {
    value: u64,
    size: u32,
    type_id: u32,
    validate: bool,
}

/// `None` for the kernel's way means that it has none.
pub(super) fn patch(local: &Spec<'_>, target: Option<&Spec<'_>>) -> Result<Patch, Code> {
    let mut patch =
        Patch { old: 0, new: 0, poison: false, validate: true, old_size: 0, new_size: 0, unsafe_size: false };
    match about(local.kind) {
        About::Field if local.kind == RelocationKind::FieldExists => {
            (patch.old, patch.new) = (1, u64::from(target.is_some()));
        }
        About::Field => {
            let old = field(local)?;
            (patch.old, patch.old_size, patch.validate) = (old.value, old.size, old.validate);
            let Some(target) = target else { return Ok(Patch { poison: true, ..patch }) };
            let new = field(target)?;
            (patch.new, patch.new_size) = (new.value, new.size);
            patch.unsafe_size = old.size != new.size && !resizable(local.types, old.type_id, target.types, new.type_id);
        }
        About::Type => {
            patch.validate = local.kind != RelocationKind::TargetTypeId;
            patch.old = of_type(local)?;
            patch.new = target.map_or(Ok(0), of_type)?;
        }
        About::Enumerator if local.kind == RelocationKind::EnumValueExists => {
            (patch.old, patch.new) = (1, u64::from(target.is_some()));
        }
        About::Enumerator => {
            patch.old = enumerator(local)?;
            let Some(target) = target else { return Ok(Patch { poison: true, ..patch }) };
            patch.new = enumerator(target)?;
        }
        About::Unknown => return Err(Code::Unsupported),
    }
    Ok(patch)
}

fn enumerator(spec: &Spec<'_>) -> Result<u64, Code> {
    let step = spec.steps.first().ok_or(Code::Invalid)?;
    let found = spec.types.get(step.type_id).ok_or(Code::Invalid)?;
    found.enumerator(step.index).map(|(_, value)| value).ok_or(Code::Invalid)
}

fn of_type(spec: &Spec<'_>) -> Result<u64, Code> {
    match spec.kind {
        RelocationKind::TargetTypeId => Ok(spec.root.into()),
        RelocationKind::TypeSize => spec.types.size(spec.root).map(u64::from).ok_or(Code::Invalid),
        _ => Ok(1),
    }
}

/// The type of an element, of an array of arrays.
fn element(types: &TypeTable, id: u32) -> Result<u32, Code> {
    let (mut id, mut found) = types.skip(id).ok_or(Code::Invalid)?;
    // More dimensions than types is a cycle.
    for _ in 0..types.len() {
        let Some((inner, _)) = found.array() else { return Ok(id) };
        (id, found) = types.skip(inner).ok_or(Code::Invalid)?;
    }
    Err(Code::Invalid)
}

fn size(types: &TypeTable, id: u32) -> Result<u32, Code> {
    types.size(id).ok_or(Code::Invalid)
}

fn field(spec: &Spec<'_>) -> Result<Field, Code> {
    let types = spec.types;
    let last = spec.steps.last().ok_or(Code::Invalid)?;
    let Some((_, member)) = spec.last_member() else {
        return element_field(spec, last.type_id);
    };
    let (type_id, found) = types.skip(member.type_id).ok_or(Code::Invalid)?;
    let place = match member.bitfield_size {
        0 => {
            let bytes = size(types, type_id)?;
            Place { bytes, offset: spec.bit_offset / 8, bits: bytes.wrapping_mul(8), bitfield: false }
        }
        bits => bitfield_place(spec, &found, bits)?,
    };
    let mut field = Field { validate: !place.bitfield, ..Field::default() };
    field.value = match spec.kind {
        RelocationKind::ByteOffset => {
            if !place.bitfield {
                field.size = size(types, element(types, type_id)?)?;
                field.type_id = type_id;
            }
            place.offset.into()
        }
        RelocationKind::ByteSize => place.bytes.into(),
        RelocationKind::Signed => {
            field.validate = true;
            is_signed(&found).into()
        }
        RelocationKind::LeftShift => {
            let end = spec.bit_offset.wrapping_add(place.bits).wrapping_sub(place.offset.wrapping_mul(8));
            64u32.wrapping_sub(end).into()
        }
        RelocationKind::RightShift => {
            field.validate = true;
            64u32.wrapping_sub(place.bits).into()
        }
        _ => return Err(Code::Unsupported),
    };
    Ok(field)
}

/// Where a field is read.
struct Place {
    bytes: u32,
    offset: u32,
    bits: u32,
    bitfield: bool,
}

/// The smallest aligned integer that the bits lie in.
fn bitfield_place(spec: &Spec<'_>, found: &RawType<'_>, bits: u32) -> Result<Place, Code> {
    let start = spec.bit_offset;
    let mut bytes = found.size_or_type;
    let aligned = |bytes: u32| Some((start / 8).checked_div(bytes)?.wrapping_mul(bytes));
    let mut offset = aligned(bytes).ok_or(Code::Invalid)?;
    while start.wrapping_add(bits).wrapping_sub(offset.wrapping_mul(8)) > bytes.wrapping_mul(8) {
        if bytes >= 8 {
            return Err(Code::TooBig);
        }
        bytes *= 2;
        offset = aligned(bytes).ok_or(Code::Invalid)?;
    }
    Ok(Place { bytes, offset, bits, bitfield: true })
}

/// An element of an array, which has an offset and a size and nothing else.
fn element_field(spec: &Spec<'_>, type_id: u32) -> Result<Field, Code> {
    let types = spec.types;
    let field = Field { validate: true, ..Field::default() };
    match spec.kind {
        RelocationKind::ByteOffset => {
            let size = size(types, element(types, type_id)?)?;
            Ok(Field { value: (spec.bit_offset / 8).into(), size, type_id, ..field })
        }
        RelocationKind::ByteSize => Ok(Field { value: size(types, type_id)?.into(), ..field }),
        _ => Err(Code::Invalid),
    }
}

fn is_signed(found: &RawType<'_>) -> bool {
    match found.kind {
        Kind::Enum | Kind::Enum64 => found.flag,
        _ => found.int().is_some_and(|(encoding, _)| encoding & 1 == 1),
    }
}

/// Whether an access of the one size may become one of the other: of pointers, and of integers without a sign.
fn resizable(local: &TypeTable, local_id: u32, target: &TypeTable, target_id: u32) -> bool {
    let (Some(ours), Some(theirs)) = (local.get(local_id), target.get(target_id)) else { return false };
    let both = |kind: Kind| ours.kind == kind && theirs.kind == kind;
    // Characters and booleans that are signed as well are none to libbpf.
    let unsigned = |found: &RawType<'_>| found.int().is_some_and(|(encoding, _)| encoding != 1);
    both(Kind::Pointer) || both(Kind::Int) && unsigned(&ours) && unsigned(&theirs)
}

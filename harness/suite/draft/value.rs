//! [`proposal`]: another value for a variable, as TOML.

use toml::Value;

use crate::object::btf::{Btf, TypeKind};

/// Structs and arrays nested deeper than this are left alone.
const MAX_DEPTH: usize = 4;

/// A value that differs from the `initial` bytes and fits the type, as TOML; `None` for a type that cannot be set.
pub(super) fn proposal(btf: &Btf, type_id: u32, initial: &[u8]) -> Option<String> {
    Some(other(btf, type_id, initial, MAX_DEPTH)?.to_string())
}

fn other(btf: &Btf, type_id: u32, initial: &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let resolved = btf.resolve_id(type_id)?;
    let is_zero = initial.iter().all(|&byte| byte == 0);
    match &btf.get(resolved)?.kind {
        TypeKind::Int { .. } if matches!(&*btf.name(resolved), "_Bool" | "bool") => Some(Value::Boolean(is_zero)),
        TypeKind::Int { .. } => Some(Value::Integer(is_zero.into())),
        TypeKind::Enum { values, .. } => {
            let now = initial.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
            let mask = if initial.len() < 8 { (1 << (8 * initial.len())) - 1 } else { u64::MAX };
            let differs = values.iter().find(|one| one.value.cast_unsigned() & mask != now)?;
            Some(Value::String(btf.string(differs.name_offset)?))
        }
        TypeKind::Array { element, count } => {
            let size = btf.size_of(*element)? as usize;
            match (size, count) {
                (_, 0) => None,
                (1, 2..) if btf.type_name(*element).contains("char") => Some(Value::String("x".to_owned())),
                _ => Some(Value::Array(vec![other(btf, *element, initial.get(..size)?, depth)?])),
            }
        }
        TypeKind::Composite { .. } => {
            let places = btf.members(resolved);
            let settable = places.iter().filter(|place| place.bitfield_size == 0).find_map(|place| {
                let start = usize::try_from(place.bit_offset / 8).ok()?;
                let bytes = initial.get(start..start.checked_add(btf.size_of(place.type_id)? as usize)?)?;
                Some((btf.string(place.name_offset)?, other(btf, place.type_id, bytes, depth)?))
            });
            Some(Value::Table([settable?].into_iter().collect()))
        }
        _ => None,
    }
}

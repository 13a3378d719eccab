//! [`encode`]: from a value of TOML to the bytes of a variable.

use toml::Value;

use crate::object::btf::{Btf, TypeKind};

/// Structs and arrays nested deeper than this are not set.
const MAX_DEPTH: usize = 16;

/// Puts `value` into `bytes`, which hold a variable of the type; what the value does not mention keeps what it is.
///
/// The error reads well after the variable's name.
pub(super) fn encode(btf: &Btf, type_id: u32, value: &Value, bytes: &mut [u8]) -> Result<(), String> {
    put(btf, type_id, value, bytes, MAX_DEPTH)
}

fn put(btf: &Btf, type_id: u32, value: &Value, bytes: &mut [u8], depth: usize) -> Result<(), String> {
    let Some(depth) = depth.checked_sub(1) else { return Err("is nested too deeply".to_owned()) };
    let resolved = btf.resolve_id(type_id).unwrap_or_default();
    let cannot = |wanted: &str| Err(format!("needs {wanted}, not {}", with_article(value.type_str())));
    match btf.get(resolved).map(|found| &found.kind) {
        Some(TypeKind::Int { .. }) if btf.name(resolved) == "_Bool" || btf.name(resolved) == "bool" => match value {
            Value::Boolean(on) => number(i64::from(*on), false, bytes),
            _ => cannot("`true` or `false`"),
        },
        Some(TypeKind::Int { signed, .. }) => match value {
            Value::Integer(integer) => number(*integer, *signed, bytes),
            _ => cannot("an integer"),
        },
        Some(TypeKind::Enum { signed, values, .. }) => match value {
            Value::Integer(integer) => number(*integer, *signed, bytes),
            Value::String(name) => {
                let found = values.iter().find(|one| btf.text(one.name_offset).as_deref() == Some(name));
                let Some(found) = found else {
                    let known: Vec<String> = values
                        .iter()
                        .filter_map(|one| btf.string(one.name_offset))
                        .map(|name| format!("`{name}`"))
                        .collect();
                    return Err(format!("has no value `{name}`; there is {}", known.join(", ")));
                };
                let width = bytes.len().min(8);
                bytes[..width].copy_from_slice(&found.value.to_le_bytes()[..width]);
                Ok(())
            }
            _ => cannot("an integer or the name of an enumerator"),
        },
        Some(TypeKind::Array { element, count }) => {
            let size = btf.size_of(*element).unwrap_or_default() as usize;
            match value {
                Value::String(text) if size == 1 => match text.len() < bytes.len() {
                    true => {
                        bytes.fill(0);
                        bytes[..text.len()].copy_from_slice(text.as_bytes());
                        Ok(())
                    }
                    false => Err(format!("has no room for {} bytes and the NUL behind them", text.len())),
                },
                Value::Array(values) if values.len() > *count as usize => {
                    Err(format!("has {count} elements, not {}", values.len()))
                }
                Value::Array(values) => {
                    for (index, value) in values.iter().enumerate() {
                        let place = bytes.get_mut(index * size..(index + 1) * size).unwrap_or_default();
                        put(btf, *element, value, place, depth).map_err(|why| format!("[{index}] {why}"))?;
                    }
                    Ok(())
                }
                _ if size == 1 => cannot("a string or an array"),
                _ => cannot("an array"),
            }
        }
        Some(TypeKind::Composite { .. }) => {
            let Value::Table(members) = value else { return cannot("a table of its members") };
            let places = btf.members(resolved);
            for (name, value) in members {
                let place = places.iter().find(|place| btf.text(place.name_offset).as_deref() == Some(name));
                let Some(place) = place else { return Err(format!("has no member `{name}`")) };
                if place.bitfield_size > 0 {
                    return Err(format!(".{name} is a bitfield, which cannot be set"));
                }
                let size = btf.size_of(place.type_id).unwrap_or_default() as usize;
                let start = usize::try_from(place.bit_offset / 8).unwrap_or(usize::MAX);
                let range = start..start.saturating_add(size);
                let bytes = bytes.get_mut(range).ok_or_else(|| format!(".{name} lies outside of it"))?;
                put(btf, place.type_id, value, bytes, depth).map_err(|why| format!(".{name} {why}"))?;
            }
            Ok(())
        }
        Some(TypeKind::Pointer(_)) => Err("is a pointer, which has no value before the object is loaded".to_owned()),
        _ => Err("is of a type that cannot be set".to_owned()),
    }
}

/// Stores an integer, if it fits.
fn number(value: i64, signed: bool, bytes: &mut [u8]) -> Result<(), String> {
    let bits = bytes.len() as u32 * 8;
    let (least, most) = match (signed, bits) {
        (_, 0) => return Err("has no size".to_owned()),
        (true, 64..) => (i128::from(i64::MIN), i128::from(i64::MAX)),
        (true, _) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        // What TOML can say is less.
        (false, 64..) => (0, i128::from(u64::MAX)),
        (false, _) => (0, (1i128 << bits) - 1),
    };
    if !(least..=most).contains(&i128::from(value)) {
        return Err(format!("takes {least} to {most}, not {value}"));
    }
    let all = i128::from(value).to_le_bytes();
    let width = bytes.len().min(all.len());
    bytes[..width].copy_from_slice(&all[..width]);
    Ok(())
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {noun}")
}

//! [`misread_values`]: what an object reads instead of something else when it goes on with the maps of an older build.

use std::collections::BTreeMap;

use object::LittleEndian;
use object::read::elf::SectionHeader;

use super::btf::{Btf, Type, TypeKind};
use super::inventory::sections;

/// Fields of a value that are compared.
const MOST_FIELDS: usize = 2048;
/// Structs in structs are followed this far.
const MAX_DEPTH: usize = 16;

/// What lies at a place of a key or value and is no struct.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// In bits.
    offset: u64,
    bits: u64,
    /// Members of members, with dots. Empty for a key or value that is no struct.
    path: String,
    kind: String,
}

impl Field {
    fn end(&self) -> u64 {
        self.offset + self.bits
    }

    fn name(&self) -> String {
        if self.path.is_empty() { "the value".to_owned() } else { format!("`{}`", self.path) }
    }
}

/// For each map of both objects whose keys or values have another layout: what is misread, as lowercase fragments. Maps whose sizes differ are
/// left out, as libbpf does not reuse them.
pub fn misread_values(old: &[u8], new: &[u8]) -> BTreeMap<String, Vec<String>> {
    let (Some(old), Some(new)) = (MapTypes::read(old), MapTypes::read(new)) else { return BTreeMap::new() };
    let mut misread = BTreeMap::new();
    for (name, after) in &new.maps {
        let Some(before) = old.maps.get(name) else { continue };
        let mut lines = Vec::new();
        for (part, before, after) in [("key: ", before.key, after.key), ("", before.value, after.value)] {
            let (Some(before), Some(after)) = (before, after) else { continue };
            if old.btf.size_of(before) == new.btf.size_of(after) {
                let found = differences(&fields(&old.btf, before), &fields(&new.btf, after));
                lines.extend(found.into_iter().map(|line| format!("{part}{line}")));
            }
        }
        if !lines.is_empty() {
            misread.insert(name.clone(), lines);
        }
    }
    misread
}

fn differences(old: &[Field], new: &[Field]) -> Vec<String> {
    let mut lines = Vec::new();
    for field in new {
        let at = |bits: u64| match bits % 8 {
            0 => format!("offset {}", bits / 8),
            _ => format!("bit {bits}"),
        };
        let overlapping: Vec<&Field> =
            old.iter().filter(|old| old.offset < field.end() && field.offset < old.end()).collect();
        let same = overlapping.iter().find(|old| (old.offset, old.bits) == (field.offset, field.bits));
        match same {
            // In a union something else may lie there as well.
            Some(_) if overlapping.contains(&field) => {}
            Some(old) if old.path == field.path => lines.push(format!(
                "{} at {} was `{}` and is read as `{}`",
                field.name(),
                at(field.offset),
                old.kind,
                field.kind
            )),
            Some(old) => {
                lines.push(format!("{} at {} is read as {}", old.name(), at(field.offset), field.name()));
            }
            None if overlapping.is_empty() => {
                lines.push(format!("{} at {} reads what was padding", field.name(), at(field.offset)));
            }
            None => {
                let names: Vec<String> = overlapping.iter().map(|old| old.name()).collect();
                lines.push(format!("{} at {} reads parts of {}", field.name(), at(field.offset), names.join(", ")));
            }
        }
    }
    lines
}

/// The types of keys and values.
#[derive(Debug, Clone, Copy, Default)]
struct KeyAndValue {
    key: Option<u32>,
    value: Option<u32>,
}

struct MapTypes {
    btf: Btf,
    maps: BTreeMap<String, KeyAndValue>,
}

impl MapTypes {
    fn read(object: &[u8]) -> Option<MapTypes> {
        let sections = sections(object).ok()?;
        let (_, section) = sections.section_by_name(LittleEndian, b".BTF")?;
        let btf = Btf::parse(section.data(LittleEndian, object).ok()?).ok()?;
        let mut maps = BTreeMap::new();
        for (name, type_id) in btf.section_variables(".maps") {
            let mut types = KeyAndValue::default();
            for member in btf.members(btf.resolve_id(type_id)?) {
                let pointed = match btf.resolve(member.type_id).map(|found| &found.kind) {
                    Some(TypeKind::Pointer(target)) => Some(*target),
                    _ => None,
                };
                match btf.string(member.name_offset).as_deref() {
                    Some("key") => types.key = pointed,
                    Some("value") => types.value = pointed,
                    _ => {}
                }
            }
            maps.insert(name, types);
        }
        Some(MapTypes { btf, maps })
    }
}

fn fields(btf: &Btf, id: u32) -> Vec<Field> {
    let mut fields = Vec::new();
    add_fields(btf, id, (0, None), String::new(), MAX_DEPTH, &mut fields);
    fields
}

/// `place` is the offset in bits, and the bits if it is a bitfield.
fn add_fields(btf: &Btf, id: u32, place: (u64, Option<u64>), path: String, depth: usize, fields: &mut Vec<Field>) {
    if fields.len() >= MOST_FIELDS {
        return;
    }
    let (offset, bitfield) = place;
    let bits = bitfield.unwrap_or_else(|| btf.size_of(id).map_or(0, |bytes| u64::from(bytes) * 8));
    let leaf = |kind: String, path: String| Field { offset, bits, path, kind };
    match (btf.resolve(id).map(|found| &found.kind), depth.checked_sub(1)) {
        (Some(TypeKind::Composite { .. }), Some(depth)) => {
            for member in btf.members(id) {
                let name = btf.string(member.name_offset).unwrap_or_default();
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                let bitfield = Some(u64::from(member.bitfield_size)).filter(|bits| *bits > 0);
                add_fields(btf, member.type_id, (offset + member.bit_offset, bitfield), path, depth, fields);
            }
        }
        (Some(TypeKind::Array { element, count }), Some(depth)) => {
            let is_composite = matches!(btf.resolve(*element), Some(Type { kind: TypeKind::Composite { .. }, .. }));
            let size = btf.size_of(*element).map_or(0, |bytes| u64::from(bytes) * 8);
            if !is_composite {
                return fields.push(leaf(format!("{}[{count}]", kind(btf, *element)), path));
            }
            for index in 0..u64::from(*count) {
                if fields.len() >= MOST_FIELDS {
                    return;
                }
                add_fields(btf, *element, (offset + index * size, None), format!("{path}[{index}]"), depth, fields);
            }
        }
        _ => fields.push(leaf(kind(btf, id), path)),
    }
}

/// What a field is, regardless of the name of its type.
fn kind(btf: &Btf, id: u32) -> String {
    match btf.resolve(id).map(|found| &found.kind) {
        Some(TypeKind::Int { size, signed }) => format!("{}{}", if *signed { "s" } else { "u" }, size * 8),
        Some(TypeKind::Float { size }) => format!("f{}", size * 8),
        Some(TypeKind::Pointer(_)) => "pointer".to_owned(),
        _ => btf.resolve_id(id).map_or_else(String::new, |id| btf.type_name(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(offset: u64, bytes: u64, path: &str, kind: &str) -> Field {
        Field { offset: offset * 8, bits: bytes * 8, path: path.to_owned(), kind: kind.to_owned() }
    }

    #[test]
    fn each_way_to_misread_is_told() {
        let old = [
            field(0, 8, "count", "u64"),
            field(8, 4, "state", "u32"),
            field(16, 4, "low", "u32"),
            field(20, 4, "high", "u32"),
        ];
        assert_eq!(differences(&old, &old), Vec::<String>::new());
        let new = [
            field(0, 8, "bytes", "u64"),
            field(8, 4, "state", "s32"),
            field(12, 4, "flags", "u32"),
            field(16, 8, "both", "u64"),
        ];
        assert_eq!(
            differences(&old, &new),
            [
                "`count` at offset 0 is read as `bytes`",
                "`state` at offset 8 was `u32` and is read as `s32`",
                "`flags` at offset 12 reads what was padding",
                "`both` at offset 16 reads parts of `low`, `high`",
            ]
        );
        // What is left out is not read.
        assert_eq!(differences(&old, &old[..1]), Vec::<String>::new());
        assert_eq!(
            differences(&[field(0, 4, "", "u32")], &[field(0, 4, "", "s32")]),
            ["the value at offset 0 was `u32` and is read as `s32`"]
        );
    }
}

//! The bytes of `.BTF`: its header and the records of its type table.

use super::{BtfError, Enumerator, Member, Parameter, Qualifier, Type, TypeKind};
use crate::bytes::u32_at;

/// Magic number at the start of `.BTF` and `.BTF.ext`.
pub(in super::super) const MAGIC: u16 = 0xeb9f;

/// The `u32` fields of the header that `.BTF` and `.BTF.ext` share: magic, version, flags, length. Returns the length.
pub(in super::super) fn header_length(data: &[u8]) -> Result<usize, BtfError> {
    let word = u32_at(data, 0).ok_or(BtfError::Header)?;
    let (magic, version, flags) = (word as u16, (word >> 16) as u8, (word >> 24) as u8);
    let length = u32_at(data, 4).ok_or(BtfError::Header)? as usize;
    if magic != MAGIC || version != 1 || flags != 0 || length > data.len() {
        return Err(BtfError::Header);
    }
    Ok(length)
}

/// `length` bytes at `offset` behind the header.
pub(in super::super) fn part(data: &[u8], header: usize, offset: u32, length: u32) -> Option<&[u8]> {
    let start = header.checked_add(offset as usize)?;
    data.get(start..start.checked_add(length as usize)?)
}

/// Bytes behind the record of a type of this kind with `count` entries; `None` for an unknown kind.
pub(crate) fn extra_bytes(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // int, var, declaration tag: one word. array: three words.
        1 | 14 | 17 => 4,
        3 => 12,
        // struct, union, datasec, enum64: three words an entry. enum, function prototype: two.
        4 | 5 | 15 | 19 => count * 12,
        6 | 13 => count * 8,
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag: nothing.
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

/// The type table and the strings.
pub(crate) fn parts(data: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let header = header_length(data)?;
    if header < 24 {
        return Err(BtfError::Header);
    }
    let field = |offset| u32_at(data, offset).ok_or(BtfError::Header);
    let table = part(data, header, field(8)?, field(12)?).ok_or(BtfError::Outside { part: "type table" })?;
    let strings = part(data, header, field(16)?, field(20)?).ok_or(BtfError::Outside { part: "string table" })?;
    Ok((table, strings))
}

/// The types of a whole `.BTF` section as words, the first of which are name, kind and size or type; and the strings.
pub(in super::super) fn raw_types(data: &[u8]) -> Result<(Vec<Vec<u32>>, &[u8]), BtfError> {
    let (mut rest, strings) = parts(data)?;
    if strings.first() != Some(&0) || strings.last() != Some(&0) {
        return Err(BtfError::Strings);
    }
    let mut types = Vec::new();
    while !rest.is_empty() {
        let id = types.len() + 1;
        let info = u32_at(rest, 4).ok_or(BtfError::TypeTruncated { id })?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let extra = extra_bytes(kind, count).ok_or(BtfError::UnknownKind { id, kind })?;
        let (record, tail) = rest.split_at_checked(12 + extra).ok_or(BtfError::TypeTruncated { id })?;
        types.push(record.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect());
        rest = tail;
    }
    Ok((types, strings))
}

/// Parses the type table, records of 12 bytes, each followed by what its kind asks for, and adds its types to `types`.
pub(super) fn parse_types(table: &[u8], mut types: Vec<Type>) -> Result<Vec<Type>, BtfError> {
    let mut rest = table;
    while !rest.is_empty() {
        let id = types.len();
        let truncated = BtfError::TypeTruncated { id };
        let (record, tail) = rest.split_at_checked(12).ok_or(truncated.clone())?;
        let word = |offset| u32_at(record, offset).unwrap_or_default();
        let (name_offset, info, size_or_type) = (word(0), word(4), word(8));
        let count = (info & 0xffff) as usize;
        let kind = (info >> 24) & 0x1f;
        // What the flag of a kind means, the kind says.
        let flag = info >> 31 == 1;
        let extra = extra_bytes(kind, count).ok_or(BtfError::UnknownKind { id, kind })?;
        let (extra, tail) = tail.split_at_checked(extra).ok_or(truncated)?;
        let extra_word = |index: usize| u32_at(extra, index * 4).unwrap_or_default();
        let entries = |words: usize| (0..count).map(move |index| index * words);
        let kind = match kind {
            1 => TypeKind::Int { size: size_or_type, signed: extra_word(0) >> 24 & 1 == 1 },
            2 => TypeKind::Pointer(size_or_type),
            3 => TypeKind::Array { element: extra_word(0), count: extra_word(2) },
            4 | 5 => {
                let member = |at| {
                    let (name_offset, type_id, place) = (extra_word(at), extra_word(at + 1), extra_word(at + 2));
                    let (bit_offset, bitfield_size) = if flag { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
                    Member { name_offset, type_id, bit_offset, bitfield_size }
                };
                TypeKind::Composite { union: kind == 5, size: size_or_type, members: entries(3).map(member).collect() }
            }
            6 => {
                let value = |word: u32| if flag { i64::from(word as i32) } else { i64::from(word) };
                let enumerator = |at| Enumerator { name_offset: extra_word(at), value: value(extra_word(at + 1)) };
                TypeKind::Enum { size: size_or_type, signed: flag, values: entries(2).map(enumerator).collect() }
            }
            7 => TypeKind::Forward { union: flag },
            8 => TypeKind::Typedef(size_or_type),
            9 => TypeKind::Qualified(Qualifier::Volatile, size_or_type),
            10 => TypeKind::Qualified(Qualifier::Const, size_or_type),
            11 => TypeKind::Qualified(Qualifier::Restrict, size_or_type),
            12 => TypeKind::Function(size_or_type),
            13 => {
                let parameter = |at| Parameter { name_offset: extra_word(at), type_id: extra_word(at + 1) };
                TypeKind::Prototype { returns: size_or_type, parameters: entries(2).map(parameter).collect() }
            }
            14 => TypeKind::Variable(size_or_type),
            15 => TypeKind::Section { variables: entries(3).map(extra_word).collect() },
            16 => TypeKind::Float { size: size_or_type },
            18 => TypeKind::Qualified(Qualifier::Tag, size_or_type),
            19 => {
                let value = |at| i64::from(extra_word(at + 1)) | i64::from(extra_word(at + 2)) << 32;
                let enumerator = |at| Enumerator { name_offset: extra_word(at), value: value(at) };
                TypeKind::Enum { size: size_or_type, signed: flag, values: entries(3).map(enumerator).collect() }
            }
            _ => TypeKind::Other,
        };
        types.push(Type { name_offset, kind });
        rest = tail;
    }
    Ok(types)
}

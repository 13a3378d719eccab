//! [`Btf`]: the type information of an object, from its `.BTF` section, or of a kernel, from its raw BTF file.
//!
//! The format is documented in the kernel's `Documentation/bpf/btf.rst`. Only what corematrix asks about a type is kept; a
//! kind whose content nobody asks for is [`Kind::Other`].

mod cut;
mod lookup;
mod split;
mod type_name;

use std::borrow::Cow;

pub use cut::Cut;
pub use lookup::{Place, Want, essential_name};

/// Magic number at the start of `.BTF` and `.BTF.ext`.
pub(super) const MAGIC: u16 = 0xeb9f;

/// Longest string that is given out: a file name may take `PATH_MAX`, and nothing is longer.
const MAX_STRING: usize = 4096;

/// Types nested deeper than this are taken for a cycle.
const MAX_DEPTH: usize = 64;

/// The parsed types and strings of one `.BTF` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Btf {
    strings: Vec<u8>,
    /// By type id; id 0 is void.
    types: Vec<Type>,
    /// The named types: hash of the name without flavour, and type id; sorted.
    index: Vec<(u64, u32)>,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Offset of its name in the strings; 0 for a nameless type.
    pub name_offset: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Type id 0.
    Void,
    /// An integer, character or boolean.
    Int {
        /// Bytes.
        size: u32,
        /// Whether negative values are negative.
        signed: bool,
    },
    /// A floating point number.
    Float {
        /// Bytes.
        size: u32,
    },
    /// An enum, of 32 or 64 bits.
    Enum {
        /// Bytes.
        size: u32,
        /// Whether negative values are negative.
        signed: bool,
        /// In order of declaration.
        values: Vec<Enumerator>,
    },
    /// A pointer to a type id.
    Pointer(u32),
    /// An array.
    Array {
        /// Type id of an element.
        element: u32,
        /// How many elements.
        count: u32,
    },
    /// A struct or union.
    Composite {
        /// Whether it is a union.
        union: bool,
        /// Bytes.
        size: u32,
        /// In order of declaration.
        members: Vec<Member>,
    },
    /// A struct or union of which only the name is known.
    Forward {
        /// Whether it is a union.
        union: bool,
    },
    /// Another name for a type id.
    Typedef(u32),
    /// A type id with a qualifier.
    Qualified(Qualifier, u32),
    /// A global variable of a type id.
    Variable(u32),
    /// The variables of an ELF section; the type's name is the section's.
    Section {
        /// Type ids of its [`Kind::Variable`]s.
        variables: Vec<u32>,
    },
    /// A function; the type id is that of its [`Kind::Prototype`].
    Function(u32),
    /// The signature of a function.
    Prototype {
        /// Type id of what it returns.
        returns: u32,
        /// In order.
        parameters: Vec<Parameter>,
    },
    /// A declaration tag.
    Other,
}

/// What a [`Kind::Qualified`] adds to its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `const`
    Const,
    /// `volatile`
    Volatile,
    /// `restrict`
    Restrict,
    /// `__attribute__((btf_type_tag("...")))`
    Tag,
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name in the strings; 0 for an anonymous one.
    pub name_offset: u32,
    /// Its type.
    pub type_id: u32,
    /// Bits from the start of the struct.
    pub bit_offset: u32,
    /// Bits that it takes if it is a bitfield, otherwise 0.
    pub bitfield_size: u32,
}

/// A name of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator {
    /// Offset of its name in the strings.
    pub name_offset: u32,
    /// Its value; of an unsigned 64-bit enum, the bits of it.
    pub value: i64,
}

/// A parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Offset of its name in the strings; 0 for a nameless one.
    pub name_offset: u32,
    /// Its type; 0 for the `...` of a variadic function.
    pub type_id: u32,
}

/// Why `.BTF` or `.BTF.ext` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The header is cut short, has another magic number, version or byte order.
    #[error("the header is not one of little-endian BTF version 1")]
    Header,
    /// A part lies outside of the section.
    #[error("the {part} lies outside of the section")]
    Outside {
        /// Such as `type table`.
        part: &'static str,
    },
    /// The string table does not begin and end with NUL.
    #[error("the string table does not begin and end with a NUL")]
    Strings,
    /// A type is cut short.
    #[error("type {id} is cut short")]
    TypeTruncated {
        /// Type id.
        id: usize,
    },
    /// A type of a kind that did not exist when this was written; its size is unknown.
    #[error("type {id} is of unknown kind {kind}")]
    UnknownKind {
        /// Type id.
        id: usize,
        /// Such as 20.
        kind: u32,
    },
    /// A table of `.BTF.ext` whose records are too small or cut short.
    #[error("the {part} has a record that is cut short")]
    Record {
        /// Such as `line info`.
        part: &'static str,
    },
}

/// The little-endian `u32` at `offset`, if it is there.
pub(super) fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    let bytes = data.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// The `u32` fields of the header that `.BTF` and `.BTF.ext` share: magic, version, flags, length. Returns the length.
pub(super) fn header_length(data: &[u8]) -> Result<usize, BtfError> {
    let word = u32_at(data, 0).ok_or(BtfError::Header)?;
    let (magic, version, flags) = (word as u16, (word >> 16) as u8, (word >> 24) as u8);
    let length = u32_at(data, 4).ok_or(BtfError::Header)? as usize;
    if magic != MAGIC || version != 1 || flags != 0 || length > data.len() {
        return Err(BtfError::Header);
    }
    Ok(length)
}

/// `length` bytes at `offset` behind the header.
pub(super) fn part(data: &[u8], header: usize, offset: u32, length: u32) -> Option<&[u8]> {
    let start = header.checked_add(offset as usize)?;
    data.get(start..start.checked_add(length as usize)?)
}

impl Btf {
    /// Parses a whole `.BTF` section.
    pub fn parse(data: &[u8]) -> Result<Btf, BtfError> {
        let (table, strings) = parts(data)?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(BtfError::Strings);
        }
        let void = vec![Type { name_offset: 0, kind: Kind::Void }];
        let mut btf = Btf { strings: strings.to_vec(), types: parse_types(table, void)?, index: Vec::new() };
        btf.index = btf.build_index();
        Ok(btf)
    }

    /// The string at an offset of the string table; `None` if the offset lies outside or the string is absurdly long.
    pub fn string(&self, offset: u32) -> Option<String> {
        self.text(offset).map(Cow::into_owned)
    }

    /// [`Btf::string`] without a copy, where the bytes are UTF-8.
    pub fn text(&self, offset: u32) -> Option<Cow<'_, str>> {
        self.bytes(offset).map(String::from_utf8_lossy)
    }

    /// The bytes of a string.
    fn bytes(&self, offset: u32) -> Option<&[u8]> {
        let tail = self.strings.get(offset as usize..)?;
        let end = memchr::memchr(0, &tail[..tail.len().min(MAX_STRING)])?;
        Some(&tail[..end])
    }

    /// A type by its id.
    pub fn get(&self, id: u32) -> Option<&Type> {
        self.types.get(id as usize)
    }

    /// A type by its id, seen through typedefs and qualifiers. `None` for a bad id or a cycle.
    pub fn resolve(&self, id: u32) -> Option<&Type> {
        self.get(self.resolve_id(id)?)
    }

    /// The id of the type that [`Btf::resolve`] gives.
    pub fn resolve_id(&self, id: u32) -> Option<u32> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            match self.get(id)?.kind {
                Kind::Typedef(target) | Kind::Qualified(_, target) => id = target,
                _ => return Some(id),
            }
        }
        None
    }

    /// Bytes that a value of the type takes; `None` if it has no size, or for a bad id or a cycle.
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let mut id = id;
        let mut factor = 1u32;
        for _ in 0..MAX_DEPTH {
            let size = match &self.resolve(id)?.kind {
                Kind::Int { size, .. }
                | Kind::Float { size }
                | Kind::Enum { size, .. }
                | Kind::Composite { size, .. } => *size,
                Kind::Pointer(_) => 8,
                Kind::Array { element, count } => {
                    factor = factor.checked_mul(*count)?;
                    id = *element;
                    continue;
                }
                _ => return None,
            };
            return factor.checked_mul(size);
        }
        None
    }

    /// The variables of a section such as `.maps`, as name and type id. Empty if the BTF does not know the section.
    pub fn section_variables(&self, section: &str) -> Vec<(String, u32)> {
        let of_section = |found: &&Type| {
            matches!(found.kind, Kind::Section { .. }) && self.string(found.name_offset).as_deref() == Some(section)
        };
        let Some(Type { kind: Kind::Section { variables }, .. }) = self.types.iter().find(of_section) else {
            return Vec::new();
        };
        let variable = |&id: &u32| match self.get(id)? {
            Type { name_offset, kind: Kind::Variable(type_id) } => Some((self.string(*name_offset)?, *type_id)),
            _ => None,
        };
        variables.iter().filter_map(variable).collect()
    }
}

/// Bytes behind the record of a type of this kind with `count` entries; `None` for an unknown kind.
fn extra_bytes(kind: u32, count: usize) -> Option<usize> {
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
fn parts(data: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let header = header_length(data)?;
    if header < 24 {
        return Err(BtfError::Header);
    }
    let field = |offset| u32_at(data, offset).ok_or(BtfError::Header);
    let table = part(data, header, field(8)?, field(12)?).ok_or(BtfError::Outside { part: "type table" })?;
    let strings = part(data, header, field(16)?, field(20)?).ok_or(BtfError::Outside { part: "string table" })?;
    Ok((table, strings))
}

/// Parses the type table, records of 12 bytes, each followed by what its kind asks for, and adds its types to `types`.
fn parse_types(table: &[u8], mut types: Vec<Type>) -> Result<Vec<Type>, BtfError> {
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
            1 => Kind::Int { size: size_or_type, signed: extra_word(0) >> 24 & 1 == 1 },
            2 => Kind::Pointer(size_or_type),
            3 => Kind::Array { element: extra_word(0), count: extra_word(2) },
            4 | 5 => {
                let member = |at| {
                    let (name_offset, type_id, place) = (extra_word(at), extra_word(at + 1), extra_word(at + 2));
                    let (bit_offset, bitfield_size) = if flag { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
                    Member { name_offset, type_id, bit_offset, bitfield_size }
                };
                Kind::Composite { union: kind == 5, size: size_or_type, members: entries(3).map(member).collect() }
            }
            6 => {
                let value = |word: u32| if flag { i64::from(word as i32) } else { i64::from(word) };
                let enumerator = |at| Enumerator { name_offset: extra_word(at), value: value(extra_word(at + 1)) };
                Kind::Enum { size: size_or_type, signed: flag, values: entries(2).map(enumerator).collect() }
            }
            7 => Kind::Forward { union: flag },
            8 => Kind::Typedef(size_or_type),
            9 => Kind::Qualified(Qualifier::Volatile, size_or_type),
            10 => Kind::Qualified(Qualifier::Const, size_or_type),
            11 => Kind::Qualified(Qualifier::Restrict, size_or_type),
            12 => Kind::Function(size_or_type),
            13 => {
                let parameter = |at| Parameter { name_offset: extra_word(at), type_id: extra_word(at + 1) };
                Kind::Prototype { returns: size_or_type, parameters: entries(2).map(parameter).collect() }
            }
            14 => Kind::Variable(size_or_type),
            15 => Kind::Section { variables: entries(3).map(extra_word).collect() },
            16 => Kind::Float { size: size_or_type },
            18 => Kind::Qualified(Qualifier::Tag, size_or_type),
            19 => {
                let value = |at| i64::from(extra_word(at + 1)) | i64::from(extra_word(at + 2)) << 32;
                let enumerator = |at| Enumerator { name_offset: extra_word(at), value: value(at) };
                Kind::Enum { size: size_or_type, signed: flag, values: entries(3).map(enumerator).collect() }
            }
            _ => Kind::Other,
        };
        types.push(Type { name_offset, kind });
        rest = tail;
    }
    Ok(types)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

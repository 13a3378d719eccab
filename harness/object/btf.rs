//! [`Btf`]: the type information of an object, from its `.BTF` section.
//!
//! The format is documented in the kernel's `Documentation/bpf/btf.rst`. Only what corematrix asks about a type is kept; a
//! kind whose content nobody asks for is [`Kind::Other`].

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
    /// An integer or float of so many bytes.
    Scalar {
        /// Bytes.
        size: u32,
    },
    /// An enum.
    Enum {
        /// Bytes.
        size: u32,
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
        /// Bytes.
        size: u32,
        /// In order of declaration.
        members: Vec<Member>,
    },
    /// A typedef, `const`, `volatile`, `restrict` or type tag: another name for a type id.
    Alias(u32),
    /// A global variable of a type id.
    Variable(u32),
    /// The variables of an ELF section; the type's name is the section's.
    Section {
        /// Type ids of its [`Kind::Variable`]s.
        variables: Vec<u32>,
    },
    /// A function, with the type id of its [`Kind::Prototype`].
    Function(u32),
    /// The prototype of a function.
    Prototype {
        /// How many parameters it declares.
        parameters: usize,
    },
    /// A forward declaration or declaration tag.
    Other,
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name in the strings; 0 for an anonymous one.
    pub name_offset: u32,
    /// Its type.
    pub type_id: u32,
}

/// A constant of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator {
    /// Offset of its name in the strings.
    pub name_offset: u32,
    /// Its value; of an unsigned enum of 64 bits the same bits.
    pub value: i64,
}

/// Why `.BTF` or `.BTF.ext` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
        let header = header_length(data)?;
        if header < 24 {
            return Err(BtfError::Header);
        }
        let field = |offset| u32_at(data, offset).ok_or(BtfError::Header);
        let (type_offset, type_length, string_offset, string_length) = (field(8)?, field(12)?, field(16)?, field(20)?);
        let table = part(data, header, type_offset, type_length).ok_or(BtfError::Outside { part: "type table" })?;
        let strings =
            part(data, header, string_offset, string_length).ok_or(BtfError::Outside { part: "string table" })?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(BtfError::Strings);
        }
        Ok(Btf { strings: strings.to_vec(), types: parse_types(table)? })
    }

    /// The string at an offset of the string table; `None` if the offset lies outside or the string is absurdly long.
    pub fn string(&self, offset: u32) -> Option<String> {
        let tail = self.strings.get(offset as usize..)?;
        let end = tail.iter().take(MAX_STRING).position(|&byte| byte == 0)?;
        Some(String::from_utf8_lossy(&tail[..end]).into_owned())
    }

    /// A type by its id.
    pub fn get(&self, id: u32) -> Option<&Type> {
        self.types.get(id as usize)
    }

    /// All types, by id.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// A type by its id, seen through typedefs and qualifiers. `None` for a bad id or a cycle.
    pub fn resolve(&self, id: u32) -> Option<&Type> {
        let mut found = self.get(id)?;
        for _ in 0..MAX_DEPTH {
            match found.kind {
                Kind::Alias(target) => found = self.get(target)?,
                _ => return Some(found),
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
                Kind::Scalar { size } | Kind::Enum { size, .. } | Kind::Composite { size, .. } => *size,
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

/// Parses the type table: records of 12 bytes, each followed by what its kind asks for.
fn parse_types(table: &[u8]) -> Result<Vec<Type>, BtfError> {
    let mut types = vec![Type { name_offset: 0, kind: Kind::Void }];
    let mut rest = table;
    while !rest.is_empty() {
        let id = types.len();
        let truncated = BtfError::TypeTruncated { id };
        let (record, tail) = rest.split_at_checked(12).ok_or(truncated.clone())?;
        let word = |offset| u32_at(record, offset).unwrap_or_default();
        let (name_offset, info, size_or_type) = (word(0), word(4), word(8));
        let count = (info & 0xffff) as usize;
        let kind = (info >> 24) & 0x1f;
        let extra = match kind {
            // int, var, declaration tag: one word. array: three words.
            1 | 14 | 17 => 4,
            3 => 12,
            // struct, union, datasec, enum64: three words an entry. enum, function prototype: two.
            4 | 5 | 15 | 19 => count * 12,
            6 | 13 => count * 8,
            // pointer, forward, typedef, volatile, const, restrict, function, float, type tag: nothing.
            2 | 7..=12 | 16 | 18 => 0,
            _ => return Err(BtfError::UnknownKind { id, kind }),
        };
        let (extra, tail) = tail.split_at_checked(extra).ok_or(truncated)?;
        let extra_word = |index: usize| u32_at(extra, index * 4).unwrap_or_default();
        let kind = match kind {
            1 | 16 => Kind::Scalar { size: size_or_type },
            6 | 19 => {
                let enumerator = |index: usize| {
                    let at = index * if kind == 6 { 2 } else { 3 };
                    let low = extra_word(at + 1);
                    let value = match (kind, info >> 31) {
                        (6, 0) => i64::from(low),
                        (6, _) => i64::from(low as i32),
                        _ => (u64::from(extra_word(at + 2)) << 32 | u64::from(low)) as i64,
                    };
                    Enumerator { name_offset: extra_word(at), value }
                };
                Kind::Enum { size: size_or_type, values: (0..count).map(enumerator).collect() }
            }
            2 => Kind::Pointer(size_or_type),
            3 => Kind::Array { element: extra_word(0), count: extra_word(2) },
            4 | 5 => {
                let member = |index| Member { name_offset: extra_word(index * 3), type_id: extra_word(index * 3 + 1) };
                Kind::Composite { size: size_or_type, members: (0..count).map(member).collect() }
            }
            8..=11 | 18 => Kind::Alias(size_or_type),
            12 => Kind::Function(size_or_type),
            13 => Kind::Prototype { parameters: count },
            14 => Kind::Variable(size_or_type),
            15 => Kind::Section { variables: (0..count).map(|index| extra_word(index * 3)).collect() },
            _ => Kind::Other,
        };
        types.push(Type { name_offset, kind });
        rest = tail;
    }
    Ok(types)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A `.BTF` section of these words of type records and these strings.
    fn section(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let length = types.len() as u32 * 4;
        let header = [0x0001_eb9f, 24, 0, length, length, strings.len() as u32];
        let words = header.iter().chain(types).flat_map(|word| word.to_le_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    const fn info(kind: u32, count: u32) -> u32 {
        kind << 24 | count
    }

    #[test]
    fn sizes_see_through_names_and_arrays() {
        let types = [
            [1, info(1, 0), 4].as_slice(), // 1: int
            &[32],
            &[0, info(8, 0), 1],          // 2: typedef of 1
            &[0, info(3, 0), 0, 2, 1, 6], // 3: six of 2
            &[0, info(3, 0), 0, 3, 1, 2], // 4: two of 3
            &[0, info(2, 0), 4],          // 5: pointer to 4
        ]
        .concat();
        let btf = Btf::parse(&section(&types, b"\0int\0")).unwrap();
        assert_eq!([1, 2, 3, 4, 5].map(|id| btf.size_of(id)), [4, 4, 24, 48, 8].map(Some));
        assert_eq!(btf.string(1).as_deref(), Some("int"));
        assert_eq!((btf.size_of(0), btf.size_of(6), btf.string(5)), (None, None, None));
    }

    #[test]
    fn cycles_end() {
        let types = [
            [0, info(8, 0), 2].as_slice(),      // 1: typedef of 2
            &[0, info(10, 0), 1],               // 2: const of 1
            &[0, info(3, 0), 0, 3, 1, 1],       // 3: array of itself
            &[0, info(3, 0), 0, 3, 1, 1 << 31], // 4: array that is too large
        ]
        .concat();
        let btf = Btf::parse(&section(&types, b"\0")).unwrap();
        assert_eq!(btf.resolve(1), None);
        assert_eq!([1, 3, 4].map(|id| btf.size_of(id)), [None; 3]);
    }

    #[test]
    fn damage_is_named() {
        let parse = |types: &[u32], strings: &[u8]| Btf::parse(&section(types, strings)).unwrap_err().to_string();
        assert_eq!(parse(&[0, info(20, 0), 0], b"\0"), "type 1 is of unknown kind 20");
        assert_eq!(parse(&[0, info(4, 2), 0, 0], b"\0"), "type 1 is cut short");
        assert_eq!(parse(&[], b"x\0"), "the string table does not begin and end with a NUL");
        assert_eq!(parse(&[], b""), "the string table does not begin and end with a NUL");
        let mut outside = section(&[], b"\0");
        outside[20] = 200;
        assert_eq!(Btf::parse(&outside), Err(BtfError::Outside { part: "string table" }));
    }

    #[test]
    fn enumerators_have_their_values() {
        let signed = 1 << 31;
        let types = [
            [1, info(6, 1), 4, 1, u32::MAX].as_slice(), // 1: enum A { A = 0xffffffff }
            &[3, info(6, 1) | signed, 4, 3, u32::MAX],  // 2: enum B { B = -1 }
            &[1, info(19, 1), 8, 1, 5, 1],              // 3: enum64 A { A = 0x100000005 }
            &[3, info(19, 1) | signed, 8, 3, u32::MAX - 1, u32::MAX], // 4: enum64 B { B = -2 }
        ]
        .concat();
        let btf = Btf::parse(&section(&types, b"\0A\0B\0")).unwrap();
        let values = |id: u32| match &btf.get(id).unwrap().kind {
            Kind::Enum { values, .. } => {
                values.iter().map(|value| (value.name_offset, value.value)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [1, 2, 3, 4].map(values),
            [(1, 0xffff_ffff), (3, -1), (1, 0x1_0000_0005), (3, -2)].map(|value| vec![value])
        );
        assert_eq!([1, 4].map(|id| btf.size_of(id)), [Some(4), Some(8)]);
    }

    #[test]
    fn functions_lead_to_their_prototypes() {
        // A prototype with two parameters, and function `A` of it.
        let types = [0, info(13, 2), 0, 1, 0, 3, 0, 1, info(12, 0), 1];
        let btf = Btf::parse(&section(&types, b"\0A\0B\0")).unwrap();
        let Kind::Function(prototype) = btf.get(2).unwrap().kind else { panic!("no function") };
        assert_eq!(btf.get(prototype).unwrap().kind, Kind::Prototype { parameters: 2 });
        assert_eq!(btf.types().len(), 3);
    }
}

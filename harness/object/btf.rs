//! [`Btf`]: the type information of an object, from its `.BTF` section, or of a kernel, from its raw BTF file.
//!
//! The format is documented in the kernel's `Documentation/bpf/btf.rst`. Only what corematrix asks about a type is kept; a
//! kind whose content no one asks for is [`TypeKind::Other`].

mod cut;
mod format;
mod lookup;
mod modules;
mod similar_names;
mod split;
mod type_name;

use std::borrow::Cow;

pub use cut::Cut;
pub(super) use format::{MAGIC, header_length, part, raw_types};
use format::{extra_bytes, parse_types, parts};
pub(crate) use format::{extra_bytes as record_extra, parts as btf_parts};
pub use lookup::{MemberPlace, Want, essential_name};
pub use modules::ModuleNames;
use similar_names::SimilarNames;

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
    /// Of modules whose types stand behind: the first id and the name of each.
    modules: Vec<(u32, String)>,
    similar: SimilarNames,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Offset of its name in the strings; 0 for a nameless type.
    pub name_offset: u32,
    /// What it is.
    pub kind: TypeKind,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
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
        /// Type ids of its [`TypeKind::Variable`]s.
        variables: Vec<u32>,
    },
    /// A function; the type id is that of its [`TypeKind::Prototype`].
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

/// What a [`TypeKind::Qualified`] adds to its type.
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
    #[error("the header is not that of little-endian BTF version 1")]
    Header,
    /// A part lies outside of the section.
    #[error("the {part} is outside the section")]
    Outside {
        /// Such as `type table`.
        part: &'static str,
    },
    /// The string table does not begin and end with NUL.
    #[error("the string table does not begin and end with a NUL")]
    Strings,
    /// A type is cut short.
    #[error("type {id} is truncated")]
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
    #[error("the {part} has a truncated record")]
    Record {
        /// Such as `line info`.
        part: &'static str,
    },
}

impl Btf {
    /// Parses a whole `.BTF` section.
    pub fn parse(data: &[u8]) -> Result<Btf, BtfError> {
        let (table, strings) = parts(data)?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(BtfError::Strings);
        }
        let void = vec![Type { name_offset: 0, kind: TypeKind::Void }];
        let mut btf = Btf::without_index(strings.to_vec(), parse_types(table, void)?);
        btf.index = btf.build_index();
        Ok(btf)
    }

    fn without_index(strings: Vec<u8>, types: Vec<Type>) -> Btf {
        Btf { strings, types, index: Vec::new(), modules: Vec::new(), similar: SimilarNames::default() }
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
                TypeKind::Typedef(target) | TypeKind::Qualified(_, target) => id = target,
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
                TypeKind::Int { size, .. }
                | TypeKind::Float { size }
                | TypeKind::Enum { size, .. }
                | TypeKind::Composite { size, .. } => *size,
                TypeKind::Pointer(_) => 8,
                TypeKind::Array { element, count } => {
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

    /// Whether it has a section of this name, of variables or of functions.
    pub fn has_section(&self, name: &str) -> bool {
        let of_name = |found: &Type| {
            matches!(found.kind, TypeKind::Section { .. }) && self.string(found.name_offset).as_deref() == Some(name)
        };
        self.types.iter().any(of_name)
    }

    /// The variables of a section such as `.maps`, as name and type id. Empty if the BTF does not know the section.
    pub fn section_variables(&self, section: &str) -> Vec<(String, u32)> {
        let of_section = |found: &&Type| {
            matches!(found.kind, TypeKind::Section { .. }) && self.string(found.name_offset).as_deref() == Some(section)
        };
        let Some(Type { kind: TypeKind::Section { variables }, .. }) = self.types.iter().find(of_section) else {
            return Vec::new();
        };
        let variable = |&id: &u32| match self.get(id)? {
            Type { name_offset, kind: TypeKind::Variable(type_id) } => Some((self.string(*name_offset)?, *type_id)),
            _ => None,
        };
        variables.iter().filter_map(variable).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;

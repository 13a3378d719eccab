//! [`TypeTable`]: BTF as it lies, of which only the types are decoded that someone asks for.

use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use super::index::TypeIndex;
use super::raw_type::{Kind, RawType, VOID};
use crate::bytes::u32_at;
use crate::object::btf::{BtfError, btf_parts, record_extra};

/// Typedefs and qualifiers in a row, at most: more is a cycle.
const MAX_NAMES: usize = 4096;

/// How far libbpf follows a type to its size.
const MAX_SIZE_STEPS: usize = 32;

/// Bytes in memory, or of a file that is mapped.
enum Bytes {
    Owned(Vec<u8>),
    Mapped(Mmap),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

/// The types of a kernel, a module or an object, in place. Cheap to open where an index of it is available.
pub struct TypeTable {
    bytes: Bytes,
    types: (usize, usize),
    strings: (usize, usize),
    index: TypeIndex,
    /// The kernel, of a module: its ids and strings come first.
    base: Option<Arc<TypeTable>>,
}

impl std::fmt::Debug for TypeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypeTable").field("types", &self.len()).finish_non_exhaustive()
    }
}

impl TypeTable {
    /// Takes raw BTF and indexes it.
    ///
    /// # Errors
    /// The BTF is cut short, or has a kind of type that is not known.
    pub fn new(bytes: Vec<u8>) -> Result<TypeTable, BtfError> {
        Self::build(Bytes::Owned(bytes), None, None)
    }

    /// Takes raw BTF with an index of it that was made before. An index that is not this BTF's is made again.
    ///
    /// # Errors
    /// As [`TypeTable::new`].
    pub fn with_index(bytes: Vec<u8>, index: Option<TypeIndex>) -> Result<TypeTable, BtfError> {
        Self::build(Bytes::Owned(bytes), index, None)
    }

    /// No types.
    pub fn empty() -> TypeTable {
        let (bytes, index) = (Bytes::Owned(Vec::new()), TypeIndex::default());
        TypeTable { bytes, types: (0, 0), strings: (0, 0), index, base: None }
    }

    /// Takes the raw BTF of a module, whose ids and strings go on where those of its kernel end.
    ///
    /// # Errors
    /// As [`TypeTable::new`].
    pub fn of_module(bytes: Vec<u8>, kernel: Arc<TypeTable>) -> Result<TypeTable, BtfError> {
        Self::build(Bytes::Owned(bytes), None, Some(kernel))
    }

    /// Maps a file of raw BTF with an index of it that was made before. The caller must own both files: no one may write into them while
    /// they are mapped.
    ///
    /// # Errors
    /// The file cannot be read, or is no BTF. An index that is not this file's is made again.
    pub fn map(path: &Path, index: Option<TypeIndex>) -> Result<TypeTable, std::io::Error> {
        let file = std::fs::File::open(path)?;
        // SAFETY: the files of the store appear whole, by a rename, and are never written into; see above for others.
        let map = unsafe { Mmap::map(&file)? };
        Self::build(Bytes::Mapped(map), index, None)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }

    fn build(bytes: Bytes, index: Option<TypeIndex>, base: Option<Arc<TypeTable>>) -> Result<TypeTable, BtfError> {
        let data = bytes.get();
        let (types, strings) = btf_parts(data)?;
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - data.as_ptr() as usize;
            (start, start + part.len())
        };
        let first_is_empty = base.is_some() || strings.first() == Some(&0);
        if !first_is_empty || strings.last().is_some_and(|&last| last != 0) {
            return Err(BtfError::Strings);
        }
        let own = index.filter(|index| index.is_of(data));
        let (types_at, strings_at) = (place(types), place(strings));
        let index = match own {
            Some(index) => index,
            None => {
                let name = |offset: u32| match &base {
                    Some(base) => match (offset as usize).checked_sub(base.string_end()) {
                        Some(own) => text(strings, own),
                        None => base.name_at(offset),
                    },
                    None => text(strings, offset as usize),
                };
                TypeIndex::build(data, types, base.as_ref().map_or(1, |base| base.len()), name)?
            }
        };
        Ok(TypeTable { types: types_at, strings: strings_at, index, bytes, base })
    }

    /// The raw BTF.
    pub fn raw(&self) -> &[u8] {
        self.bytes.get()
    }

    /// The index, to be kept.
    pub fn index(&self) -> &TypeIndex {
        &self.index
    }

    /// Bytes of strings, those of the kernel included.
    fn string_end(&self) -> usize {
        self.strings.1 - self.strings.0 + self.base.as_ref().map_or(0, |base| base.string_end())
    }

    /// How many types there are, void and those of the kernel included.
    pub fn len(&self) -> u32 {
        self.first_own().saturating_add(self.index.types())
    }

    /// Whether there is no type but void.
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    fn first_own(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.len())
    }

    /// A type by its id; `None` for a bad id.
    pub fn get(&self, id: u32) -> Option<RawType<'_>> {
        if id == 0 {
            return Some(VOID);
        }
        let Some(own) = id.checked_sub(self.first_own()) else {
            return self.base.as_ref()?.get(id);
        };
        let types = self.bytes.get().get(self.types.0..self.types.1)?;
        let record = types.get(self.index.offset(own)? as usize..)?;
        let (name_offset, info, size_or_type) = (u32_at(record, 0)?, u32_at(record, 4)?, u32_at(record, 8)?);
        let (kind, count) = (Kind::of(info)?, info & 0xffff);
        let extra = record.get(12..12 + record_extra(kind as u32, count as usize)?)?;
        Some(RawType { name_offset, kind, flag: info >> 31 == 1, count, size_or_type, extra })
    }

    /// The string at an offset; empty for a bad one, and for none.
    pub fn name_at(&self, offset: u32) -> &[u8] {
        let own = match &self.base {
            Some(base) => match (offset as usize).checked_sub(base.string_end()) {
                Some(own) => own,
                None => return base.name_at(offset),
            },
            None => offset as usize,
        };
        self.bytes.get().get(self.strings.0..self.strings.1).map_or(&[], |strings| text(strings, own))
    }

    /// The name of a type.
    pub fn name(&self, id: u32) -> &[u8] {
        self.get(id).map_or(&[], |found| self.name_at(found.name_offset))
    }

    /// A type seen through typedefs and qualifiers, with its id. `None` for a bad id or a cycle.
    pub(super) fn skip(&self, id: u32) -> Option<(u32, RawType<'_>)> {
        let mut id = id;
        for _ in 0..MAX_NAMES {
            let found = self.get(id)?;
            if !found.kind.is_name() {
                return Some((id, found));
            }
            id = found.size_or_type;
        }
        None
    }

    /// Bytes that a value of the type takes, as libbpf's `btf__resolve_size` says.
    pub(super) fn size(&self, id: u32) -> Option<u32> {
        let (mut id, mut elements) = (id, 1u32);
        for _ in 0..MAX_SIZE_STEPS {
            let found = self.get(id)?;
            let size = match found.kind {
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Section | Kind::Float => {
                    found.size_or_type
                }
                Kind::Pointer => 8,
                Kind::Array => {
                    let (element, count) = found.array()?;
                    elements = elements.checked_mul(count)?;
                    id = element;
                    continue;
                }
                Kind::Void | Kind::Forward | Kind::Function | Kind::Prototype => return None,
                _ => {
                    id = found.size_or_type;
                    continue;
                }
            };
            return elements.checked_mul(size);
        }
        None
    }

    /// The first of this table's own types with exactly this name and of this kind.
    pub fn exactly(&self, name: &str, kind: Kind) -> Option<(u32, RawType<'_>)> {
        let same =
            |(_, found): &(u32, RawType<'_>)| found.kind == kind && self.name_at(found.name_offset) == name.as_bytes();
        self.named(essential_of(name.as_bytes())).find(same)
    }

    /// Whether an enum of 32 bits, or of 64 bits, lists a number: `None` without such an enum, or with one of fewer than `least` enumerators.
    /// What begins with `__` marks the end of a list and is no part of it.
    pub fn lists(&self, name: &str, number: u32, least: u32) -> Option<bool> {
        let (_, found) = self.exactly(name, Kind::Enum).or_else(|| self.exactly(name, Kind::Enum64))?;
        if found.count < least {
            return None;
        }
        let size = if found.kind == Kind::Enum { 8 } else { 12 };
        let is_it = |value: &[u8]| {
            let (name, low) = (u32_at(value, 0)?, u32_at(value, 4)?);
            let is_zero = size == 8 || u32_at(value, 8)? == 0;
            Some(low == number && is_zero && !self.name_at(name).starts_with(b"__"))
        };
        Some(found.extra.chunks_exact(size).any(|value| is_it(value) == Some(true)))
    }

    /// Whether any type or function has this name.
    pub fn has_name(&self, essential: &[u8]) -> bool {
        self.named(essential).next().is_some()
    }

    /// Ids of this table's own types with this name, flavours on either side ignored, lowest first.
    pub(super) fn named<'a, 'n>(
        &'a self,
        essential: &'n [u8],
    ) -> impl Iterator<Item = (u32, RawType<'a>)> + use<'a, 'n> {
        let first = self.first_own();
        let found = self.index.named(essential).filter_map(move |own| {
            let id = first.checked_add(own)?;
            Some((id, self.get(id)?))
        });
        found.filter(move |(_, found)| essential_of(self.name_at(found.name_offset)) == essential)
    }
}

/// The string at an offset of a string table; empty for a bad offset.
fn text(strings: &[u8], offset: usize) -> &[u8] {
    let Some(tail) = strings.get(offset..) else { return &[] };
    memchr::memchr(0, tail).map_or(&[], |end| &tail[..end])
}

/// A name without its flavour: what is before the last `___` that has something else than an underscore on both sides.
pub(super) fn essential_of(name: &[u8]) -> &[u8] {
    // Nearly no name has one.
    if memchr::memmem::find(name, b"___").is_none() {
        return name;
    }
    let is_flavour = |part: &[u8]| part[0] != b'_' && part[1..4] == *b"___" && part[4] != b'_';
    name.windows(5).rposition(is_flavour).map_or(name, |at| &name[..at + 1])
}

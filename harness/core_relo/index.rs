//! [`TypeIndex`]: where each type of a BTF begins, and which have a name; made once for each kernel.

use super::table::essential_of;
use crate::bytes::u32_at;
use crate::object::btf::{BtfError, record_extra};

/// What a kept index begins with; the number is that of its format.
const MAGIC: [u8; 8] = *b"cmxbtf\x00\x01";

/// Magic, length and checksum of the BTF, count of types, count of names.
const HEADER: usize = 8 + 4 * 4;

/// Kinds of types that a name is not looked up of: sections, declaration tags, type tags.
const UNNAMED: [u32; 3] = [15, 17, 18];

/// An index of one BTF: all numbers little-endian, as they are kept in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeIndex {
    bytes: Vec<u8>,
    types: u32,
    names: u32,
}

impl TypeIndex {
    /// Reads an index that was kept; `None` if it is none, or another version's.
    pub fn read(bytes: Vec<u8>) -> Option<TypeIndex> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let (types, names) = (u32_at(&bytes, 16)?, u32_at(&bytes, 20)?);
        let length = (types as usize).checked_mul(4)?.checked_add((names as usize).checked_mul(8)?)?;
        (bytes.len() == length.checked_add(HEADER)?).then_some(TypeIndex { bytes, types, names })
    }

    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it belongs to this BTF.
    pub(super) fn is_of(&self, btf: &[u8]) -> bool {
        u32_at(&self.bytes, 8) == u32::try_from(btf.len()).ok() && u32_at(&self.bytes, 12) == Some(sample(btf))
    }

    /// Goes once over the type table. `first` is the id of its first type.
    pub(super) fn build<'n>(
        btf: &[u8],
        table: &[u8],
        first: u32,
        name: impl Fn(u32) -> &'n [u8],
    ) -> Result<TypeIndex, BtfError> {
        let mut offsets: Vec<u32> = Vec::with_capacity(table.len() / 24);
        let mut names: Vec<u64> = Vec::with_capacity(table.len() / 40);
        let mut at = 0usize;
        while at < table.len() {
            let own = offsets.len() as u32;
            let id = first.saturating_add(own) as usize;
            let truncated = BtfError::TypeTruncated { id };
            let word = |offset: usize| u32_at(table, at + offset);
            let (Some(name_offset), Some(info), Some(_)) = (word(0), word(4), word(8)) else { return Err(truncated) };
            let kind = info >> 24 & 0x1f;
            let extra = record_extra(kind, (info & 0xffff) as usize).ok_or(BtfError::UnknownKind { id, kind })?;
            let end = at + 12 + extra;
            if end > table.len() {
                return Err(truncated);
            }
            offsets.push(u32::try_from(at).map_err(|_| BtfError::Outside { part: "type table" })?);
            if name_offset != 0 && !UNNAMED.contains(&kind) {
                let name = name(name_offset);
                if !name.is_empty() {
                    names.push(u64::from(hash(essential_of(name))) << 32 | u64::from(own));
                }
            }
            at = end;
        }
        names.sort_unstable();
        let (types, named) = (offsets.len() as u32, names.len() as u32);
        let mut bytes = Vec::with_capacity(HEADER + offsets.len() * 4 + names.len() * 8);
        bytes.extend(MAGIC);
        for number in [btf.len() as u32, sample(btf), types, named] {
            bytes.extend(number.to_le_bytes());
        }
        offsets.iter().for_each(|offset| bytes.extend(offset.to_le_bytes()));
        // The hashes lie together, since a search touches them alone.
        names.iter().for_each(|entry| bytes.extend(((entry >> 32) as u32).to_le_bytes()));
        names.iter().for_each(|entry| bytes.extend((*entry as u32).to_le_bytes()));
        Ok(TypeIndex { bytes, types, names: named })
    }

    pub(super) fn types(&self) -> u32 {
        self.types
    }

    /// Where the type lies in the type table.
    pub(super) fn offset(&self, own: u32) -> Option<u32> {
        (own < self.types).then(|| u32_at(&self.bytes, HEADER + own as usize * 4))?
    }

    fn name_hash(&self, entry: u32) -> u32 {
        let at = HEADER + self.types as usize * 4 + entry as usize * 4;
        u32_at(&self.bytes, at).unwrap_or(u32::MAX)
    }

    /// Numbers of the types that may have this name, in order: names of the same hash are among them.
    pub(super) fn named(&self, essential: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
        let wanted = hash(essential);
        let (mut low, mut high) = (0, self.names);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name_hash(middle) < wanted {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let ids = HEADER + (self.types as usize + self.names as usize) * 4;
        (low..self.names)
            .take_while(move |&entry| self.name_hash(entry) == wanted)
            .filter_map(move |entry| u32_at(&self.bytes, ids + entry as usize * 4))
    }
}

/// FNV-1a: indexes are kept, so that it must be the same in every build.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A checksum of some of the bytes, so that an index is not taken for that of another BTF of the same length. Not all of them: that
/// would touch every page of a mapped file.
fn sample(btf: &[u8]) -> u32 {
    const PART: usize = 64;
    const PARTS: usize = 32;
    let step = (btf.len() / PARTS).max(PART);
    (0..PARTS)
        .filter_map(|part| btf.get(part * step..))
        .fold(0, |sum, from| sum.rotate_left(5) ^ hash(&from[..from.len().min(PART)]))
}

//! [`RawType`]: one type as it lies in BTF.

use crate::bytes::u32_at;

/// The kinds of types, with their numbers in BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum Kind {
    Void = 0,
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Function,
    Prototype,
    Variable,
    Section,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

const KINDS: [Kind; 20] = [
    Kind::Void,
    Kind::Int,
    Kind::Pointer,
    Kind::Array,
    Kind::Struct,
    Kind::Union,
    Kind::Enum,
    Kind::Forward,
    Kind::Typedef,
    Kind::Volatile,
    Kind::Const,
    Kind::Restrict,
    Kind::Function,
    Kind::Prototype,
    Kind::Variable,
    Kind::Section,
    Kind::Float,
    Kind::DeclTag,
    Kind::TypeTag,
    Kind::Enum64,
];

impl Kind {
    pub(super) fn of(info: u32) -> Option<Kind> {
        KINDS.get((info >> 24 & 0x1f) as usize).copied()
    }

    pub(super) fn is_enum(self) -> bool {
        matches!(self, Kind::Enum | Kind::Enum64)
    }

    pub(super) fn is_composite(self) -> bool {
        matches!(self, Kind::Struct | Kind::Union)
    }

    pub(super) fn is_name(self) -> bool {
        matches!(self, Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag)
    }

    /// libbpf's `btf_kind_core_compat`.
    pub(super) fn goes_with(self, other: Kind) -> bool {
        self == other || self.is_enum() && other.is_enum()
    }
}

/// One type as it lies in BTF.
#[derive(Debug, Clone, Copy)]
pub struct RawType<'a> {
    /// Offset of its name in the strings; 0 for a nameless type.
    pub name_offset: u32,
    /// What it is.
    pub kind: Kind,
    /// What the flag of a kind means, the kind says: bitfields, signed values, a union.
    pub flag: bool,
    /// Members, enumerators or parameters.
    pub count: u32,
    /// Bytes, or the id of a type, as the kind says.
    pub size_or_type: u32,
    pub(super) extra: &'a [u8],
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawMember {
    pub name_offset: u32,
    pub type_id: u32,
    /// Bits from the start of the struct.
    pub bit_offset: u32,
    /// 0 unless it is a bitfield.
    pub bitfield_size: u32,
}

/// Type id 0.
pub(super) const VOID: RawType<'static> =
    RawType { name_offset: 0, kind: Kind::Void, flag: false, count: 0, size_or_type: 0, extra: &[] };

impl RawType<'_> {
    fn word(&self, index: usize) -> Option<u32> {
        u32_at(self.extra, index.checked_mul(4)?)
    }

    /// How an integer is encoded (1 signed, 2 char, 4 bool), and its offset in bits, which only old compilers gave.
    pub(super) fn int(&self) -> Option<(u32, u32)> {
        let word = (self.kind == Kind::Int).then(|| self.word(0))??;
        Some((word >> 24 & 0xf, word >> 16 & 0xff))
    }

    /// Type of an element of an array, and how many there are.
    pub(super) fn array(&self) -> Option<(u32, u32)> {
        (self.kind == Kind::Array).then(|| Some((self.word(0)?, self.word(2)?)))?
    }

    pub(super) fn member(&self, index: u32) -> Option<RawMember> {
        if !self.kind.is_composite() || index >= self.count {
            return None;
        }
        let at = index as usize * 3;
        let place = self.word(at + 2)?;
        let (bit_offset, bitfield_size) = if self.flag { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
        Some(RawMember { name_offset: self.word(at)?, type_id: self.word(at + 1)?, bit_offset, bitfield_size })
    }

    /// Name and value of an enumerator; the value with its sign in 64 bits.
    pub(super) fn enumerator(&self, index: u32) -> Option<(u32, u64)> {
        if index >= self.count {
            return None;
        }
        let index = index as usize;
        match self.kind {
            Kind::Enum => {
                Some((self.word(index * 2)?, i64::from(self.word(index * 2 + 1)?.cast_signed()).cast_unsigned()))
            }
            Kind::Enum64 => {
                let (low, high) = (self.word(index * 3 + 1)?, self.word(index * 3 + 2)?);
                Some((self.word(index * 3)?, u64::from(low) | u64::from(high) << 32))
            }
            _ => None,
        }
    }

    /// Type of a parameter of a prototype.
    pub(super) fn parameter(&self, index: u32) -> Option<u32> {
        (self.kind == Kind::Prototype && index < self.count).then(|| self.word(index as usize * 2 + 1))?
    }
}

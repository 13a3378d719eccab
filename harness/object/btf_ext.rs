//! [`BtfExt`]: line info and CO-RE relocations of an object, from its `.BTF.ext` section.
//!
//! The format is documented in the kernel's `Documentation/bpf/btf.rst`.

use crate::bytes::u32_at;
use std::fmt;
use std::sync::Arc;

use super::btf::{self, Btf, BtfError};

/// Longest access string that is kept. Real ones take some twenty bytes; a crafted file must not make us copy megabytes
/// for every record.
const MAX_ACCESS: usize = 256;

/// Bytes of a record of line info and of a CO-RE relocation, which happen to be equal.
const MIN_RECORD: usize = 16;

/// The records of one ELF section: the section's name offset, and the first four words of each record.
type SectionRecords = (u32, Vec<[u32; 4]>);

/// The parsed `.BTF.ext` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtfExt {
    /// Every CO-RE relocation, in the order of the section.
    pub relocations: Vec<BtfRelocation>,
    /// Which source line each run of instructions came from, in the order of the section.
    pub lines: Vec<LineInfo>,
}

/// One CO-RE relocation: one place where the loader adapts an instruction to the kernel's types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtfRelocation {
    /// ELF section of the instruction, as it is written in the ELF (with a leading `?`, if it has one).
    pub section: Arc<str>,
    /// Bytes from the start of the section to the instruction.
    pub insn_offset: u32,
    /// The type asked about, in the object's BTF.
    pub type_id: u32,
    /// Which part of the type, such as `0:1:2`.
    pub access: String,
    /// What the relocation asks for.
    pub kind: RelocationKind,
}

/// What a CO-RE relocation asks. Displays as libbpf names it, such as `byte_off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelocationKind {
    /// Byte offset of a field.
    ByteOffset,
    /// Size of a field.
    ByteSize,
    /// Whether a field exists.
    FieldExists,
    /// Whether a field is signed.
    Signed,
    /// Left shift that isolates a bitfield.
    LeftShift,
    /// Right shift that isolates a bitfield.
    RightShift,
    /// Type id in the object.
    LocalTypeId,
    /// Type id in the kernel.
    TargetTypeId,
    /// Whether a type exists.
    TypeExists,
    /// Size of a type.
    TypeSize,
    /// Whether an enum value exists.
    EnumValueExists,
    /// Value of an enum value.
    EnumValue,
    /// Whether a type matches.
    TypeMatches,
    /// A kind that did not exist when this was written.
    Unknown(u32),
}

/// The source line of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineInfo {
    /// ELF section of the instruction, as it is written in the ELF.
    pub section: Arc<str>,
    /// Bytes from the start of the section to the instruction.
    pub insn_offset: u32,
    /// Path of the source file when it was compiled, as an offset of the BTF's strings.
    pub file_offset: u32,
    /// The line itself, as an offset of the BTF's strings.
    pub text_offset: u32,
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1; 0 if unknown.
    pub column: u32,
}

impl BtfExt {
    /// Parses a whole `.BTF.ext` section; names in it are looked up in the object's `btf`.
    pub fn parse(data: &[u8], btf: &Btf) -> Result<BtfExt, BtfError> {
        let header = btf::header_length(data)?;
        // The CO-RE part came later than the other two; an older object has a shorter header.
        if header < 24 {
            return Err(BtfError::Header);
        }
        let field = |offset| u32_at(data, offset).ok_or(BtfError::Header);
        let lines = table(data, header, field(16)?, field(20)?, "line info table")?;
        let relocations = match header >= 32 {
            true => table(data, header, field(24)?, field(28)?, "CO-RE relocation table")?,
            false => Vec::new(),
        };
        let name = |offset| btf.string(offset).unwrap_or_default();
        let mut parsed = BtfExt { relocations: Vec::new(), lines: Vec::new() };
        for (section, records) in relocations {
            let section: Arc<str> = name(section).into();
            parsed.relocations.extend(records.into_iter().map(|[insn_offset, type_id, access, kind]| BtfRelocation {
                section: Arc::clone(&section),
                insn_offset,
                type_id,
                access: btf.string(access).filter(|access| access.len() <= MAX_ACCESS).unwrap_or_default(),
                kind: RelocationKind::from(kind),
            }));
        }
        for (section, records) in lines {
            let section: Arc<str> = name(section).into();
            parsed.lines.extend(records.into_iter().map(|[insn_offset, file_offset, text_offset, line_and_column]| {
                LineInfo {
                    section: Arc::clone(&section),
                    insn_offset,
                    file_offset,
                    text_offset,
                    line: line_and_column >> 10,
                    column: line_and_column & 0x3ff,
                }
            }));
        }
        Ok(parsed)
    }
}

/// Reads a table: the record size, then for each section its name, the number of records, and the records. A record may
/// be longer than [`MIN_RECORD`]: newer compilers may append fields.
fn table(
    data: &[u8],
    header: usize,
    offset: u32,
    length: u32,
    part: &'static str,
) -> Result<Vec<SectionRecords>, BtfError> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let truncated = BtfError::Record { part };
    let bytes = btf::part(data, header, offset, length).ok_or(BtfError::Outside { part })?;
    let (size, mut rest) = bytes.split_at_checked(4).ok_or(truncated.clone())?;
    let record_size = u32_at(size, 0).unwrap_or_default() as usize;
    if record_size < MIN_RECORD {
        return Err(truncated);
    }
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(8).ok_or(truncated.clone())?;
        let word = |bytes: &[u8], index: usize| u32_at(bytes, index * 4).unwrap_or_default();
        let section = word(head, 0);
        let size = (word(head, 1) as usize).checked_mul(record_size).ok_or(truncated.clone())?;
        let (body, tail) = tail.split_at_checked(size).ok_or(truncated.clone())?;
        let first_words = |record: &[u8]| [word(record, 0), word(record, 1), word(record, 2), word(record, 3)];
        records.push((section, body.chunks_exact(record_size).map(first_words).collect()));
        rest = tail;
    }
    Ok(records)
}

impl From<u32> for RelocationKind {
    /// `enum bpf_core_relo_kind` of the kernel's `linux/bpf.h`.
    fn from(kind: u32) -> Self {
        match kind {
            0 => RelocationKind::ByteOffset,
            1 => RelocationKind::ByteSize,
            2 => RelocationKind::FieldExists,
            3 => RelocationKind::Signed,
            4 => RelocationKind::LeftShift,
            5 => RelocationKind::RightShift,
            6 => RelocationKind::LocalTypeId,
            7 => RelocationKind::TargetTypeId,
            8 => RelocationKind::TypeExists,
            9 => RelocationKind::TypeSize,
            10 => RelocationKind::EnumValueExists,
            11 => RelocationKind::EnumValue,
            12 => RelocationKind::TypeMatches,
            unknown => RelocationKind::Unknown(unknown),
        }
    }
}

impl fmt::Display for RelocationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RelocationKind::ByteOffset => "byte_off",
            RelocationKind::ByteSize => "byte_sz",
            RelocationKind::FieldExists => "field_exists",
            RelocationKind::Signed => "signed",
            RelocationKind::LeftShift => "lshift_u64",
            RelocationKind::RightShift => "rshift_u64",
            RelocationKind::LocalTypeId => "local_type_id",
            RelocationKind::TargetTypeId => "target_type_id",
            RelocationKind::TypeExists => "type_exists",
            RelocationKind::TypeSize => "type_size",
            RelocationKind::EnumValueExists => "enumval_exists",
            RelocationKind::EnumValue => "enumval_value",
            RelocationKind::TypeMatches => "type_matches",
            RelocationKind::Unknown(kind) => return write!(f, "unknown kind {kind}"),
        })
    }
}

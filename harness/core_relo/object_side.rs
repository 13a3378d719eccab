//! [`ObjectSide`]: the relocations of an object, with the types that they ask about and the instructions that they change.

use object::LittleEndian;
use object::read::elf::SectionHeader;

use super::table::TypeTable;
use crate::object::btf::Btf;
use crate::object::btf_ext::{BtfExt, BtfRelocation};
use crate::object::{FormatError, Inventory, sections};

/// Bytes of an instruction, and of the widest one.
const INSN: usize = 8;
const WIDE_INSN: usize = 16;

/// One relocation of an object.
#[derive(Debug, Clone)]
pub struct ObjectRelocation {
    /// What `.BTF.ext` says.
    pub record: BtfRelocation,
    /// Number of the instruction in its function; `None` if it is in none, as in a weak function that the linker left out.
    pub insn: Option<u32>,
    bytes: Vec<u8>,
}

impl ObjectRelocation {
    /// The instruction and the one behind it, as far as there is one.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What an object brings to its relocations: the same on every kernel.
#[derive(Debug)]
pub struct ObjectSide {
    /// Its own types.
    pub types: TypeTable,
    /// In the order of [`Inventory::core_relocations`].
    pub relocations: Vec<ObjectRelocation>,
}

impl ObjectSide {
    /// Reads a whole object.
    ///
    /// # Errors
    /// It is no BPF object, or its BTF cannot be read. An object without BTF has no relocations.
    pub fn read(bytes: &[u8]) -> Result<ObjectSide, FormatError> {
        let inventory = Inventory::read(bytes)?;
        let sections = sections(bytes)?;
        let data = |name: &str| {
            let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
            section.data(LittleEndian, bytes).ok()
        };
        let (Some(raw), Some(ext)) = (data(".BTF"), data(".BTF.ext")) else {
            return Ok(ObjectSide { types: TypeTable::empty(), relocations: Vec::new() });
        };
        let types = TypeTable::new(raw.to_vec()).map_err(FormatError::Btf)?;
        let btf = Btf::parse(raw).map_err(FormatError::Btf)?;
        let ext = BtfExt::parse(ext, &btf).map_err(FormatError::BtfExt)?;
        let relocations = ext.relocations.into_iter().zip(&inventory.core_relocations).map(|(record, listed)| {
            let start = record.insn_offset as usize;
            let section = data(&record.section).unwrap_or_default();
            let rest = section.get(start..).unwrap_or_default();
            let bytes = rest[..rest.len().min(WIDE_INSN)].to_vec();
            let insn = (!listed.function.is_empty() && start.is_multiple_of(INSN)).then_some(listed.insn);
            ObjectRelocation { record, insn, bytes }
        });
        let relocations = relocations.collect();
        Ok(ObjectSide { types, relocations })
    }
}

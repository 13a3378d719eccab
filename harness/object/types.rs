//! [`ObjectTypes`]: an object's own types, and the relocations that ask about them.

use object::LittleEndian;
use object::read::elf::SectionHeader;

use super::btf::Btf;
use super::btf_ext::{BtfExt, CoreRelocation};
use super::inventory::sections;

/// Classes of instructions that read or write memory (`BPF_LDX`, `BPF_ST`, `BPF_STX`), in the low three bits of the code.
const MEMORY_CLASSES: std::ops::RangeInclusive<u8> = 1..=3;

/// An object's own types, and the relocations that ask about them.
#[derive(Debug, Clone)]
pub struct ObjectTypes {
    /// Its BTF.
    pub btf: Btf,
    /// Its CO-RE relocations in the order of [`Inventory::core_relocations`](super::Inventory::core_relocations).
    pub relocations: Vec<CoreRelocation>,
    /// For each relocation, whether its instruction reads or writes memory.
    pub on_memory: Vec<bool>,
}

impl ObjectTypes {
    /// Reads them from a whole object; `None` if it has none that can be read.
    pub fn read(bytes: &[u8]) -> Option<ObjectTypes> {
        let sections = sections(bytes).ok()?;
        let data = |name: &str| {
            let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
            section.data(LittleEndian, bytes).ok()
        };
        let btf = Btf::parse(data(".BTF")?).ok()?;
        let relocations = BtfExt::parse(data(".BTF.ext")?, &btf).ok()?.relocations;
        let mut section: (&str, Option<&[u8]>) = ("", None);
        let mut on_memory = Vec::with_capacity(relocations.len());
        for relocation in &relocations {
            // Records of one section follow one another.
            if section.0 != &*relocation.section {
                section = (&relocation.section, data(&relocation.section));
            }
            let code = section.1.and_then(|insns| insns.get(relocation.insn_offset as usize));
            on_memory.push(code.is_some_and(|code| MEMORY_CLASSES.contains(&(code & 7))));
        }
        Some(ObjectTypes { btf, relocations, on_memory })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Inventory;
    use super::*;

    #[test]
    fn relocations_are_those_of_the_inventory() {
        let bytes = include_bytes!("../../tests/fixtures/explain/object.o");
        let types = ObjectTypes::read(bytes).unwrap();
        let listed = Inventory::read(bytes).unwrap().core_relocations;
        assert_eq!(types.relocations.len(), listed.len());
        for (own, listed) in types.relocations.iter().zip(&listed) {
            assert_eq!((&*own.section, own.kind.to_string()), (listed.section.as_str(), listed.kind.clone()));
        }
        assert!(types.on_memory.contains(&true) && types.on_memory.contains(&false), "{:?}", types.on_memory);
        assert!(ObjectTypes::read(b"\x7fELF").is_none());
    }
}

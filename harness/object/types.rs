//! [`ObjectTypes`]: an object's own types, the relocations that ask about them, and where in the source its code comes from.

use std::collections::{HashMap, HashSet};

use object::LittleEndian;
use object::read::elf::SectionHeader;

use super::btf::Btf;
use super::btf_ext::{BtfExt, BtfRelocation, LineInfo};
use super::inventory::{INSN_SIZE, Placed, functions, sections};
use super::relocations::place;
use crate::record::SourcePlace;

/// Classes of instructions that read or write memory (`BPF_LDX`, `BPF_ST`, `BPF_STX`), in the low three bits of the code.
const MEMORY_CLASSES: std::ops::RangeInclusive<u8> = 1..=3;

/// Classes of instructions that compare and jump (`BPF_JMP`, `BPF_JMP32`).
const JUMP_CLASSES: [u8; 2] = [5, 6];

/// A relocated value is compared at most this many instructions later, or never.
const TEST_WITHIN: usize = 16;

/// An object's own types, the relocations that ask about them, and where in the source its code comes from.
#[derive(Debug, Clone)]
pub struct ObjectTypes {
    /// Its BTF.
    pub btf: Btf,
    /// Its CO-RE relocations in the order of [`Inventory::core_relocations`](super::Inventory::core_relocations).
    pub relocations: Vec<BtfRelocation>,
    /// For each relocation, whether its instruction reads or writes memory.
    pub on_memory: Vec<bool>,
    /// For each relocation, whether the code soon compares the value it puts into a register, and jumps by it.
    pub compared: Vec<bool>,
    /// Which source line each run of instructions came from.
    pub(super) lines: Vec<LineInfo>,
    /// Every function, sorted by section and offset.
    functions: Vec<Placed>,
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
        let BtfExt { relocations, lines } = BtfExt::parse(data(".BTF.ext")?, &btf).ok()?;
        let (functions, _) = functions(bytes, &sections).ok()?;
        let mut section: (&str, Option<&[u8]>) = ("", None);
        let mut on_memory = Vec::with_capacity(relocations.len());
        let mut compared = Vec::with_capacity(relocations.len());
        for relocation in &relocations {
            // Records of one section follow one another.
            if section.0 != &*relocation.section {
                section = (&relocation.section, data(&relocation.section));
            }
            let from_here =
                section.1.and_then(|insns| insns.get(relocation.insn_offset as usize..)).unwrap_or_default();
            on_memory.push(from_here.first().is_some_and(|code| MEMORY_CLASSES.contains(&(code & 7))));
            compared.push(is_compared(from_here));
        }
        Some(ObjectTypes { btf, relocations, on_memory, compared, lines, functions })
    }

    /// Every source line that has instructions and whose text is `wanted`, once for each function; with the function.
    pub fn source_lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<(&str, SourcePlace)> {
        let mut by_section: HashMap<&str, Vec<&Placed>> = HashMap::new();
        for function in &self.functions {
            // Sorted by offset already.
            by_section.entry(&function.raw_section).or_default().push(function);
        }
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        for line in &self.lines {
            if !self.btf.text(line.text_offset).is_some_and(|text| wanted(&text)) {
                continue;
            }
            let offset = u64::from(line.insn_offset);
            let functions = by_section.get(&*line.section).map_or(&[][..], Vec::as_slice);
            let at = functions.partition_point(|function| function.offset <= offset);
            let function = functions[..at].last().filter(|function| offset < function.offset + function.size);
            let Some(function) = function else { continue };
            if known.insert((&function.name, line.file_offset, line.line)) {
                found.push((function.name.as_str(), place(&self.btf, line)));
            }
        }
        found
    }
}

/// Whether the register that the first instruction writes is compared by a jump before it is written again. Follows the code
/// as it lies, not as it runs.
fn is_compared(insns: &[u8]) -> bool {
    let mut insns = insns.chunks_exact(INSN_SIZE as usize).take(TEST_WITHIN);
    let register = |insn: &[u8]| insn[1] & 15;
    let Some(written) = insns.next().map(register) else { return false };
    for insn in insns {
        let (class, operation) = (insn[0] & 7, insn[0] & 0xf0);
        let is_test = JUMP_CLASSES.contains(&class) && !matches!(operation, 0x00 | 0x80 | 0x90);
        let from_register = insn[0] & 8 != 0;
        if is_test && (register(insn) == written || from_register && insn[1] >> 4 == written) {
            return true;
        }
        // Loads and moves into the register end its life, arithmetic goes on with it; a call takes the registers 0 to 5.
        let is_write = (class <= 1 || matches!(class, 4 | 7) && operation == 0xb0) && register(insn) == written;
        let is_end = class == 5 && (operation == 0x80 && written <= 5 || operation == 0x90);
        if is_write || is_end {
            return false;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Inventory;
    use super::*;

    #[test]
    fn comparisons_of_a_value_are_seen_until_it_is_gone() {
        let compared = |rest: &[[u8; 2]]| {
            let insns =
                [[0xb7, 2]].iter().chain(rest).flat_map(|[code, registers]| [*code, *registers, 0, 0, 0, 0, 0, 0]);
            is_compared(&insns.collect::<Vec<u8>>())
        };
        // `if r2 == 0`, `if w2 > 0`, `r2 += 1; if r1 == r2`.
        assert!(compared(&[[0x15, 2]]) && compared(&[[0x26, 2]]) && compared(&[[0x07, 2], [0x1d, 0x21]]));
        // Another register, a move or a load into it, a call, the end.
        for rest in [&[[0x15, 1]][..], &[[0xb7, 2], [0x15, 2]], &[[0x79, 2], [0x15, 2]], &[[0x85, 0], [0x15, 2]]] {
            assert!(!compared(rest), "{rest:?}");
        }
        assert!(!compared(&[[0x95, 0], [0x15, 2]]) && !compared(&[[0x0f, 0x01]; 16]) && !is_compared(&[]));
    }

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

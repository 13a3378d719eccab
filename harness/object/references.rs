//! [`References`]: which maps and externs a program refers to, itself or by a subprogram that it calls.

use std::collections::BTreeSet;

use object::LittleEndian;
use object::elf;
use object::read::elf::{SectionHeader, Sym};

use super::instruction::{self, NewInstruction};
use super::inventory::{INSN_SIZE, Placed, Sections};
use super::maps::STRUCT_OPS;

/// What the functions of an object refer to by name, and which of them call which.
pub(super) struct References {
    functions: Vec<Function>,
}

#[derive(Default)]
struct Function {
    externs: BTreeSet<String>,
    maps: BTreeSet<String>,
    data: BTreeSet<String>,
    new_instructions: BTreeSet<NewInstruction>,
    /// Places among the functions.
    callees: BTreeSet<usize>,
    /// The struct_ops maps that point to it.
    struct_ops: BTreeSet<String>,
    /// The program arrays that hold it.
    arrays: BTreeSet<String>,
}

/// A symbol of the object.
struct Symbol {
    name: String,
    section: usize,
    value: u64,
    size: u64,
}

/// What a function refers to, in the order of names.
pub(super) struct Referred {
    /// The maps of `.maps`.
    pub maps: Vec<String>,
    pub externs: Vec<String>,
    /// Sections of variables.
    pub data: Vec<String>,
    /// Instructions that old kernels lack.
    pub new_instructions: Vec<NewInstruction>,
}

impl References {
    /// Reads the relocations and calls of the functions, which are sorted by section and offset. What cannot be read refers to nothing.
    pub(super) fn read(bytes: &[u8], sections: &Sections<'_>, placed: &[Placed]) -> References {
        let mut references = References { functions: placed.iter().map(|_| Function::default()).collect() };
        let Ok(table) = sections.symbols(LittleEndian, bytes, elf::SHT_SYMTAB) else { return references };
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let symbols: Vec<Symbol> = table
            .iter()
            .map(|symbol| Symbol {
                name: table.symbol_name(LittleEndian, symbol).map(text).unwrap_or_default(),
                section: symbol.st_shndx(LittleEndian).0.into(),
                value: symbol.st_value(LittleEndian),
                size: symbol.st_size(LittleEndian),
            })
            .collect();
        let maps = sections.section_by_name(LittleEndian, b".maps").map(|(index, _)| index.0);
        // Calls within a section need no relocation.
        for (caller, function) in placed.iter().enumerate() {
            let code = code_of(bytes, sections, function);
            references.functions[caller].new_instructions = instruction::in_code(code);
            for (at, insn) in code.chunks_exact(INSN_SIZE as usize).enumerate() {
                let here = function.offset.saturating_add(at as u64 * INSN_SIZE);
                if calls_function(insn) {
                    let target = relative(here, immediate(insn));
                    let callee = target.and_then(|target| function_at(placed, function.section_index, target));
                    references.functions[caller].callees.extend(callee);
                }
            }
        }
        for section in sections.iter() {
            let Ok(Some((records, _))) = section.rel(LittleEndian, bytes) else { continue };
            let target = section.sh_info(LittleEndian) as usize;
            for record in records {
                let offset = record.r_offset.get(LittleEndian);
                let Some(from) = function_at(placed, target, offset) else { continue };
                let Some(symbol) = symbols.get(record.r_sym(LittleEndian) as usize) else { continue };
                let function = &mut references.functions[from];
                function.data.extend(data_section(sections, symbol.section));
                match symbol.section {
                    0 => drop(function.externs.insert(symbol.name.clone())),
                    section if Some(section) == maps => drop(function.maps.insert(symbol.name.clone())),
                    section => {
                        let code = code_of(bytes, sections, &placed[from]);
                        let at = usize::try_from(offset - placed[from].offset).unwrap_or(usize::MAX);
                        let Some(insn) = at.checked_add(8).and_then(|end| code.get(at..end)) else { continue };
                        let to = match calls_function(insn) {
                            true => relative(symbol.value, immediate(insn)),
                            false => symbol.value.checked_add_signed(immediate(insn).into()),
                        };
                        let callee = to.and_then(|to| function_at(placed, section, to));
                        function.callees.extend(callee);
                    }
                }
            }
        }
        references.read_pointers(bytes, sections, placed, &symbols);
        references
    }

    /// Reads which variables of struct_ops point to which functions, and which program arrays hold which.
    fn read_pointers(&mut self, bytes: &[u8], sections: &Sections<'_>, placed: &[Placed], symbols: &[Symbol]) {
        let maps = sections.section_by_name(LittleEndian, b".maps").map(|(index, _)| index.0);
        let is_struct_ops = |section: usize| {
            let header = sections.section(object::SectionIndex(section)).ok();
            let name = header.and_then(|header| sections.section_name(LittleEndian, header).ok());
            name.is_some_and(|name| STRUCT_OPS.iter().any(|(known, _)| name == known.as_bytes()))
        };
        for section in sections.iter() {
            let Ok(Some((records, _))) = section.rel(LittleEndian, bytes) else { continue };
            let target = section.sh_info(LittleEndian) as usize;
            let is_map = Some(target) == maps;
            if !is_map && !is_struct_ops(target) {
                continue;
            }
            for record in records {
                let offset = record.r_offset.get(LittleEndian);
                let holds = |one: &&Symbol| {
                    one.section == target && offset.checked_sub(one.value).is_some_and(|at| at < one.size)
                };
                let (Some(map), Some(to)) =
                    (symbols.iter().find(holds), symbols.get(record.r_sym(LittleEndian) as usize))
                else {
                    continue;
                };
                if let Some(function) = function_at(placed, to.section, to.value) {
                    let function = &mut self.functions[function];
                    let known = if is_map { &mut function.arrays } else { &mut function.struct_ops };
                    known.insert(map.name.clone());
                }
            }
        }
    }

    /// Whether a program array of `.maps` holds the function at this place.
    pub(super) fn is_in_array(&self, function: usize, map: &str) -> bool {
        self.functions.get(function).is_some_and(|found| found.arrays.contains(map))
    }

    /// The struct_ops maps that point to the function at this place, in the order of names.
    pub(super) fn struct_ops_of(&self, function: usize) -> Vec<String> {
        self.functions.get(function).map(|found| found.struct_ops.iter().cloned().collect()).unwrap_or_default()
    }

    /// What the function at this place refers to, subprograms included, in the order of names.
    pub(super) fn of(&self, function: usize) -> Referred {
        let (mut maps, mut externs, mut data) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut new = BTreeSet::new();
        let (mut seen, mut open) = (BTreeSet::from([function]), vec![function]);
        while let Some(function) = open.pop().and_then(|next| self.functions.get(next)) {
            maps.extend(function.maps.iter().cloned());
            externs.extend(function.externs.iter().cloned());
            data.extend(function.data.iter().cloned());
            new.extend(&function.new_instructions);
            open.extend(function.callees.iter().copied().filter(|callee| seen.insert(*callee)));
        }
        let names = |names: BTreeSet<String>| names.into_iter().collect();
        Referred {
            maps: names(maps),
            externs: names(externs),
            data: names(data),
            new_instructions: new.into_iter().collect(),
        }
    }
}

/// The name of a section, if it holds variables.
fn data_section(sections: &Sections<'_>, section: usize) -> Option<String> {
    let header = sections.section(object::SectionIndex(section)).ok()?;
    let name = String::from_utf8_lossy(sections.section_name(LittleEndian, header).ok()?).into_owned();
    [".data", ".rodata", ".bss"].iter().any(|begin| name.starts_with(begin)).then_some(name)
}

/// The place among `placed` of the function that begins at, or holds, this byte of a section.
fn function_at(placed: &[Placed], section: usize, offset: u64) -> Option<usize> {
    let after = placed.partition_point(|function| (function.section_index, function.offset) <= (section, offset));
    let index = after.checked_sub(1)?;
    let function = placed.get(index)?;
    let within = function.section_index == section && offset - function.offset < function.size;
    within.then_some(index)
}

fn code_of<'a>(bytes: &'a [u8], sections: &Sections<'_>, function: &Placed) -> &'a [u8] {
    let read = || {
        let section = sections.section(object::SectionIndex(function.section_index)).ok()?;
        let data = section.data(LittleEndian, bytes).ok()?;
        let start = usize::try_from(function.offset).ok()?;
        data.get(start..start.checked_add(usize::try_from(function.size).ok()?)?)
    };
    read().unwrap_or_default()
}

/// Whether the instruction calls a function of the object (`BPF_PSEUDO_CALL`).
fn calls_function(insn: &[u8]) -> bool {
    const CALL: u8 = 0x85;
    insn[0] == CALL && insn[1] >> 4 == 1
}

fn immediate(insn: &[u8]) -> i32 {
    i32::from_le_bytes([insn[4], insn[5], insn[6], insn[7]])
}

/// The byte that a call at `from` with this immediate goes to: it counts instructions from the next one.
fn relative(from: u64, immediate: i32) -> Option<u64> {
    from.checked_add_signed((i64::from(immediate) + 1) * INSN_SIZE as i64)
}

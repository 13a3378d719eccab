//! [`copy`]: functions outside of `.text` that code calls are copied to `.text`, where alone libbpf looks for them.

use std::collections::BTreeMap;

use object::elf;

use super::btf::BtfEditor;
use super::btf_ext::BtfExtEditor;
use super::elf::{ElfEditor, Relocation, Symbol};

const TEXT: &str = ".text";
/// Bytes of an instruction.
const INSN: usize = 8;
/// A call of a function of the object: the operation, and its source register.
const CALL: (u8, u8) = (0x85, 1);
/// A load of 64 bits, of the address of a function here.
const LOAD: u8 = 0x18;
/// The types of relocation of such a load and of a call.
const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;

/// One place in code that refers to a function.
struct Reference {
    /// The section of the code, and the byte of the instruction in it.
    section: usize,
    offset: usize,
    is_call: bool,
    /// The function: its section, and its first byte there.
    function: (usize, u64),
    /// Where it stands among the relocations of the section, if the compiler wrote one.
    relocation: Option<usize>,
}

/// A function that is copied.
struct Function {
    /// Its symbol in its own section, and the one of the copy.
    original: usize,
    copy: usize,
    size: u64,
    /// Its first byte in `.text`.
    place: u64,
}

/// Copies each function that code refers to and that stands outside of `.text`, with its relocations and what the compiler says of its
/// instructions, and has all code refer to the copies. The originals stay what they are: programs. Reports each function.
pub(super) fn copy(object: &mut ElfEditor, btf: Option<&mut BtfEditor>) -> Result<Vec<String>, String> {
    let Some((table, mut symbols)) = object.symbols() else { return Err("it has no symbol table".to_owned()) };
    let code = code_sections(object);
    let mut relocations = relocations_by_code(object);
    let references: Vec<Reference> = references(object, &code, &relocations, &symbols)
        .into_iter()
        .filter(|reference| is_outside(object, &code, reference.function.0))
        .collect();
    if references.is_empty() {
        return Err("no code calls a function outside `.text`".to_owned());
    }

    let text = object.find(TEXT).unwrap_or_else(|| object.add_code(TEXT));
    let mut functions: BTreeMap<(usize, u64), Function> = BTreeMap::new();
    let mut end = object.data(text).len() as u64;
    for reference in &references {
        let (section, start) = reference.function;
        if functions.contains_key(&reference.function) {
            continue;
        }
        let is_it = |one: &Symbol| usize::from(one.section) == section && one.value == start;
        let found = symbols.iter().position(|one| one.kind == elf::STT_FUNC.0 && one.size > 0 && is_it(one));
        let Some(original) = found else {
            let name = &object.sections[section].name;
            return Err(format!("code calls byte {start} of section `{name}`, where no function starts"));
        };
        let size = symbols[original].size;
        let whole = start.checked_add(size).is_some_and(|end| end <= object.data(section).len() as u64);
        if !whole || size % INSN as u64 != 0 {
            return Err(format!("function `{}` does not end in its section", symbols[original].name));
        }
        let mut symbol = symbols[original].clone();
        (symbol.section, symbol.value) = (text as u16, end);
        symbols.push(symbol);
        functions.insert(reference.function, Function { original, copy: symbols.len() - 1, size, place: end });
        end = end.checked_add(size).filter(|end| *end <= MOST_CODE).ok_or("its code is too long to be copied")?;
    }

    refer_to_copies(object, &references, &functions, &mut relocations)?;
    let mut changes = Vec::new();
    let mut copied = object.data(text).to_vec();
    let mut moved = Vec::new();
    for ((section, start), function) in in_order(&functions) {
        let range = *start as usize..(*start + function.size) as usize;
        copied.extend(&object.data(*section)[range]);
        let (begin, end) = (*start, *start + function.size);
        let own = relocations.get(section).map(|(_, all)| all.clone()).unwrap_or_default();
        let own = own.into_iter().filter(|one| (begin..end).contains(&one.offset));
        let shifted = own.map(|one| Relocation { offset: one.offset - begin + function.place, ..one });
        moved.extend(shifted);
        let section = &object.sections[*section].name;
        changes.push(format!("copied `{}` of section `{section}` to `.text`", symbols[function.original].name));
    }
    object.replace(text, copied);
    relocations.entry(text).or_default().1.extend(moved);
    for (target, (section, all)) in relocations {
        let section = section.unwrap_or_else(|| object.add_relocations(target, table));
        object.set_relocations(section, &all);
    }
    object.set_symbols(table, &symbols);
    if let Some((btf, ext)) = btf.zip(object.find(".BTF.ext")) {
        let mut editor = BtfExtEditor::read(object.data(ext))?;
        let to = btf.string(TEXT);
        for ((section, start), function) in in_order(&functions) {
            let name = object.sections[*section].name.as_bytes();
            let is_it = |offset: u32| btf.text(offset) == name;
            let is_text = |offset: u32| btf.text(offset) == TEXT.as_bytes();
            editor.copy((&is_it, *start..*start + function.size), (&is_text, to, function.place));
        }
        let data = editor.finish();
        object.replace(ext, data);
    }
    Ok(changes)
}

/// Whether a linker finds all functions by their first bytes alone, whichever section they are in, and may link a program into another before
/// it has linked that one's own calls: no two functions that are called begin at one byte, and no program that is called calls another function.
pub fn is_unambiguous(bytes: &[u8]) -> bool {
    let Ok(object) = ElfEditor::read(bytes) else { return false };
    let Some((_, symbols)) = object.symbols() else { return false };
    let code = code_sections(&object);
    let references = references(&object, &code, &relocations_by_code(&object), &symbols);
    let mut called: Vec<(u64, usize)> = references.iter().map(|one| (one.function.1, one.function.0)).collect();
    called.sort_unstable();
    called.dedup();
    let calls = |symbol: &Symbol| {
        let range = symbol.value..symbol.value.saturating_add(symbol.size);
        let is_in =
            |one: &&Reference| one.section == usize::from(symbol.section) && range.contains(&(one.offset as u64));
        references.iter().any(|one| is_in(&one))
    };
    let is_called = |symbol: &&Symbol| called.contains(&(symbol.value, usize::from(symbol.section)));
    let programs = symbols.iter().filter(|one| one.kind == elf::STT_FUNC.0 && one.size > 0);
    let mut programs = programs.filter(|one| is_outside(&object, &code, usize::from(one.section))).filter(is_called);
    called.windows(2).all(|pair| pair[0].0 != pair[1].0) && !programs.any(calls)
}

/// The sections of code.
fn code_sections(object: &ElfEditor) -> Vec<usize> {
    let executable = elf::SHF_EXECINSTR.0;
    (0..object.sections.len()).filter(|index| object.sections[*index].flags & executable != 0).collect()
}

/// Whether a section is one of code, and not `.text`.
fn is_outside(object: &ElfEditor, code: &[usize], section: usize) -> bool {
    code.contains(&section) && object.sections[section].name != TEXT
}

/// The relocations of each section of code, with the section that holds them.
type CodeRelocations = BTreeMap<usize, (Option<usize>, Vec<Relocation>)>;

fn relocations_by_code(object: &ElfEditor) -> CodeRelocations {
    let mut all = CodeRelocations::new();
    for (section, target) in object.code_relocations() {
        let known = all.entry(target).or_default();
        known.0 = Some(section);
        known.1.extend(object.relocations(section));
    }
    all
}

/// What code refers to.
fn references(object: &ElfEditor, code: &[usize], all: &CodeRelocations, symbols: &[Symbol]) -> Vec<Reference> {
    let of = |section: &usize| {
        let relocations = all.get(section).map(|(_, all)| all.as_slice()).unwrap_or_default();
        references_of(*section, object.data(*section), relocations, symbols)
    };
    let is_function = |reference: &Reference| code.contains(&reference.function.0);
    code.iter().flat_map(of).filter(is_function).collect()
}

/// Bytes of code that a program may have on any kernel: a million instructions.
const MOST_CODE: u64 = 1_000_000 * INSN as u64;

/// The functions by their places in `.text`.
fn in_order(functions: &BTreeMap<(usize, u64), Function>) -> Vec<(&(usize, u64), &Function)> {
    let mut all: Vec<_> = functions.iter().collect();
    all.sort_by_key(|(_, function)| function.place);
    all
}

/// What the code of a section refers to.
fn references_of(section: usize, code: &[u8], relocations: &[Relocation], symbols: &[Symbol]) -> Vec<Reference> {
    let by_place: BTreeMap<u64, usize> =
        relocations.iter().enumerate().map(|(index, relocation)| (relocation.offset, index)).collect();
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(insn) = code.get(offset..offset + INSN) {
        let immediate = i64::from(i32::from_le_bytes([insn[4], insn[5], insn[6], insn[7]]));
        let relocation = by_place.get(&(offset as u64)).copied();
        let symbol = relocation.and_then(|index| symbols.get(relocations[index].symbol));
        let is_call = (insn[0], insn[1] >> 4) == CALL;
        // A call counts instructions, from the next one on; an address counts bytes.
        let away = if is_call { (immediate + 1) * INSN as i64 } else { immediate };
        let function = match symbol {
            Some(symbol) if is_call || insn[0] == LOAD => {
                symbol.value.checked_add_signed(away).map(|byte| (usize::from(symbol.section), byte))
            }
            None if is_call && relocation.is_none() => {
                (offset as u64).checked_add_signed(away).map(|byte| (section, byte))
            }
            _ => None,
        };
        if let Some(function) = function {
            found.push(Reference { section, offset, is_call, function, relocation });
        }
        offset += if insn[0] == LOAD { 2 * INSN } else { INSN };
    }
    found
}

/// Has each place refer to the copy of its function, by the name of that.
fn refer_to_copies(
    object: &mut ElfEditor,
    references: &[Reference],
    functions: &BTreeMap<(usize, u64), Function>,
    relocations: &mut CodeRelocations,
) -> Result<(), String> {
    // Each section is copied once, however many references it has.
    let mut sections: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for reference in references {
        let Some(function) = functions.get(&reference.function) else { continue };
        let code = sections.entry(reference.section).or_insert_with_key(|section| object.data(*section).to_vec());
        let Some(immediate) = code.get_mut(reference.offset + 4..reference.offset + INSN) else {
            return Err("an instruction is outside its section".to_owned());
        };
        let nothing_added: i32 = if reference.is_call { -1 } else { 0 };
        immediate.copy_from_slice(&nothing_added.to_le_bytes());
        let all = &mut relocations.entry(reference.section).or_default().1;
        match reference.relocation.and_then(|index| all.get_mut(index)) {
            Some(relocation) => relocation.symbol = function.copy,
            None => {
                let kind = if reference.is_call { R_BPF_64_32 } else { R_BPF_64_64 };
                all.push(Relocation { offset: reference.offset as u64, kind, symbol: function.copy });
            }
        }
    }
    sections.into_iter().for_each(|(section, code)| object.replace(section, code));
    Ok(())
}

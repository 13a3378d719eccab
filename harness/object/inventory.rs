//! [`Inventory`]: what is in an object, read as libbpf 1.7 would read it.

use std::collections::{BTreeMap, HashMap};

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};

use super::btf::{Btf, BtfError};
use super::btf_ext::BtfExt;
use super::instruction::NewInstruction;
use super::maps::{self, MapInfo, StructOpsInfo};
use super::references::{References, Referred};
use super::relocations;
use super::unclaimed::{self, Unclaimed};
use super::{FormatError, section_type};
use crate::record::{CoreRelocation, LoadingRecord, ProgramLoading};

/// Bytes of one BPF instruction; a 64-bit load takes two.
pub(super) const INSN_SIZE: u64 = 8;

/// Sections for which libbpf needs BTF (`libbpf_needs_btf`). With one of them, damage in `.BTF` and, for any reason,
/// its warning says, in `.BTF.ext` is fatal; otherwise it is ignored.
const BTF_USERS: [&str; 5] = [".maps", ".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"];

pub(crate) type Sections<'data> = SectionTable<'data, FileHeader64<LittleEndian>>;

/// What an object contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its programs, in libbpf's order: by section index, then by place in the section.
    pub programs: Vec<ProgramInfo>,
    /// Its BTF-defined maps.
    pub maps: Vec<MapInfo>,
    /// Its struct_ops maps.
    pub struct_ops: Vec<StructOpsInfo>,
    /// Bytes of its `.data`, `.rodata` and `.bss`, of which libbpf makes maps.
    pub data_size: u64,
    /// Its CO-RE relocations, those of subprograms included, in the order of `.BTF.ext`.
    pub core_relocations: Vec<CoreRelocation>,
    /// Whether it has BTF that can be read.
    pub has_btf: bool,
    /// Whether it has the source lines of its instructions.
    pub has_line_info: bool,
    /// Text of the `license` section.
    pub license: Option<String>,
    /// The source file most of it comes from, such as `opensnoop.bpf.c`, without its directory; from the line info.
    pub source_file: Option<String>,
    /// What is in it of which libbpf makes neither a program nor a map.
    pub unclaimed: Vec<Unclaimed>,
    /// What is wrong with it that libbpf overlooks, as lowercase fragments.
    pub notes: Vec<String>,
}

/// One program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramInfo {
    /// The function's name.
    pub name: String,
    /// ELF section, such as `fentry/vfs_read`; without the `?` of an optional one, as libbpf reports it.
    pub section: String,
    /// libbpf's name of the program type, such as `tracing`; `None` if libbpf does not know the section.
    pub prog_type: Option<String>,
    /// libbpf's name of the attach type, such as `trace_fentry`; `None` if the section does not fix one.
    pub attach_type: Option<String>,
    /// Instructions of the program itself, in units of 8 bytes; subprograms not counted.
    pub insns: usize,
    /// CO-RE relocations of the program itself; subprograms not counted.
    pub core_relocations: usize,
    /// Numbers of the helpers that the program itself calls, each once, in order; subprograms not counted.
    pub helpers: Vec<u32>,
    /// The kinds of instruction in it that older kernels refuse, subprograms included.
    pub new_instructions: Vec<NewInstruction>,
    /// The maps of `.maps` that it refers to, itself or by a subprogram, in the order of names.
    pub maps: Vec<String>,
    /// The struct_ops maps with a member that is this program.
    pub struct_ops: Vec<String>,
    /// The externs that it refers to, itself or by a subprogram, in the order of names.
    pub externs: Vec<String>,
    /// The sections of variables that it refers to, itself or by a subprogram, in the order of names.
    pub data: Vec<String>,
    /// Whether it is a `static` function outside of `.text`, for which libbpf refuses the object; other loaders take it.
    pub is_static: bool,
    /// Whether the section was declared as `SEC("?...")`: libbpf loads it only on request.
    pub optional: bool,
}

impl Inventory {
    /// Makes it what its loader makes of the object.
    pub fn set(&mut self, loading: &LoadingRecord) {
        if loading.static_programs {
            self.programs.iter_mut().for_each(|program| program.is_static = false);
        }
        for one in &loading.programs {
            self.programs.iter_mut().filter(|program| program.name == one.program).for_each(|program| program.set(one));
        }
        for one in &loading.maps {
            self.maps.iter_mut().filter(|map| map.name == one.map).for_each(|map| map.set(one));
        }
    }

    /// The programs that refer to each extern, subprograms that they call included.
    pub fn extern_users(&self) -> BTreeMap<String, Vec<String>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for program in &self.programs {
            for name in &program.externs {
                users.entry(name.clone()).or_default().push(program.name.clone());
            }
        }
        users
    }
}

impl ProgramInfo {
    /// Makes it what its loader makes of it. The section is that of a program whose target is named in it: `fentry/vfs_read`.
    pub fn set(&mut self, loading: &ProgramLoading) {
        if let Some(kind) = &loading.prog_type {
            self.prog_type = Some(kind.clone());
        }
        if let Some(kind) = &loading.attach_type {
            self.attach_type = Some(kind.clone());
        }
        if loading.target_program.is_some() {
            // Its target is none of the kernel's.
            let form = self.section.split('/').next().unwrap_or_default();
            self.section =
                if self.prog_type.as_deref() == Some("ext") { "freplace".to_owned() } else { form.to_owned() };
        } else if let Some(target) = &loading.target {
            let form = self.section.split('/').next().unwrap_or_default();
            self.section = format!("{form}/{target}");
        }
    }
}

/// Where a function lies, besides what is recorded of it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) section_index: usize,
    /// As the ELF has it, with the `?`.
    pub(crate) raw_section: String,
    /// Bytes from the start of the section.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) name: String,
    /// Whether the verifier looks at it on its own, if it is a subprogram; libbpf makes hidden ones static.
    pub(crate) global: bool,
    /// Whether it is a program in spite of being `static`: libbpf refuses the whole object for it.
    pub(crate) is_static: bool,
}

impl Inventory {
    /// Reads a whole little-endian object.
    pub fn read(bytes: &[u8]) -> Result<Inventory, FormatError> {
        let sections = sections(bytes)?;
        let (functions, text_index) = functions(bytes, &sections)?;
        let is_program = |(_, function): &(usize, &Placed)| Some(function.section_index) != text_index;
        let mut notes = Vec::new();

        let section_data = |name: &str| {
            let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
            section.data(LittleEndian, bytes).ok()
        };
        let needs_btf = BTF_USERS.iter().any(|name| section_data(name).is_some());
        let mut overlook = |section: &str, error: BtfError| {
            notes.push(format!("`{section}` is corrupt; libbpf ignores it: {error}"));
        };
        let btf = match section_data(".BTF").map(Btf::parse) {
            None => None,
            Some(Ok(btf)) => Some(btf),
            Some(Err(error)) if needs_btf => return Err(FormatError::Btf(error)),
            Some(Err(error)) => {
                overlook(".BTF", error);
                None
            }
        };
        let ext = match btf.as_ref().and_then(|btf| Some(BtfExt::parse(section_data(".BTF.ext")?, btf))) {
            None => None,
            Some(Ok(ext)) => Some(ext),
            Some(Err(error)) if needs_btf => return Err(FormatError::BtfExt(error)),
            Some(Err(error)) => {
                overlook(".BTF.ext", error);
                None
            }
        };
        let is_static = |function: &&Placed| function.is_static;
        if let Some(Placed { name, raw_section, .. }) = functions.iter().find(is_static) {
            notes.push(format!(
                "program `{name}` in section `{raw_section}` is static, so libbpf cannot open it; other loaders can"
            ));
        }
        if needs_btf && btf.is_none() {
            notes.push("it declares maps or struct_ops but has no BTF, so libbpf cannot open it".to_owned());
        }
        let unclaimed = unclaimed::of(bytes, &sections, (&functions, text_index))?;
        notes.extend(unclaimed.iter().map(Unclaimed::rule));
        let relocations = ext.as_ref().map_or(&[][..], |ext| &ext.relocations);
        let lines = ext.as_ref().map_or(&[][..], |ext| &ext.lines);

        let mut offsets: HashMap<&str, Vec<u64>> = HashMap::new();
        for relocation in relocations {
            offsets.entry(&relocation.section).or_default().push(relocation.insn_offset.into());
        }
        offsets.values_mut().for_each(|offsets| offsets.sort_unstable());

        let references = References::read(bytes, &sections, &functions);
        let info = |(place, program): (usize, &Placed)| {
            let Referred { maps, externs, data, new_instructions } = references.of(place);
            let struct_ops = references.struct_ops_of(place);
            let section = program.raw_section.strip_prefix('?').unwrap_or(&program.raw_section);
            let (prog_type, attach_type) = section_type::of_section(section);
            let offsets = offsets.get(program.raw_section.as_str()).map_or(&[][..], Vec::as_slice);
            let before = |end: u64| offsets.partition_point(|&offset| offset < end);
            let code = section_data(&program.raw_section).and_then(|code| {
                let start = usize::try_from(program.offset).ok()?;
                code.get(start..start.checked_add(usize::try_from(program.size).ok()?)?)
            });
            ProgramInfo {
                helpers: helpers(code.unwrap_or_default()),
                prog_type,
                attach_type,
                insns: (program.size / INSN_SIZE) as usize,
                core_relocations: before(program.offset + program.size) - before(program.offset),
                new_instructions,
                maps,
                struct_ops,
                externs,
                data,
                is_static: program.is_static,
                optional: program.raw_section.starts_with('?'),
                section: section.to_owned(),
                name: program.name.clone(),
            }
        };
        let mut maps = btf.as_ref().map(maps::declared).unwrap_or_default();
        for map in maps.iter_mut().filter(|map| map.holds_programs) {
            let held = functions.iter().enumerate().filter(|(place, _)| references.is_in_array(*place, &map.name));
            map.programs = held.map(|(_, function)| function.name.clone()).collect();
            map.programs.sort_unstable();
        }
        Ok(Inventory {
            programs: functions.iter().enumerate().filter(is_program).map(info).collect(),
            maps,
            struct_ops: btf.as_ref().map(maps::struct_ops).unwrap_or_default(),
            data_size: data_size(&sections),
            core_relocations: match (&btf, &ext) {
                (Some(btf), Some(ext)) => relocations::listed(btf, ext, &functions),
                _ => Vec::new(),
            },
            has_btf: btf.is_some(),
            has_line_info: !lines.is_empty(),
            license: section_data("license").map(|text| {
                let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
                String::from_utf8_lossy(&text[..end]).into_owned()
            }),
            source_file: btf.as_ref().and_then(|btf| main_source(btf, ext.as_ref()?)),
            unclaimed,
            notes,
        })
    }
}

/// Bytes of the sections of which libbpf makes maps.
fn data_size(sections: &Sections<'_>) -> u64 {
    let is_data = |name: &[u8]| [".data", ".rodata", ".bss"].iter().any(|known| name.starts_with(known.as_bytes()));
    let data = sections.iter().filter(|section| sections.section_name(LittleEndian, section).is_ok_and(is_data));
    data.fold(0, |sum, section| sum.saturating_add(section.sh_size(LittleEndian)))
}

/// Numbers of the helpers that are called: `call` instructions whose source register does not say that it is another call.
fn helpers(code: &[u8]) -> Vec<u32> {
    const CALL: u8 = 0x85;
    let calls = code.chunks_exact(INSN_SIZE as usize).filter(|insn| insn[0] == CALL && insn[1] >> 4 == 0);
    let mut numbers: Vec<u32> = calls.map(|insn| u32::from_le_bytes([insn[4], insn[5], insn[6], insn[7]])).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// How many bytes the object takes that begins where `bytes` begin; `bytes` may go on behind it. The end is that of the
/// section header table or of the last section, whichever comes later.
pub(super) fn extent(bytes: &[u8]) -> Result<usize, FormatError> {
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    let headers = header.section_headers(LittleEndian, bytes)?;
    if headers.is_empty() {
        return Err(FormatError::NoSections);
    }
    let table = size_of_val(headers) as u64;
    let mut end = header.e_shoff.get(LittleEndian).saturating_add(table);
    for (index, section) in headers.iter().enumerate() {
        let Some((start, size)) = section.file_range(LittleEndian) else {
            continue;
        };
        let section_end = start.checked_add(size).filter(|&end| end <= bytes.len() as u64);
        end = end.max(section_end.ok_or(FormatError::SectionOutside { index })?);
    }
    // The table was read from `bytes` and every section is within them, so `end` is too.
    Ok(end as usize)
}

/// Checks the headers and gives the section table.
pub(crate) fn sections(bytes: &[u8]) -> Result<Sections<'_>, FormatError> {
    if bytes.get(4) != Some(&elf::ELFCLASS64.0) {
        return Err(FormatError::NotElf64);
    }
    let header = FileHeader64::<LittleEndian>::parse(bytes)?;
    if header.e_type.get(LittleEndian) != elf::ET_REL {
        return Err(FormatError::NotRelocatable);
    }
    extent(bytes)?;
    Ok(header.sections(LittleEndian, bytes)?)
}

/// Lists the functions as `bpf_object__elf_collect` and `bpf_object__add_programs` of libbpf 1.7 do: each function symbol of
/// an executable section, sorted by section and offset. Second: the section `.text`, whose functions are subprograms.
pub(crate) fn functions(bytes: &[u8], sections: &Sections<'_>) -> Result<(Vec<Placed>, Option<usize>), FormatError> {
    let is_symbol_table = |section: &&_| SectionHeader::sh_type(*section, LittleEndian) == elf::SHT_SYMTAB;
    match sections.iter().filter(is_symbol_table).count() {
        0 => return Err(FormatError::NoSymbolTable),
        1 => {}
        _ => return Err(FormatError::SeveralSymbolTables),
    }
    let symbols = sections.symbols(LittleEndian, bytes, elf::SHT_SYMTAB)?;

    let mut functions: HashMap<usize, Vec<&elf::Sym64<LittleEndian>>> = HashMap::new();
    for symbol in symbols.iter().filter(|symbol| symbol.st_type() == elf::STT_FUNC) {
        functions.entry(symbol.st_shndx(LittleEndian).0.into()).or_default().push(symbol);
    }

    let mut text_index = None;
    let mut found = Vec::new();
    for (index, header) in sections.iter().enumerate().skip(1) {
        let section = text(sections.section_name(LittleEndian, header)?);
        let executable = header.sh_flags(LittleEndian).contains(elf::SHF_EXECINSTR);
        let size = header.sh_size(LittleEndian);
        if header.sh_type(LittleEndian) != elf::SHT_PROGBITS
            || !executable
            || size == 0
            || section.starts_with(".debug_")
        {
            continue;
        }
        if section == ".text" {
            text_index = Some(index);
        }
        for symbol in functions.remove(&index).unwrap_or_default() {
            let name = text(symbols.symbol_name(LittleEndian, symbol)?);
            let program = Placed {
                section_index: index,
                raw_section: section.clone(),
                offset: symbol.st_value(LittleEndian),
                size: symbol.st_size(LittleEndian),
                name,
                global: !symbol.is_local() && symbol.st_visibility() != elf::STV_HIDDEN,
                is_static: symbol.is_local() && text_index != Some(index),
            };
            check(&program, size)?;
            found.push(program);
        }
    }
    found.sort_by_key(|program| (program.section_index, program.offset));
    Ok((found, text_index))
}

/// Refuses what libbpf refuses, in the same order.
fn check(program: &Placed, section_size: u64) -> Result<(), FormatError> {
    let (name, section) = (program.name.clone(), program.raw_section.clone());
    if program.offset.checked_add(program.size).is_none_or(|end| end > section_size) {
        return Err(FormatError::ProgramOutside { name, section });
    }
    if program.size == 0 || !program.size.is_multiple_of(INSN_SIZE) || !program.offset.is_multiple_of(INSN_SIZE) {
        return Err(FormatError::ProgramNotInstructions { name, section });
    }
    Ok(())
}

/// The C file that most line records name; headers only lend inlined functions. Ties go to the first in the alphabet.
fn main_source(btf: &Btf, ext: &BtfExt) -> Option<String> {
    let mut counts = BTreeMap::new();
    for line in &ext.lines {
        *counts.entry(line.file_offset).or_insert(0usize) += 1;
    }
    let mut files: Vec<(usize, String)> = counts
        .into_iter()
        .filter_map(|(offset, count)| {
            let path = btf.string(offset)?;
            let name = path.rsplit('/').next()?;
            (name.len() > 2 && name.ends_with(".c")).then(|| (count, name.to_owned()))
        })
        .collect();
    files.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    files.into_iter().next().map(|(_, name)| name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

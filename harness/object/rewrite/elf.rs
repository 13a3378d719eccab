//! [`ElfEditor`]: an ELF file whose sections grow, are renamed or added. What is replaced stays in the file, unused.

use object::LittleEndian;
use object::elf;
use object::read::elf::SectionHeader as _;

use super::super::inventory::sections;

/// Bytes of a section header, a symbol and a relocation.
const HEADER: usize = 64;
const SYMBOL: usize = 24;
const RELOCATION: usize = 16;
/// From this number on sections are counted elsewhere.
const MOST_SECTIONS: usize = 0xff00;

/// One section.
pub(super) struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    /// The section that it is about, if it holds relocations.
    pub info: usize,
    header: [u8; HEADER],
    /// Its bytes; `None` for those of the file.
    data: Option<Vec<u8>>,
    renamed: bool,
}

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub name: String,
    pub bind: u8,
    pub kind: u8,
    pub section: u16,
    pub value: u64,
    pub size: u64,
    name_offset: u32,
    other: u8,
}

/// One relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relocation {
    pub offset: u64,
    pub kind: u32,
    pub symbol: usize,
}

/// An ELF file.
pub(super) struct ElfEditor {
    bytes: Vec<u8>,
    pub sections: Vec<Section>,
    /// The section of the sections' names.
    names: usize,
}

impl ElfEditor {
    /// Reads the headers of an object of 64 bits, little-endian.
    pub fn read(bytes: &[u8]) -> Result<ElfEditor, String> {
        let table = sections(bytes).map_err(|error| error.to_string())?;
        let start = usize::try_from(number(bytes, 40, 8)).unwrap_or(usize::MAX);
        let names = number(bytes, 62, 2) as usize;
        let mut found = Vec::new();
        for (index, section) in table.iter().enumerate() {
            let at = index.checked_mul(HEADER).and_then(|offset| offset.checked_add(start));
            let header = at.and_then(|at| bytes.get(at..)?.first_chunk::<HEADER>());
            let Some(header) = header else { return Err("its section headers are truncated".to_owned()) };
            let name = table.section_name(LittleEndian, section).map_err(|error| error.to_string())?;
            found.push(Section {
                name: String::from_utf8_lossy(name).into_owned(),
                kind: section.sh_type(LittleEndian).0,
                flags: number(header, 8, 8),
                info: section.sh_info(LittleEndian) as usize,
                header: *header,
                data: None,
                renamed: false,
            });
        }
        if found.len() >= MOST_SECTIONS || names >= found.len() {
            return Err("its number of sections is invalid".to_owned());
        }
        Ok(ElfEditor { bytes: bytes.to_vec(), sections: found, names })
    }

    /// The place of a section.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.sections.iter().position(|section| section.name == name)
    }

    /// The bytes of a section; empty if the file holds none.
    pub fn data(&self, section: usize) -> &[u8] {
        let Some(section) = self.sections.get(section) else { return &[] };
        if let Some(data) = &section.data {
            return data;
        }
        if section.kind == elf::SHT_NOBITS.0 {
            return &[];
        }
        let (start, size) = (number(&section.header, 24, 8), number(&section.header, 32, 8));
        let place = usize::try_from(start).ok().zip(usize::try_from(size).ok());
        place.and_then(|(start, size)| self.bytes.get(start..start.checked_add(size)?)).unwrap_or_default()
    }

    /// Replaces the bytes of a section.
    pub fn replace(&mut self, section: usize, data: Vec<u8>) {
        if let Some(section) = self.sections.get_mut(section) {
            section.data = Some(data);
        }
    }

    /// Gives a section another name.
    pub fn rename(&mut self, section: usize, name: &str) {
        if let Some(section) = self.sections.get_mut(section) {
            (section.name, section.renamed) = (name.to_owned(), true);
        }
    }

    /// Adds a section of bytes that are not loaded.
    pub fn add(&mut self, name: &str, data: Vec<u8>) {
        let mut header = [0; HEADER];
        put(&mut header, 4, 4, elf::SHT_PROGBITS.0.into());
        put(&mut header, 48, 8, 4);
        let (kind, data) = (elf::SHT_PROGBITS.0, Some(data));
        self.sections.push(Section { name: name.to_owned(), kind, flags: 0, info: 0, header, data, renamed: true });
    }

    /// Adds an empty section of code.
    pub fn add_code(&mut self, name: &str) -> usize {
        self.add(name, Vec::new());
        let section = self.sections.len() - 1;
        let flags = elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0;
        put(&mut self.sections[section].header, 8, 8, flags);
        put(&mut self.sections[section].header, 48, 8, 8);
        self.sections[section].flags = flags;
        section
    }

    /// Adds an empty section of relocations of a section, by the symbols of `symbols`.
    pub fn add_relocations(&mut self, target: usize, symbols: usize) -> usize {
        let name = format!(".rel{}", self.sections.get(target).map(|one| one.name.as_str()).unwrap_or_default());
        self.add(&name, Vec::new());
        let section = self.sections.len() - 1;
        let header = &mut self.sections[section].header;
        put(header, 4, 4, elf::SHT_REL.0.into());
        put(header, 40, 4, symbols as u64);
        put(header, 44, 4, target as u64);
        put(header, 48, 8, 8);
        put(header, 56, 8, RELOCATION as u64);
        (self.sections[section].kind, self.sections[section].info) = (elf::SHT_REL.0, target);
        section
    }

    /// The symbols, and the section that holds them.
    pub fn symbols(&self) -> Option<(usize, Vec<Symbol>)> {
        let table = self.sections.iter().position(|section| section.kind == elf::SHT_SYMTAB.0)?;
        let names = self.data(number(&self.sections[table].header, 40, 4) as usize);
        let symbol = |bytes: &[u8]| {
            let name_offset = number(bytes, 0, 4) as u32;
            let name = names.get(name_offset as usize..).unwrap_or_default();
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Symbol {
                name: String::from_utf8_lossy(name).into_owned(),
                bind: bytes[4] >> 4,
                kind: bytes[4] & 0xf,
                section: number(bytes, 6, 2) as u16,
                value: number(bytes, 8, 8),
                size: number(bytes, 16, 8),
                name_offset,
                other: bytes[5],
            }
        };
        Some((table, self.data(table).chunks_exact(SYMBOL).map(symbol).collect()))
    }

    /// Replaces the symbols; their names stay what they are.
    pub fn set_symbols(&mut self, table: usize, symbols: &[Symbol]) {
        let mut data = Vec::with_capacity(symbols.len() * SYMBOL);
        for symbol in symbols {
            data.extend(symbol.name_offset.to_le_bytes());
            data.extend([symbol.bind << 4 | symbol.kind & 0xf, symbol.other]);
            data.extend(symbol.section.to_le_bytes());
            data.extend(symbol.value.to_le_bytes());
            data.extend(symbol.size.to_le_bytes());
        }
        self.replace(table, data);
    }

    /// Gives the symbols of this name another one.
    pub fn rename_symbol(&mut self, name: &str, other: &str) {
        let Some((table, mut symbols)) = self.symbols() else { return };
        let strings = number(&self.sections[table].header, 40, 4) as usize;
        let mut names = self.data(strings).to_vec();
        let offset = names.len() as u32;
        names.extend(other.bytes().chain([0]));
        symbols.iter_mut().filter(|symbol| symbol.name == name).for_each(|symbol| symbol.name_offset = offset);
        // The names of sections may be in the same table; what is there is not moved.
        self.replace(strings, names);
        self.set_symbols(table, &symbols);
    }

    /// The sections with relocations of code: each with the section of that code.
    pub fn code_relocations(&self) -> Vec<(usize, usize)> {
        let executable = elf::SHF_EXECINSTR.0;
        let is_code = |target: usize| self.sections.get(target).is_some_and(|one| one.flags & executable != 0);
        let all = self.sections.iter().enumerate();
        let of_code = all.filter(|(_, section)| section.kind == elf::SHT_REL.0 && is_code(section.info));
        of_code.map(|(index, section)| (index, section.info)).collect()
    }

    /// The relocations in a section.
    pub fn relocations(&self, section: usize) -> Vec<Relocation> {
        let relocation = |bytes: &[u8]| Relocation {
            offset: number(bytes, 0, 8),
            kind: number(bytes, 8, 4) as u32,
            symbol: number(bytes, 12, 4) as usize,
        };
        self.data(section).chunks_exact(RELOCATION).map(relocation).collect()
    }

    /// Replaces the relocations in a section.
    pub fn set_relocations(&mut self, section: usize, relocations: &[Relocation]) {
        let mut data = Vec::with_capacity(relocations.len() * RELOCATION);
        for relocation in relocations {
            data.extend(relocation.offset.to_le_bytes());
            data.extend(relocation.kind.to_le_bytes());
            data.extend((relocation.symbol as u32).to_le_bytes());
        }
        self.replace(section, data);
    }

    /// The file as it is now.
    pub fn finish(mut self) -> Vec<u8> {
        if self.sections.iter().any(|section| section.renamed) {
            let mut names = self.data(self.names).to_vec();
            for section in self.sections.iter_mut().filter(|section| section.renamed) {
                put(&mut section.header, 0, 4, names.len() as u64);
                names.extend(section.name.bytes().chain([0]));
            }
            self.replace(self.names, names);
        }
        let mut bytes = self.bytes;
        let align = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(8), 0);
        for section in &mut self.sections {
            if let Some(data) = &section.data {
                align(&mut bytes);
                put(&mut section.header, 24, 8, bytes.len() as u64);
                put(&mut section.header, 32, 8, data.len() as u64);
                bytes.extend(data);
            }
        }
        align(&mut bytes);
        let start = bytes.len() as u64;
        put(&mut bytes, 40, 8, start);
        put(&mut bytes, 60, 2, self.sections.len() as u64);
        self.sections.iter().for_each(|section| bytes.extend(section.header));
        bytes
    }
}

/// A little-endian number of `width` bytes; 0 where there are none.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    let place = at.checked_add(width).and_then(|end| bytes.get(at..end)).unwrap_or_default();
    place.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Writes such a number.
fn put(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

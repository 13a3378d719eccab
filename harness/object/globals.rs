//! [`Globals`]: the global variables that a loader may set before it loads an object.

use object::LittleEndian;
use object::elf;
use object::read::elf::{SectionHeader, Sym};

use super::btf::Btf;
use super::inventory::sections;

/// The families of sections that libbpf makes maps of.
const FAMILIES: [&str; 3] = [".rodata", ".data", ".bss"];

/// The global variables of an object.
#[derive(Debug, Clone)]
pub struct Globals {
    /// The object's types.
    pub btf: Btf,
    /// By section, then as the BTF lists them.
    pub variables: Vec<GlobalVariable>,
}

/// One global variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalVariable {
    /// Its name.
    pub name: String,
    /// The ELF section, such as `.rodata`.
    pub section: String,
    /// Bytes from the start of the section.
    pub offset: usize,
    /// What it is before anybody sets it; as many bytes as it has.
    pub initial: Vec<u8>,
    /// Its type in the object's BTF.
    pub type_id: u32,
}

impl Globals {
    /// Reads them from a whole object; `None` if it has no BTF that can be read.
    pub fn read(bytes: &[u8]) -> Option<Globals> {
        let sections = sections(bytes).ok()?;
        let (_, btf) = sections.section_by_name(LittleEndian, b".BTF")?;
        let btf = Btf::parse(btf.data(LittleEndian, bytes).ok()?).ok()?;
        // The BTF of an object that was not linked has no offsets, so libbpf takes the symbols' too.
        let symbols = sections.symbols(LittleEndian, bytes, elf::SHT_SYMTAB).ok()?;
        let mut variables = Vec::new();
        for (index, section) in sections.iter().enumerate() {
            let name = String::from_utf8_lossy(sections.section_name(LittleEndian, section).ok()?).into_owned();
            if !FAMILIES
                .iter()
                .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            {
                continue;
            }
            let data = section.data(LittleEndian, bytes).unwrap_or_default();
            for (variable, type_id) in btf.section_variables(&name) {
                let symbol = symbols.iter().find(|symbol| {
                    usize::from(symbol.st_shndx(LittleEndian).0) == index
                        && symbols.symbol_name(LittleEndian, symbol) == Ok(variable.as_bytes())
                });
                let Some((symbol, size)) = symbol.zip(btf.size_of(type_id)) else { continue };
                let (Ok(offset), Ok(size)) = (usize::try_from(symbol.st_value(LittleEndian)), usize::try_from(size))
                else {
                    continue;
                };
                let end = offset.checked_add(size).filter(|&end| end as u64 <= section.sh_size(LittleEndian));
                let Some(end) = end else { continue };
                // A section without bytes in the file, as `.bss`, is zero.
                let initial = data.get(offset..end).map_or_else(|| vec![0; size], <[u8]>::to_vec);
                let section = name.clone();
                variables.push(GlobalVariable { name: variable, section, offset, initial, type_id });
            }
        }
        Some(Globals { btf, variables })
    }
}

/// The object with the bytes of several variables replaced, each with its section and offset, for reading only.
pub fn with_patches<'a>(object: &[u8], patches: impl Iterator<Item = (&'a str, usize, &'a [u8])>) -> Vec<u8> {
    patches.fold(object.to_vec(), |object, (section, offset, bytes)| with_bytes(&object, section, offset, bytes))
}

/// The object with bytes of a section replaced, for reading only. A place that the file does not hold, as in `.bss`, is left alone.
pub fn with_bytes(object: &[u8], section: &str, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut copy = object.to_vec();
    let range = sections(object).ok().and_then(|sections| {
        let (_, header) = sections.section_by_name(LittleEndian, section.as_bytes())?;
        let (start, size) = header.file_range(LittleEndian)?;
        let within = offset.checked_add(bytes.len())? as u64 <= size;
        let start = usize::try_from(start).ok()?.checked_add(offset)?;
        within.then(|| start..start + bytes.len())
    });
    if let Some(place) = range.and_then(|range| copy.get_mut(range)) {
        place.copy_from_slice(bytes);
    }
    copy
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_with_their_places_and_values() {
        let bytes = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
        let globals = Globals::read(bytes).unwrap();
        let mut lines: Vec<String> = globals
            .variables
            .iter()
            .map(|one| {
                let declaration = globals.btf.declaration(one.type_id, &one.name);
                format!("{} {declaration} = {:?}", one.section, &one.initial[..one.initial.len().min(4)])
            })
            .collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn bytes_are_replaced_only_where_they_are() {
        let bytes = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
        let limit = |bytes: &[u8]| {
            let globals = Globals::read(bytes).unwrap();
            globals.variables.into_iter().find(|one| one.name == "limit").unwrap()
        };
        let place = limit(bytes);
        assert_eq!(place.initial, [7, 0, 0, 0]);
        let changed = with_bytes(bytes, &place.section, place.offset, &[1, 2, 3, 4]);
        assert_eq!(limit(&changed).initial, [1, 2, 3, 4]);
        assert_eq!(with_bytes(bytes, ".bss", 0, &[1]), bytes);
        assert_eq!(with_bytes(bytes, ".rodata", usize::MAX, &[1]), bytes);
    }
}

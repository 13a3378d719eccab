//! [`define`]: maps of the sections `maps` and `maps/NAME` become maps of `.maps`.

use object::elf;

use super::super::unclaimed::is_legacy_maps;
use super::btf::{BtfEditor, DATASEC, STRUCT, VAR, WORDS, info};
use super::elf::{ElfEditor, Symbol};

/// The fields of a legacy definition, four bytes each; the last may be missing.
const FIELDS: [&str; 5] = ["type", "key_size", "value_size", "max_entries", "map_flags"];
const SHORTEST: usize = 16;
/// The linkage of a variable that others see; libbpf takes no map with another.
const GLOBAL: u32 = 1;
const MAPS: &str = ".maps";

/// Puts the legacy definitions behind those of `.maps`, and describes them in the object's BTF as if they had always been there. Reports
/// each map.
///
/// libbpf looks at nothing but the types of a definition's members, so all of them may begin at its first bit.
pub(super) fn define(object: &mut ElfEditor, btf: &mut BtfEditor) -> Result<Vec<String>, String> {
    let is_legacy = |index: &usize| {
        let section = &object.sections[*index];
        section.kind == elf::SHT_PROGBITS.0 && is_legacy_maps(&section.name) && !object.data(*index).is_empty()
    };
    let legacy: Vec<usize> = (0..object.sections.len()).filter(is_legacy).collect();
    let Some(first) = legacy.first().copied() else { return Err("it has no section `maps`".to_owned()) };
    let target = match object.find(MAPS) {
        Some(target) => target,
        None => {
            object.rename(first, MAPS);
            first
        }
    };
    let Some((table, mut symbols)) = object.symbols() else { return Err("it has no symbol table".to_owned()) };
    let mut entries: Vec<[u32; 3]> = Vec::new();
    let mut changes = Vec::new();
    for section in legacy {
        let data = object.data(section).to_vec();
        let maps = maps_of(&symbols, section);
        name_references(object, &symbols, section, &maps)?;
        let base = match section == target {
            true => 0,
            false => {
                let mut whole = object.data(target).to_vec();
                whole.resize(whole.len().next_multiple_of(8), 0);
                let base = whole.len();
                whole.extend(&data);
                object.replace(target, whole);
                object.rename(section, ".moved");
                object.replace(section, Vec::new());
                base
            }
        };
        for (at, &map) in maps.iter().enumerate() {
            let start = symbols[map].value;
            let next = maps[at + 1..].iter().map(|next| symbols[*next].value).find(|next| *next > start);
            let place =
                usize::try_from(start).ok().zip(next.map_or(Some(data.len()), |next| usize::try_from(next).ok()));
            let definition = place.and_then(|(start, end)| data.get(start..end.min(data.len()))).unwrap_or_default();
            let size = usize::try_from(symbols[map].size).ok().filter(|size| (1..definition.len()).contains(size));
            let definition = &definition[..size.unwrap_or(definition.len())];
            let name = symbols[map].name.clone();
            if definition.len() < SHORTEST {
                return Err(format!("`{name}` has {} bytes, too few for the definition of a map", definition.len()));
            }
            let variable = variable(btf, &name, definition);
            let symbol = &mut symbols[map];
            symbol.value = symbol.value.saturating_add(base as u64);
            entries.push([variable, symbol.value as u32, definition.len() as u32]);
            (symbol.section, symbol.bind, symbol.kind) = (target as u16, elf::STB_GLOBAL.0, elf::STT_OBJECT.0);
            let rest = definition.get(4 * FIELDS.len()..).unwrap_or_default();
            let unread = if rest.iter().any(|byte| *byte != 0) {
                format!(", without bytes {} to {} of its definition", 4 * FIELDS.len(), definition.len() - 1)
            } else {
                String::new()
            };
            changes.push(format!("converted `{name}` to a BTF map{unread}"));
        }
    }
    object.set_symbols(table, &symbols);
    list(btf, &entries, object.data(target).len() as u32);
    Ok(changes)
}

/// The symbols of a section's maps, by their places.
fn maps_of(symbols: &[Symbol], section: usize) -> Vec<usize> {
    let kinds = [elf::STT_OBJECT.0, elf::STT_NOTYPE.0];
    let is_map = |index: &usize| {
        let symbol = &symbols[*index];
        usize::from(symbol.section) == section && !symbol.name.is_empty() && kinds.contains(&symbol.kind)
    };
    let mut maps: Vec<usize> = (0..symbols.len()).filter(is_map).collect();
    maps.sort_by_key(|index| symbols[*index].value);
    maps.dedup_by_key(|index| symbols[*index].value);
    maps
}

/// Has code refer to maps by their names. To a static one it refers by the section and a place in it, which libbpf does not look at.
fn name_references(object: &mut ElfEditor, symbols: &[Symbol], section: usize, maps: &[usize]) -> Result<(), String> {
    let is_section = |index: usize| {
        symbols.get(index).is_some_and(|one| one.kind == elf::STT_SECTION.0 && usize::from(one.section) == section)
    };
    for (relocations, target) in object.code_relocations() {
        let mut all = object.relocations(relocations);
        if !all.iter().any(|relocation| is_section(relocation.symbol)) {
            continue;
        }
        let mut code = object.data(target).to_vec();
        for relocation in all.iter_mut().filter(|relocation| is_section(relocation.symbol)) {
            let place = usize::try_from(relocation.offset).ok().and_then(|place| place.checked_add(4));
            let immediate = place.and_then(|place| code.get_mut(place..place.checked_add(4)?));
            let Some(immediate) = immediate else { return Err("a relocation is outside its section".to_owned()) };
            let start = immediate.iter().rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
            let Some(map) = maps.iter().find(|map| symbols[**map].value == start) else {
                let name = &object.sections[section].name;
                return Err(format!("code refers to byte {start} of section `{name}`, where no map starts"));
            };
            relocation.symbol = *map;
            immediate.fill(0);
        }
        object.replace(target, code);
        object.set_relocations(relocations, &all);
    }
    Ok(())
}

/// Adds a variable of the type that says what the definition says.
fn variable(btf: &mut BtfEditor, name: &str, definition: &[u8]) -> u32 {
    let mut members = Vec::new();
    for (field, value) in FIELDS.iter().zip(definition.as_chunks().0) {
        let (name, number) = (btf.string(field), btf.number(u32::from_le_bytes(*value)));
        members.push([name, number, 0]);
    }
    let head = vec![0, info(STRUCT, members.len()), definition.len() as u32];
    let definition = btf.add(head.into_iter().chain(members.into_iter().flatten()).collect());
    let name = btf.string(name);
    btf.add(vec![name, info(VAR, 0), definition, GLOBAL])
}

/// Lists the variables as those of `.maps`, which has `size` bytes.
fn list(btf: &mut BtfEditor, entries: &[[u32; 3]], size: u32) {
    let mut known = None;
    for section in btf.of_kind(DATASEC) {
        if btf.name(section) == MAPS.as_bytes() {
            known = known.or(Some(section));
        } else if is_legacy_maps(&String::from_utf8_lossy(btf.name(section))) {
            btf.forget(section);
        }
    }
    let Some(words) = known.and_then(|known| btf.get_mut(known)) else {
        let name = btf.string(MAPS);
        let head = [name, info(DATASEC, entries.len()), size];
        btf.add(head.into_iter().chain(entries.iter().flatten().copied()).collect());
        return;
    };
    words.extend(entries.iter().flatten());
    words[1] = info(DATASEC, words[WORDS..].len() / 3);
    // clang leaves sizes and places to libbpf, which knows them by the symbols.
    if words[2] != 0 {
        words[2] = size;
    }
}

//! Readers of objects, on bytes that no one wrote.

use super::*;
use crate::fuzz::fuzz;
use crate::object::btf::{Btf, Want};
use crate::object::btf_ext::BtfExt;
use crate::record::LoadingRecord;

fn fixtures(names: &[&str]) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    names.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

const OBJECTS: [&str; 9] = [
    "objects/guards.bpf.o",
    "objects/externs.bpf.o",
    "objects/statics.bpf.o",
    "explain/object.o",
    "maps/definitions.bpf.o",
    "maps/link.bpf.o",
    "unclaimed/legacy-maps.bpf.o",
    "loading/legacy.bpf.o",
    "coverage/bitfields.bpf.o",
];

/// The content of a section, if there is one.
fn section(elf: &[u8], name: &str) -> Option<Vec<u8>> {
    let sections = sections(elf).unwrap();
    let (_, section) = sections.section_by_name(::object::LittleEndian, name.as_bytes())?;
    Some(::object::read::elf::SectionHeader::data(section, ::object::LittleEndian, elf).unwrap().to_vec())
}

#[test]
fn fuzz_inventory() {
    let loading = LoadingRecord { static_programs: true, legacy_maps: true, ..LoadingRecord::default() };
    fuzz("inventory", &fixtures(&OBJECTS), |bytes| {
        let inventory = Inventory::read(bytes);
        let _ = Globals::read(bytes);
        if let Some(types) = ObjectTypes::read(bytes) {
            types.source_lines(|text| text.len() > 3);
        }
        if let Ok(Some(rewritten)) = rewrite::rewrite(bytes, &loading) {
            let _ = Inventory::read(&rewritten.bytes);
        }
        if let Ok(inventory) = inventory {
            let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
            assert!(names.len() <= bytes.len());
        }
    });
}

#[test]
fn fuzz_search() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("found");
    fuzz("search", &fixtures(&OBJECTS), |bytes| {
        // Within something else, as an executable embeds one.
        std::fs::write(&path, [&b"\x7fELF is not here"[..], bytes].concat()).unwrap();
        let _ = find_objects(std::slice::from_ref(&path));
        std::fs::write(&path, bytes).unwrap();
        let _ = find_objects(std::slice::from_ref(&path));
    });
}

#[test]
fn fuzz_parsed_btf() {
    let seeds: Vec<Vec<u8>> = fixtures(&OBJECTS).iter().filter_map(|elf| section(elf, ".BTF")).collect();
    let base = Btf::parse(&seeds[0]).unwrap();
    fuzz("parsed-btf", &seeds, |bytes| {
        let _ = Btf::parse_split(bytes, &base);
        let Ok(btf) = Btf::parse(bytes) else { return };
        for id in 0..u32::try_from(btf.len()).unwrap().min(1 << 12) {
            let _ = (btf.resolve(id), btf.size_of(id), btf.members(id), btf.is_signed(id), btf.declaration(id, "x"));
        }
        for want in [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Int] {
            btf.named(want).for_each(|(_, name)| assert!(btf.candidates(&name, want).count() <= btf.len()));
        }
    });
}

#[test]
fn fuzz_btf_ext() {
    let objects = fixtures(&OBJECTS);
    let btf = Btf::parse(&section(&objects[0], ".BTF").unwrap()).unwrap();
    let seeds: Vec<Vec<u8>> = objects.iter().filter_map(|elf| section(elf, ".BTF.ext")).collect();
    fuzz("btf-ext", &seeds, |bytes| drop(BtfExt::parse(bytes, &btf)));
}

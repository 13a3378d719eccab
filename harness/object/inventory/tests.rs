use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new("tests/fixtures/objects").join(name)).unwrap()
}

#[test]
fn an_object_with_everything_is_listed_in_libbpf_order() {
    let inventory = Inventory::read(&fixture("guards.bpf.o")).unwrap();
    insta::assert_debug_snapshot!(inventory);
}

#[test]
fn relocations_are_named_as_libbpf_names_them() {
    let bytes = fixture("guards.bpf.o");
    let sections = sections(&bytes).unwrap();
    let data =
        |name: &[u8]| sections.section_by_name(LittleEndian, name).unwrap().1.data(LittleEndian, &*bytes).unwrap();
    let btf = Btf::parse(data(b".BTF")).unwrap();
    let ext = BtfExt::parse(data(b".BTF.ext"), &btf).unwrap();
    let lines: Vec<String> = ext
        .relocations
        .iter()
        .map(|r| {
            let name = btf.string(btf.get(r.type_id).unwrap().name_offset).unwrap();
            format!("{}+{} {} {name} {}", r.section, r.insn_offset, r.kind, r.access)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_object_without_btf_is_fine() {
    let inventory = Inventory::read(&fixture("plain.bpf.o")).unwrap();
    assert!(!inventory.has_btf && !inventory.has_line_info && inventory.notes.is_empty());
    let types: Vec<_> = inventory.programs.iter().map(|p| (p.name.as_str(), p.prog_type.as_deref())).collect();
    assert_eq!(types, [("filter", Some("socket_filter")), ("puzzle", None)]);
}

#[test]
fn a_static_program_is_listed_and_noted() {
    let inventory = Inventory::read(&fixture("statics.bpf.o")).unwrap();
    let hidden = inventory.programs.iter().find(|program| program.name == "hidden").unwrap();
    assert!(hidden.is_static);
    let note = "program `hidden` in section `xdp` is static, so libbpf cannot open it; other loaders can";
    assert_eq!(inventory.notes, [note]);
}

#[test]
fn what_a_program_refers_to_includes_its_subprograms() {
    let inventory = Inventory::read(&fixture("externs.bpf.o")).unwrap();
    let externs: Vec<_> = inventory.programs.iter().map(|p| (p.name.as_str(), p.externs.join(" "))).collect();
    let expected = [
        ("uses", "bpf_corematrix_gone"),
        ("uses_in_subprogram", "bpf_corematrix_gone"),
        ("innocent", ""),
        ("uses_variable", "corematrix_no_such_symbol"),
        ("uses_config", "CONFIG_COREMATRIX_GONE"),
    ]
    .map(|(program, externs)| (program, externs.to_owned()));
    assert_eq!(externs, expected);
    let guards = Inventory::read(&fixture("guards.bpf.o")).unwrap();
    let maps: Vec<_> = guards.programs.iter().flat_map(|program| &program.maps).collect();
    assert!(!maps.is_empty() && guards.maps.iter().any(|map| maps.contains(&&map.name)), "{maps:?}");
}

/// What libbpf itself lists for the object.
fn libbpf_programs(bytes: &[u8]) -> Option<Vec<(String, String, usize)>> {
    let mut builder = libbpf_rs::ObjectBuilder::default();
    let object = builder.open_memory(bytes).ok()?;
    let program = |p: libbpf_rs::OpenProgram<'_>| {
        let text = |t: &std::ffi::OsStr| t.to_string_lossy().into_owned();
        // SAFETY: the program belongs to `object`, which is alive.
        let insns = unsafe { libbpf_sys::bpf_program__insn_cnt(libbpf_rs::AsRawLibbpf::as_libbpf_object(&p).as_ptr()) };
        (text(p.name()), text(p.section()), insns as usize)
    };
    Some(object.progs().map(program).collect())
}

#[test]
fn libbpf_agrees() {
    for name in ["guards.bpf.o", "plain.bpf.o"] {
        let bytes = fixture(name);
        let ours = Inventory::read(&bytes).unwrap().programs;
        let ours: Vec<_> = ours.into_iter().map(|p| (p.name, p.section, p.insns)).collect();
        assert_eq!(libbpf_programs(&bytes).unwrap(), ours, "{name}");
    }
    assert_eq!(libbpf_programs(&fixture("statics.bpf.o")), None);
}

#[test]
fn the_extent_ends_where_the_object_ends() {
    for name in ["guards.bpf.o", "plain.bpf.o", "statics.bpf.o"] {
        let bytes = fixture(name);
        let longer = [&bytes[..], &[0xaa; 100]].concat();
        assert_eq!(extent(&longer), Ok(bytes.len()), "{name}");
    }
}

#[test]
fn truncated_objects_are_errors() {
    let bytes = fixture("guards.bpf.o");
    for length in 0..bytes.len() {
        assert!(Inventory::read(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn damaged_objects_never_panic() {
    for name in ["guards.bpf.o", "plain.bpf.o"] {
        let mut bytes = fixture(name);
        for index in 0..bytes.len() {
            let original = bytes[index];
            for value in [0x00, 0x7f, 0xff, original ^ 1] {
                bytes[index] = value;
                let _ = Inventory::read(&bytes);
                let _ = extent(&bytes);
            }
            bytes[index] = original;
        }
    }
}

#[test]
fn damaged_btf_matters_only_where_libbpf_needs_it() {
    let bytes = fixture("guards.bpf.o");
    let magics: Vec<usize> = memchr::memmem::find_iter(&bytes, b"\x9f\xeb\x01\x00").collect();
    let [btf, ext] = magics[..] else { panic!("{magics:?}") };

    let mut broken = bytes.clone();
    broken[btf] = 0;
    assert!(libbpf_programs(&broken).is_none());
    assert_eq!(Inventory::read(&broken).unwrap_err(), FormatError::Btf(BtfError::Header));

    let mut broken = bytes.clone();
    broken[ext] = 0;
    let error = Inventory::read(&broken).unwrap_err();
    assert_eq!(error, FormatError::BtfExt(BtfError::Header));
    assert!(libbpf_programs(&broken).is_none());
}

#[test]
fn damaged_btf_is_overlooked_where_libbpf_overlooks_it() {
    // A section of no meaning instead of the maps: now the object needs no BTF.
    let mut bytes = fixture("guards.bpf.o");
    let name = memchr::memmem::rfind(&bytes, b"\0.maps\0").unwrap();
    bytes[name + 5] = b'x';
    let [btf, ext] = [Inventory::read(&bytes).unwrap(), {
        let mut broken = bytes.clone();
        let magic = memchr::memmem::rfind(&broken, b"\x9f\xeb\x01\x00").unwrap();
        broken[magic] = 0;
        Inventory::read(&broken).unwrap()
    }];
    assert_eq!((btf.core_relocations.len(), btf.notes.len()), (6, 0));
    assert_eq!((ext.has_btf, ext.has_line_info, ext.core_relocations.len()), (true, false, 0));
    insta::assert_snapshot!(
        ext.notes.join("\n"),
        @"`.BTF.ext` is corrupt; libbpf ignores it: the header is not that of little-endian BTF version 1"
    );
}

#[test]
fn maps_without_btf_are_a_note() {
    let mut bytes = fixture("guards.bpf.o");
    let name = memchr::memmem::find(&bytes, b".rel.BTF\0").unwrap();
    bytes[name + 7] = b'X';
    let inventory = Inventory::read(&bytes).unwrap();
    assert_eq!((inventory.has_btf, inventory.programs.len()), (false, 4));
    insta::assert_snapshot!(
        inventory.notes.join("\n"),
        @"it declares maps or struct_ops but has no BTF, so libbpf cannot open it"
    );
    assert!(libbpf_programs(&bytes).is_none());
}

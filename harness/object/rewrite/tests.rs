use super::*;
use crate::object::{Inventory, ObjectTypes};
use crate::record::{ConstantLoading, MapLoading, NOT_PINNED};

const LEGACY: &[u8] = include_bytes!("../../../tests/fixtures/loading/legacy.bpf.o");
const BARE: &[u8] = include_bytes!("../../../tests/fixtures/loading/bare.bpf.o");
const STUBS: &[u8] = include_bytes!("../../../tests/fixtures/loading/stubs.bpf.o");
const PINNED: &[u8] = include_bytes!("../../../tests/fixtures/loading/pinned.bpf.o");
const CALLED: &[u8] = include_bytes!("../../../tests/fixtures/loading/called.bpf.o");
const CONSTANTS: &[u8] = include_bytes!("../../../tests/fixtures/loading/constants.bpf.o");
const STATICS: &[u8] = include_bytes!("../../../tests/fixtures/objects/statics.bpf.o");
const EXTERNS: &[u8] = include_bytes!("../../../tests/fixtures/objects/externs.bpf.o");

fn legacy_maps() -> LoadingRecord {
    LoadingRecord { legacy_maps: true, ..LoadingRecord::default() }
}

fn stub(name: &str) -> LoadingRecord {
    LoadingRecord { stubs: vec![name.to_owned()], ..LoadingRecord::default() }
}

fn constant(name: &str, value: Option<i64>) -> LoadingRecord {
    let constants = vec![ConstantLoading { constant: name.to_owned(), value }];
    LoadingRecord { constants, ..LoadingRecord::default() }
}

fn rewritten(bytes: &[u8], loading: &LoadingRecord) -> (Inventory, Vec<String>) {
    let Rewritten { bytes, changes } = rewrite(bytes, loading).unwrap().unwrap();
    (Inventory::read(&bytes).unwrap(), changes)
}

fn maps(inventory: &Inventory) -> Vec<String> {
    let line = |map: &crate::object::MapInfo| {
        let kind = map.map_type.clone().unwrap_or_default();
        let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        let (key, value, entries) = (number(map.key_size), number(map.value_size), number(map.max_entries));
        format!("{} {kind} {key} {value} {entries} {}", map.name, map.flags)
    };
    inventory.maps.iter().map(line).collect()
}

#[test]
fn legacy_maps_join_those_with_btf() {
    let (object, changes) = rewritten(LEGACY, &legacy_maps());
    assert_eq!(maps(&object), ["beside array 4 8 2 0", "legacy_hash hash 4 8 16 0", "legacy_static array 4 4 2 0"]);
    assert!(object.unclaimed.is_empty() && object.notes.is_empty(), "{:?} {:?}", object.unclaimed, object.notes);
    assert_eq!(changes, ["converted `legacy_hash` to a BTF map", "converted `legacy_static` to a BTF map"]);
    let uses: Vec<_> = object.programs.iter().map(|program| program.maps.join(" ")).collect();
    assert_eq!(uses, ["beside legacy_hash", "legacy_static"]);
}

#[test]
fn legacy_maps_need_no_btf() {
    let (object, changes) = rewritten(BARE, &legacy_maps());
    assert_eq!(maps(&object), ["first hash 8 8 16 1", "second percpu_array 4 16 1 0"]);
    assert!(object.has_btf && object.unclaimed.is_empty() && changes.len() == 2);
    assert_eq!(object.programs[0].maps, ["first", "second"]);
}

#[test]
fn what_a_definition_holds_beyond_the_known_fields_is_said() {
    let mut editor = ElfEditor::read(BARE).unwrap();
    let section = editor.find("maps/first").unwrap();
    let mut data = editor.data(section).to_vec();
    data.extend([0, 0, 0, 0, 7, 0, 0, 0]);
    editor.replace(section, data);
    let (table, mut symbols) = editor.symbols().unwrap();
    symbols.iter_mut().filter(|symbol| symbol.name == "first").for_each(|symbol| symbol.size = 28);
    editor.set_symbols(table, &symbols);
    let (_, changes) = rewritten(&editor.finish(), &legacy_maps());
    assert_eq!(changes[0], "converted `first` to a BTF map, without bytes 20 to 27 of its definition");
}

#[test]
fn calls_of_a_stub_return_zero() {
    assert_eq!(Inventory::read(STUBS).unwrap().programs[0].externs, ["report_event"]);
    let (object, changes) = rewritten(STUBS, &stub("report_event"));
    assert!(object.programs[0].externs.is_empty());
    assert_eq!(changes, ["2 calls of `report_event` return 0"]);
    let bytes = rewrite(STUBS, &stub("report_event")).unwrap().unwrap().bytes;
    let editor = ElfEditor::read(&bytes).unwrap();
    let code = editor.data(editor.find("tc").unwrap());
    let zero = |insn: &&[u8]| **insn == [0xb7, 0, 0, 0, 0, 0, 0, 0];
    assert!(code.chunks_exact(8).filter(zero).count() >= 2);
}

/// Where each call of a function goes: the section of the caller, and the name and section of the function.
fn calls(bytes: &[u8]) -> Vec<(String, String, String)> {
    let editor = ElfEditor::read(bytes).unwrap();
    let (_, symbols) = editor.symbols().unwrap();
    let mut calls = Vec::new();
    for (section, target) in editor.code_relocations() {
        let code = editor.data(target);
        for relocation in editor.relocations(section) {
            if code[relocation.offset as usize] == 0x85 {
                let symbol = &symbols[relocation.symbol];
                let name = |section: usize| editor.sections[section].name.clone();
                calls.push((name(target), symbol.name.clone(), name(symbol.section.into())));
            }
        }
    }
    calls.sort();
    calls
}

#[test]
fn functions_that_are_called_are_copied_to_text() {
    let loading = LoadingRecord { called_programs: true, static_programs: true, ..LoadingRecord::default() };
    let Rewritten { bytes, changes } = rewrite(CALLED, &loading).unwrap().unwrap();
    let expected = ["counted", "twice"].map(|name| format!("copied `{name}` of section `kprobe/do_exit` to `.text`"));
    assert!(expected.iter().all(|change| changes.contains(change)) && changes.len() == 3, "{changes:?}");
    let call = |from: &str, name: &str| (from.to_owned(), name.to_owned(), ".text".to_owned());
    let expected = [
        call(".text", "counted"),
        call("kprobe/do_exit", "counted"),
        call("kprobe/do_exit", "pid_of_current"),
        call("kprobe/do_exit", "twice"),
        call("tracepoint/sched/sched_switch", "counted"),
    ];
    assert_eq!(calls(&bytes), expected);
    let object = Inventory::read(&bytes).unwrap();
    let programs: Vec<_> = object.programs.iter().map(|one| (one.name.as_str(), one.maps.join(" "))).collect();
    assert_eq!(
        programs,
        [
            ("counted", "counts".into()),
            ("twice", String::new()),
            ("calls", "counts".into()),
            ("pid_of_current", "counts".to_owned())
        ]
    );
    // The copy has the relocations and source lines of the original, at its own place.
    let (old, new) = (ObjectTypes::read(CALLED).unwrap(), ObjectTypes::read(&bytes).unwrap());
    let of = |types: &ObjectTypes, section: &str| {
        let (relocations, lines) = (&types.relocations, &types.lines);
        let relocations = relocations.iter().filter(|one| &*one.section == section).map(|one| one.access.clone());
        (relocations.collect::<Vec<_>>(), lines.iter().filter(|one| &*one.section == section).count())
    };
    let original = of(&old, "tracepoint/sched/sched_switch");
    assert_eq!((of(&new, ".text").0, of(&old, ".text").1), (original.0.clone(), 0));
    assert!(of(&new, ".text").1 > original.1 && original.0.len() == 1, "{original:?}");
    assert!(!is_unambiguous(CALLED) && is_unambiguous(STATICS));
    assert_eq!(rewrite(STATICS, &loading).unwrap_err(), "no code calls a function outside `.text`");
}

#[test]
fn constants_of_inline_assembly_are_set_or_left() {
    let externs = |object: &Inventory| object.programs.iter().map(|one| one.externs.join(" ")).collect::<Vec<_>>();
    assert_eq!(externs(&Inventory::read(CONSTANTS).unwrap()), ["LIMIT", "TABLE_SIZE"]);
    let (object, changes) = rewritten(CONSTANTS, &constant("LIMIT", Some(-2)));
    assert_eq!(
        (externs(&object), changes),
        (vec![String::new(), "TABLE_SIZE".into()], vec!["1 load of the constant `LIMIT` gives -2".to_owned()])
    );
    let bytes = rewrite(CONSTANTS, &constant("LIMIT", Some(-2))).unwrap().unwrap().bytes;
    let editor = ElfEditor::read(&bytes).unwrap();
    let code = editor.data(editor.find("socket").unwrap());
    let load = |insns: &[u8]| insns[0] == 0x18 && insns[4..8] == [0xfe, 0xff, 0xff, 0xff] && insns[12..16] == [0xff; 4];
    assert!(code.windows(16).step_by(8).any(load));
    // One that is declared is no longer declared, which no kernel would take.
    let declares = |bytes: &[u8]| {
        let editor = ElfEditor::read(bytes).unwrap();
        let btf = BtfEditor::read(editor.data(editor.find(".BTF").unwrap())).unwrap();
        btf.of_kind(btf::VAR).iter().any(|id| btf.name(*id) == b"TABLE_SIZE")
    };
    let kept = rewrite(CONSTANTS, &constant("TABLE_SIZE", None)).unwrap().unwrap();
    assert_eq!(kept.changes, ["1 load of the constant `TABLE_SIZE` gives 0"]);
    assert!(declares(CONSTANTS) && !declares(&kept.bytes));
}

#[test]
fn pinning_is_ignored_for_maps_that_are_named_alone() {
    let pinning = |object: &Inventory| -> Vec<u32> { object.maps.iter().map(|map| map.pinning).collect() };
    assert_eq!(pinning(&Inventory::read(PINNED).unwrap()), [100, 2, 0]);
    let map = MapLoading { map: "owned".into(), pinning: Some(NOT_PINNED.into()), ..MapLoading::default() };
    let (object, _) = rewritten(PINNED, &LoadingRecord { maps: vec![map], ..LoadingRecord::default() });
    assert_eq!(pinning(&object), [0, 2, 0]);
    assert_eq!(maps(&object), maps(&Inventory::read(PINNED).unwrap()));
}

#[test]
fn static_functions_of_sections_become_programs() {
    let loading = LoadingRecord { static_programs: true, ..LoadingRecord::default() };
    assert!(Inventory::read(STATICS).unwrap().programs.iter().any(|program| program.is_static));
    let (object, _) = rewritten(STATICS, &loading);
    assert!(!object.programs.iter().any(|program| program.is_static));
}

#[test]
fn what_does_not_fit_an_object_is_refused() {
    assert_eq!(rewrite(STUBS, &LoadingRecord::default()), Ok(None));
    let refusals = [
        (STUBS, legacy_maps(), "it has no section `maps`"),
        (LEGACY, stub("report_event"), "it refers to no extern `report_event`"),
        (
            EXTERNS,
            stub("bpf_corematrix_gone"),
            "`bpf_corematrix_gone` is a kernel function (`__ksym`), so it cannot be replaced by a stub",
        ),
    ];
    let refused_constants = [
        (STUBS, "report_event", "extern `report_event` is not only loaded, so it cannot be replaced by a constant"),
        (STUBS, "nothing", "it refers to no extern `nothing`"),
        (
            EXTERNS,
            "bpf_corematrix_gone",
            "extern `bpf_corematrix_gone` is not only loaded, so it cannot be replaced by a constant",
        ),
    ];
    let constants = refused_constants.map(|(bytes, name, why)| (bytes, constant(name, None), why));
    for (bytes, loading, why) in refusals.into_iter().chain(constants) {
        assert_eq!(rewrite(bytes, &loading).unwrap_err(), why);
    }
}

/// Objects are untrusted: with any contents they are refused or rewritten, and nothing else happens.
#[test]
fn damaged_objects_are_refused_or_rewritten() {
    for (bytes, loading) in [
        (LEGACY, legacy_maps()),
        (BARE, legacy_maps()),
        (STUBS, stub("report_event")),
        (CONSTANTS, constant("LIMIT", None)),
        (CALLED, LoadingRecord { called_programs: true, static_programs: true, ..LoadingRecord::default() }),
    ] {
        for length in (0..bytes.len()).step_by(7) {
            let _ = rewrite(&bytes[..length], &loading);
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[place] ^= 0xff;
            if let Ok(Some(object)) = rewrite(&damaged, &loading) {
                let _ = Inventory::read(&object.bytes);
            }
        }
    }
}

#[test]
fn object_without_licence_gets_one() {
    let gpl = LoadingRecord { license: Some("GPL".to_owned()), ..LoadingRecord::default() };
    assert_eq!(Inventory::read(STATICS).unwrap().license, None);
    let (object, changes) = rewritten(STATICS, &gpl);
    assert_eq!(object.license.as_deref(), Some("GPL"));
    assert_eq!(changes, ["set its licence to `GPL`"]);
    // Its own counts.
    assert!(rewritten(EXTERNS, &gpl).1.is_empty());
}

#[test]
fn functions_of_the_kernel_are_renamed_where_they_are_called_and_declared() {
    let mut object = ElfEditor::read(EXTERNS).unwrap();
    let known = Inventory::read(EXTERNS).unwrap();
    let name = known.programs.iter().flat_map(|program| &program.externs).next().unwrap().clone();
    // A name with a flavour, as the compiler would leave it.
    object.rename_symbol(&name, "bpf_some___here");
    let bytes = object.finish();
    let whole = LoadingRecord { whole_names: vec!["bpf_some___here".to_owned()], ..LoadingRecord::default() };
    let (object, changes) = rewritten(&bytes, &whole);
    assert!(object.programs.iter().any(|program| program.externs.contains(&"bpf_some_0_here".to_owned())));
    assert_eq!(changes, ["renamed `bpf_some___here` to `bpf_some_0_here`, so that it is searched by its full name"]);
}

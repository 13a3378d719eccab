mod fuzz;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::object::btf::BtfError;
use crate::record::RelocationOutcome;

const KERNEL_A: &[u8] = include_bytes!("../../tests/fixtures/explain/kernel_a.o");
const KERNEL_B: &[u8] = include_bytes!("../../tests/fixtures/explain/kernel_b.o");
const OBJECT: &[u8] = include_bytes!("../../tests/fixtures/explain/object.o");
const GUARDS: &[u8] = include_bytes!("../../tests/fixtures/objects/guards.bpf.o");

/// The raw BTF of an ELF file.
fn raw(elf: &[u8]) -> Vec<u8> {
    let sections = crate::object::sections(elf).unwrap();
    let (_, section) = sections.section_by_name(object::LittleEndian, b".BTF").unwrap();
    object::read::elf::SectionHeader::data(section, object::LittleEndian, elf).unwrap().to_vec()
}

fn target(raw: Vec<u8>) -> Target {
    Target { kernel: Arc::new(TypeTable::new(raw).unwrap()), modules: Vec::new() }
}

/// Raw BTF of these words of types and these strings.
fn btf(types: &[u32], strings: &str) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
    let header = [0x0001_eb9f, 24, 0, types.len() as u32, types.len() as u32, strings.len() as u32];
    let header = header.iter().flat_map(|word| word.to_le_bytes());
    header.chain(types).chain(strings.bytes()).collect()
}

#[test]
fn an_object_resolves_otherwise_on_another_kernel() {
    let side = ObjectSide::read(OBJECT).unwrap();
    let resolved = |elf: &[u8]| {
        let all = Resolver::all(&side, &target(raw(elf)));
        all.iter().filter(|one| matches!(one.outcome, RelocationOutcome::Resolved { .. })).count()
    };
    let (on_a, on_b) = (resolved(KERNEL_A), resolved(KERNEL_B));
    assert!(on_a > on_b && on_b > 0, "{on_a} and {on_b}");
}

#[test]
fn types_of_a_module_are_asked_where_the_kernel_has_none() {
    let side = ObjectSide::read(OBJECT).unwrap();
    let kernel = Arc::new(TypeTable::new(btf(&[1, 1 << 24, 4, 32], "\0int\0")).unwrap());
    // A second BTF stands in for a module's: it is whole, so its ids begin again.
    let module = Arc::new(TypeTable::new(raw(KERNEL_A)).unwrap());
    let with = Target { kernel: Arc::clone(&kernel), modules: vec![("a".to_owned(), module)] };
    let without = Target { kernel, modules: Vec::new() };
    let resolved = |target: &Target| {
        let all = Resolver::all(&side, target);
        all.into_iter().filter(|one| one.candidates.iter().any(|one| one.matching)).collect::<Vec<_>>()
    };
    assert!(resolved(&without).is_empty());
    let found = resolved(&with);
    assert!(!found.is_empty() && found.iter().all(|one| one.candidates[0].module == "a"), "{found:?}");
}

#[test]
fn an_index_is_kept_and_only_taken_for_its_own_types() {
    let table = TypeTable::new(raw(KERNEL_A)).unwrap();
    let kept = TypeIndex::read(table.index().as_bytes().to_vec()).unwrap();
    let again = TypeTable::with_index(raw(KERNEL_A), Some(kept.clone())).unwrap();
    assert_eq!(again.index(), table.index());
    // Another kernel's index would name other types.
    let other = TypeTable::with_index(raw(KERNEL_B), Some(kept)).unwrap();
    assert_eq!(other.index(), TypeTable::new(raw(KERNEL_B)).unwrap().index());
    let bytes = table.index().as_bytes();
    assert_eq!(TypeIndex::read(bytes[..bytes.len() - 1].to_vec()), None);
    assert_eq!(TypeIndex::read(b"cmxbtf".to_vec()), None);
}

#[test]
fn the_types_of_a_module_go_on_where_those_of_its_kernel_end() {
    // `int`, and in the module a typedef of it, which is called `own`.
    let kernel = Arc::new(TypeTable::new(btf(&[1, 1 << 24, 4, 32], "\0int\0")).unwrap());
    let module = TypeTable::of_module(btf(&[5, 8 << 24, 1], "own\0"), kernel).unwrap();
    assert_eq!((module.len(), module.name(1), module.name(2)), (3, &b"int"[..], &b"own"[..]));
    assert_eq!(module.exactly("own", Kind::Typedef).map(|(id, _)| id), Some(2));
    // What the kernel has is not the module's own.
    assert!(module.exactly("int", Kind::Int).is_none());
    assert_eq!(module.size(2), Some(4));
}

#[test]
fn damaged_types_say_what_is_wrong() {
    let of = |types: &[u32], strings: &str| TypeTable::new(btf(types, strings)).map(|_| ()).unwrap_err();
    assert_eq!(of(&[1, 1 << 24, 4], "\0int\0"), BtfError::TypeTruncated { id: 1 });
    assert_eq!(of(&[0, 4 << 24 | 0xffff, 4], "\0"), BtfError::TypeTruncated { id: 1 });
    assert_eq!(of(&[0, 25 << 24, 4], "\0"), BtfError::UnknownKind { id: 1, kind: 25 });
    assert_eq!(of(&[], "x"), BtfError::Strings);
    // A typedef of itself, a size without end, an id that is nowhere.
    let cycle = TypeTable::new(btf(&[1, 8 << 24, 1, 0, 3 << 24, 0, 2, 1, 7], "\0t\0")).unwrap();
    assert!(cycle.skip(1).is_none() && cycle.size(1).is_none() && cycle.size(2).is_none());
    assert!(cycle.get(9).is_none() && cycle.name(9).is_empty());
}

#[test]
fn types_that_refer_to_each_other_without_end_are_given_up() {
    // `struct task_struct { struct task_struct; ... }`: each anonymous member is the struct itself.
    let members: Vec<u32> = (0..200).flat_map(|_| [0, 1, 0]).collect();
    let nest = [&[1, 4 << 24 | 200, 8], &members[..]].concat();
    let kernel = target(btf(&nest, "\0task_struct\0"));
    let side = ObjectSide::read(GUARDS).unwrap();
    let begun = Instant::now();
    let all = Resolver::all(&side, &kernel);
    assert!(all.iter().any(|one| matches!(one.outcome, RelocationOutcome::Failed { .. })), "{all:?}");
    // libbpf would go on for ever.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

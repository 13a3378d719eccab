use std::path::Path;

use super::*;
use crate::object::btf::Want;

fn fixture(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(file)).unwrap()
}

/// The raw BTF of a fixture object that stands for a kernel.
fn kernel(file: &str) -> Vec<u8> {
    use ::object::{Object, ObjectSection};
    let bytes = fixture(file);
    ::object::File::parse(&*bytes).unwrap().section_by_name(".BTF").unwrap().data().unwrap().to_vec()
}

fn cut(file: &str) -> (Btf, Btf) {
    let (raw, types) = (kernel(file), ObjectTypes::read(&fixture("object.o")).unwrap());
    let small = minimal(&raw, [&types]).unwrap();
    assert!(small.len() < raw.len(), "{} bytes of {}", small.len(), raw.len());
    (Btf::parse(&raw).unwrap(), Btf::parse(&small).unwrap())
}

/// Whether the path is there and where: type name, bits, size.
fn place(btf: &Btf, spec: &LocalSpec) -> Option<(u64, String, Option<u32>)> {
    let mut at = (0, btf.find(&spec.type_name, spec.want()?)?);
    for (index, step) in spec.path.iter().enumerate() {
        match step {
            PathStep::Member(name) => {
                let member = btf.member(at.1, name)?;
                at = (at.0 + member.bit_offset, member.type_id);
            }
            PathStep::Index(_) if index == 0 => {}
            _ => match btf.resolve(at.1)?.kind {
                TypeKind::Array { element, .. } => at.1 = element,
                _ => return None,
            },
        }
    }
    Some((at.0, btf.type_name(at.1), btf.size_of(at.1)))
}

#[test]
fn every_relocation_finds_in_the_small_what_it_finds_in_the_whole() {
    let types = ObjectTypes::read(&fixture("object.o")).unwrap();
    let mut found = 0;
    for file in ["kernel_a.o", "kernel_b.o", "kernel_between.o"] {
        let (whole, small) = cut(file);
        for spec in types.relocations.iter().filter_map(|relocation| LocalSpec::of(relocation, &types.btf)) {
            match asked(spec.kind).unwrap() {
                Asked::Field => {
                    let expected = place(&whole, &spec).map(|(bits, _, size)| (bits, size));
                    assert_eq!(place(&small, &spec).map(|(bits, _, size)| (bits, size)), expected, "{file}: {spec}");
                    found += usize::from(expected.is_some());
                }
                Asked::Type => {
                    let of = |btf: &Btf| btf.find(&spec.type_name, spec.want()?).map(|id| btf.size_of(id));
                    assert_eq!(of(&small), of(&whole), "{file}: {spec}");
                }
                Asked::Enumerator => {
                    let name = &spec.enumerator.as_ref().unwrap().0;
                    let value =
                        |btf: &Btf| btf.find(&spec.type_name, Want::Enum).and_then(|id| btf.enumerator(id, name));
                    let value = |btf: &Btf| value(btf).map(|enumerator| enumerator.value);
                    assert_eq!(value(&small), value(&whole), "{file}: {spec}");
                }
            }
        }
    }
    assert!(found > 5, "{found} fields were compared");
}

#[test]
fn what_no_relocation_asks_for_is_gone() {
    let (whole, small) = cut("kernel_a.o");
    assert!(whole.find("all", Want::Struct).is_some() && small.find("all", Want::Struct).is_none());
    let task = |btf: &Btf| btf.members(btf.find("task_struct", Want::Struct).unwrap()).len();
    assert!(task(&small) < task(&whole));
    assert_eq!(small.named(Want::Function).count(), 0);
}

#[test]
fn damaged_btf_is_an_error() {
    let types = ObjectTypes::read(&fixture("object.o")).unwrap();
    assert_eq!(minimal(b"", [&types]), Err(BtfError::Header));
}

/// A type record: name, kind with the number of what follows, size or type.
fn record(name: u32, kind: u32, count: u32, size: u32, rest: &[u32]) -> Vec<u8> {
    [&[name, kind << 24 | count, size], rest].concat().into_iter().flat_map(u32::to_le_bytes).collect()
}

fn raw_btf(records: &[Vec<u8>], strings: &[u8]) -> Vec<u8> {
    let types = records.concat();
    let mut raw = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, types.len(), types.len(), strings.len()] {
        raw.extend((word as u32).to_le_bytes());
    }
    [raw, types, strings.to_vec()].concat()
}

/// With so many ways through the types, nothing ends that follows each.
#[test]
fn types_with_many_ways_through_them_are_kept_once() {
    const LEVELS: u32 = 40;
    // `struct s` has two members of the next struct, which has two of the one after that, and so on.
    let mut records = vec![record(1, 4, 2, 8, &[3, 2, 0, 5, 2, 0])];
    records.extend((2..LEVELS).map(|id| record(0, 4, 2, 8, &[3, id + 1, 0, 5, id + 1, 0])));
    records.push(record(0, 1, 0, 4, &[32]));
    let raw = raw_btf(&records, b"\0s\0a\0b\0");
    let btf = Btf::parse(&raw).unwrap();
    let mut keeper = Keeper { btf: &btf, cut: Cut::default() };
    keeper.keep_deep(1, true);
    let kept = Btf::parse(&keeper.cut.apply(&raw).unwrap()).unwrap();
    // As deep as libbpf goes, and void.
    assert_eq!(kept.len() as u32, MAX_DEPTH + 1);

    // The same by prototypes: each parameter and the result are the next one.
    let mut records: Vec<Vec<u8>> = (1..LEVELS).map(|id| record(0, 13, 2, id + 1, &[0, id + 1, 0, id + 1])).collect();
    records.push(record(1, 1, 0, 4, &[32]));
    let raw = raw_btf(&records, b"\0s\0");
    let btf = Btf::parse(&raw).unwrap();
    let mut keeper = Keeper { btf: &btf, cut: Cut::default() };
    keeper.keep_deep(1, false);
    assert_eq!(Btf::parse(&keeper.cut.apply(&raw).unwrap()).unwrap().len() as u32, MAX_DEPTH + 1);
}

#[test]
fn member_of_many_anonymous_structs_is_looked_for_in_each_once() {
    // Each struct has the next one twice, without a name.
    let mut records = vec![record(1, 4, 2, 8, &[0, 2, 0, 0, 2, 0])];
    records.extend((2..40).map(|id| record(0, 4, 2, 8, &[0, id + 1, 0, 0, id + 1, 0])));
    records.push(record(0, 4, 0, 4, &[]));
    let btf = Btf::parse(&raw_btf(&records, b"\0s\0a\0")).unwrap();
    let mut keeper = Keeper { btf: &btf, cut: Cut::default() };
    assert_eq!(keeper.keep_field(1, &[PathStep::Index(0), PathStep::Member("a".into())]), None);
}

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
            Step::Member(name) => {
                let member = btf.member(at.1, name)?;
                at = (at.0 + member.bit_offset, member.type_id);
            }
            Step::Index(_) if index == 0 => {}
            _ => match btf.resolve(at.1)?.kind {
                Kind::Array { element, .. } => at.1 = element,
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

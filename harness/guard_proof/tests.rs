use std::fs;

use super::*;
use crate::core_relo::TypeTable;
use crate::explain::{KernelTypes, KnownTypes, LocalSpec, relocation};
use crate::need::{self, need};
use crate::object::btf::Btf;
use object::{Object, ObjectSection};

/// The types of three kernels on which the change time of an inode has three shapes.
fn kernels() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |file: &str| {
        let path = format!("{}/tests/fixtures/explain/{file}", env!("CARGO_MANIFEST_DIR"));
        let bytes = fs::read(path).unwrap();
        object::File::parse(&*bytes).unwrap().section_by_name(".BTF").unwrap().data().unwrap().to_vec()
    };
    vec![("6.1", raw("kernel_a.o")), ("6.6", raw("kernel_between.o")), ("6.12", raw("kernel_b.o"))]
}

fn explained() -> Explanation {
    let types: Vec<(&str, Btf)> = kernels().into_iter().map(|(name, raw)| (name, Btf::parse(&raw).unwrap())).collect();
    let matrix: Vec<KernelTypes<'_>> =
        types.iter().map(|(name, btf)| KernelTypes { name, btf, booted: true, modules: None }).collect();
    let spec = LocalSpec::parse("<byte_off> [0] struct inode.i_ctime.tv_sec (0:2:0 @ offset 24)").unwrap();
    relocation(&spec, &types[0].1, &matrix, &KnownTypes::default(), "6.12").unwrap()
}

fn typed() -> Vec<TypedKernel> {
    let kernel = |(name, raw): (&str, Vec<u8>)| TypedKernel {
        name: name.to_owned(),
        types: TypeSource::of(TypeTable::new(raw).unwrap()),
        modules: Vec::new(),
    };
    kernels().into_iter().map(kernel).collect()
}

#[test]
fn a_guard_is_held_against_every_kernel() {
    need!("clang", "libbpf headers");
    let explanation = explained();
    let (snippet, history) = guard_of(&explanation).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard.bpf.c");
    fs::write(&path, source(snippet, &history.arms)).unwrap();
    let compiled = compile(&path).unwrap();
    assert!(compiled.compiler.starts_with("clang "), "{}", compiled.compiler);
    let guard = GuardObject::read(&compiled.bytes, snippet, history).unwrap();
    assert_eq!(guard.wrong(&typed()), []);

    // A history that is not true is not proven.
    let mut false_history = history.clone();
    let moved = std::mem::take(&mut false_history.arms[1].booted);
    false_history.arms[0].booted.extend(moved);
    let wrong = GuardObject::read(&compiled.bytes, snippet, &false_history).unwrap().wrong(&typed());
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].kernel, "6.6");
    assert_eq!(wrong[0].reason, "it selects `__i_ctime.tv_sec`, not `i_ctime.tv_sec`");
}

#[test]
fn what_does_not_compile_says_why() {
    need!("clang", "libbpf headers");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guard.bpf.c");
    fs::write(&path, "int x = y;\n").unwrap();
    let reason = compile(&path).unwrap_err();
    assert!(reason.starts_with("clang: use of undeclared identifier 'y'"), "{reason}");
}

#[test]
fn spans_name_every_kernel_between() {
    let mut explanation = explained();
    let history = explanation.history.as_mut().unwrap();
    let arm = &mut history.arms[0];
    arm.booted.clear();
    arm.by_types = vec![crate::record::KernelSpan { first: "6.1".to_owned(), last: "6.3".to_owned(), count: 3 }];
    let names = ["6.0", "6.1", "6.2", "6.3", "6.12"];
    let found: Vec<Option<&str>> =
        meant(history, &names).into_iter().map(|arm| arm.and_then(|arm| arm.path.as_deref())).collect();
    let own = Some("i_ctime.tv_sec");
    assert_eq!(found, [None, own, own, own, Some("i_ctime_sec")]);
}

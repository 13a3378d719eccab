//! What explanations say of a kernel, held against the resolver, which follows libbpf's rules in code of its own.

use std::sync::Arc;

use super::*;
use crate::core_relo::{ObjectSide, Resolver, Target, TypeTable};

#[test]
fn presence_is_what_the_resolver_finds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let side = ObjectSide::read(&fs::read(folder.join("object.o")).unwrap()).unwrap();
    let (local, relocations) = object_under_test();
    for file in ["kernel_a.o", "kernel_between.o", "kernel_b.o"] {
        let kernel = btf(file);
        let matrix = [KernelTypes { name: file, btf: &kernel, booted: true, modules: None }];
        let table = TypeTable::new(section(file, ".BTF")).unwrap();
        let target = Target { kernel: Arc::new(table), modules: Vec::new() };
        for (one, resolution) in relocations.iter().zip(Resolver::all(&side, &target)) {
            let spec = LocalSpec::of(one, &local).unwrap();
            let Some(explanation) = relocation(&spec, &local, &matrix, &none(), file) else { continue };
            let found = resolution.candidates.iter().any(|candidate| candidate.matching);
            assert_eq!(explanation.presence[0].presence.is_present(), found, "{spec} on {file}");
        }
    }
}

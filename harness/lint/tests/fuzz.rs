//! Analysis, predictions and findings, on objects and kernels that no one wrote.

use super::*;
use crate::fuzz::fuzz;
use crate::lint::sighting::KernelSightings;
use crate::object::btf::Btf;
use crate::object::{BpfObject, Inventory, Origin};

fn object(bytes: &[u8]) -> BpfObject {
    BpfObject {
        name: "fuzzed".to_owned(),
        origin: Origin { path: "fuzzed".into(), embedded: None },
        bytes: bytes.into(),
        sha256: String::new(),
        inventory: Ok(Inventory::read(bytes).unwrap_or_default()),
    }
}

fn look(subject: &LintSubject, table: Arc<TypeTable>) {
    let Ok(btf) = Btf::parse(table.raw()) else { return };
    let target = PredictedTypes::of_kernel(table);
    KernelSightings::of(subject, &target, &btf, "1.0.0");
    subject.subject.predict(&target, "1.0.0");
}

#[test]
fn fuzz_lint_of_objects() {
    let names = ["lint/guards.o", "lint/fixed.o", "explain/dangers.o", "coverage/ways.bpf.o", "objects/externs.bpf.o"];
    let seeds: Vec<Vec<u8>> = names.iter().map(|name| std::fs::read(fixture(name)).unwrap()).collect();
    let kernel = types(&fixture("explain/kernel_b.o")).unwrap();
    fuzz("lint-of-objects", &seeds, |bytes| {
        if let Ok(subject) = LintSubject::of(&object(bytes)) {
            look(&subject, kernel.clone());
        }
    });
}

#[test]
fn fuzz_lint_on_kernels() {
    let names = ["explain/kernel_a.o", "explain/kernel_b.o", "explain/kernel_between.o"];
    let seeds: Vec<Vec<u8>> = names.iter().map(|name| types(&fixture(name)).unwrap().raw().to_vec()).collect();
    let subjects = ["lint/guards.o", "explain/object.o", "explain/arguments.o"]
        .map(|name| LintSubject::of(&object(&std::fs::read(fixture(name)).unwrap())).unwrap());
    fuzz("lint-on-kernels", &seeds, |bytes| {
        if let Ok(table) = TypeTable::new(bytes.to_vec()) {
            let table = Arc::new(table);
            subjects.iter().for_each(|subject| look(subject, table.clone()));
        }
    });
}

//! Readers of raw BTF, of a kept index and of an object's relocations, on bytes that no one wrote.

use super::*;
use crate::fuzz::fuzz;

fn seeds() -> Vec<Vec<u8>> {
    [KERNEL_A, KERNEL_B, OBJECT, GUARDS].into_iter().map(raw).collect()
}

/// Looks at everything that a table has.
fn walk(table: &TypeTable) {
    for id in 0..table.len().min(1 << 16) {
        let Some(found) = table.get(id) else { continue };
        let _ = (found.int(), found.array(), table.skip(id), table.size(id));
        for index in 0..found.count.min(1 << 12) {
            let _ = (found.member(index), found.enumerator(index), found.parameter(index));
        }
        let name = table.name(id).to_vec();
        assert!(table.named(&name).count() <= table.len() as usize);
    }
}

#[test]
fn fuzz_raw_btf() {
    let object = ObjectSide::read(OBJECT).unwrap();
    let relocations = ObjectSide::read(OBJECT).unwrap().relocations;
    let kernel = target(raw(KERNEL_B));
    fuzz("raw-btf", &seeds(), |bytes| {
        let Ok(table) = TypeTable::new(bytes.to_vec()) else { return };
        walk(&table);
        // As a kernel, as a module of one, and as the types of an object.
        let table = Arc::new(table);
        Resolver::all(&object, &Target { kernel: table.clone(), modules: Vec::new() });
        if let Ok(module) = TypeTable::of_module(bytes.to_vec(), kernel.kernel.clone()) {
            walk(&module);
            let modules = vec![("module".to_owned(), Arc::new(module))];
            Resolver::all(&object, &Target { kernel: kernel.kernel.clone(), modules });
        }
        let own = TypeTable::new(bytes.to_vec()).unwrap();
        let side = ObjectSide { types: own, relocations: relocations.clone() };
        Resolver::all(&side, &kernel);
        Resolver::all(&side, &Target { kernel: table, modules: Vec::new() });
    });
}

#[test]
fn fuzz_kept_index() {
    let object = ObjectSide::read(OBJECT).unwrap();
    let btf = raw(KERNEL_B);
    let index = TypeTable::new(btf.clone()).unwrap().index().as_bytes().to_vec();
    fuzz("kept-index", &[index], |bytes| {
        let Some(index) = TypeIndex::read(bytes.to_vec()) else { return };
        let table = TypeTable::with_index(btf.clone(), Some(index)).unwrap();
        walk(&table);
        Resolver::all(&object, &Target { kernel: Arc::new(table), modules: Vec::new() });
    });
}

#[test]
fn fuzz_object_side() {
    let kernel = target(raw(KERNEL_B));
    fuzz("object-side", &[OBJECT.to_vec(), GUARDS.to_vec()], |bytes| {
        if let Ok(side) = ObjectSide::read(bytes) {
            walk(&side.types);
            Resolver::all(&side, &kernel);
        }
    });
}

//! Loads an object by libbpf-rs into the kernel that runs this test. `corematrix runner` brings it to any kernel:
//!
//! ```text
//! export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="corematrix runner"
//! COREMATRIX_KERNEL="5.10 6.12" cargo test --test in_kernel -- --ignored
//! ```

use libbpf_rs::ObjectBuilder;

/// An object of the repository. Yours is what your loader embeds.
const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/faults/five.bpf.o");

#[test]
#[ignore = "it loads into the kernel that runs it: give it one by `corematrix runner`"]
fn every_program_of_the_object_loads() {
    let object = ObjectBuilder::default().open_file(OBJECT).expect("libbpf opens it");
    let loaded = object.load().expect("this kernel takes it");
    assert!(loaded.progs().count() > 0);
}

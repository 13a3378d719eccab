//! Tests of what a snapshot depends on.

use super::*;
use crate::record::KernelIdentity;
use crate::store::{Shelf, StoredKernel};
use crate::vm::{Deadlines, DebugOptions, GuestFile, GuestShape, KvmCpu, Toolchain};

fn key_under(accelerator: Accelerator) -> SnapshotKey {
    key_with(accelerator, &[])
}

fn key_with(accelerator: Accelerator, files: &[GuestFile]) -> SnapshotKey {
    let tools = Toolchain {
        virtme_run: "virtme-run".into(),
        virtme_version: "1.42".into(),
        qemu: "/proc/self/exe".into(),
        qemu_version: "10.0.2".into(),
        kvm_cpu: KvmCpu::known("SomeVendor", "Model-v1,-svm"),
    };
    let identity = KernelIdentity {
        release: "6.1.0".to_owned(),
        image_sha256: "aa".to_owned(),
        config_sha256: None,
        btf_sha256: None,
        given_btf_sha256: None,
    };
    let kernel = StoredKernel {
        identity,
        source: String::new(),
        boot_image: "/k/vmlinux".into(),
        config: None,
        modules: Vec::new(),
        btf: None,
        module_btf: None,
        module_symbols: None,
        given_btf: None,
        notes: Vec::new(),
        build_id: None,
        fetched: None,
    };
    let second = Duration::from_secs(1);
    let spec = MachineSpec {
        name: "6.1",
        tools: &tools,
        kernel: &kernel,
        shape: &GuestShape { memory_mib: 512, cpus: 1, numa_nodes: 1, append: Vec::new(), modules: Vec::new() },
        accelerator,
        deadlines: Deadlines::scaled(second, second, accelerator),
        stop: &|| false,
        debug: DebugOptions::default(),
        talkative: false,
        files,
    };
    key("6.1", &spec).expect("everything is there")
}

#[test]
fn guest_under_kvm_depends_on_its_cpu_and_an_emulated_one_on_none() {
    let (kvm, tcg) = (key_under(Accelerator::Kvm), key_under(Accelerator::Tcg));
    assert!(
        kvm.guest["the CPU"].starts_with("SomeVendor Model-v1,-svm,") && kvm.host.contains_key("the host's kernel")
    );
    assert_eq!((tcg.guest["the CPU"].as_str(), tcg.host.contains_key("the host's kernel")), ("emulated", false));
}

#[test]
fn guest_with_files_of_its_own_is_another_and_one_without_stays_what_it_was() {
    let file =
        |sha256: &str| GuestFile { path: "/x".to_owned(), sha256: sha256.to_owned(), content: Default::default() };
    let plain = key_under(Accelerator::Tcg);
    assert!(!plain.guest.contains_key("the files"));
    let (one, other) = (key_with(Accelerator::Tcg, &[file("aa")]), key_with(Accelerator::Tcg, &[file("bb")]));
    assert_eq!(one.guest["the files"], "/x aa");
    assert!(one.guest != plain.guest && one.guest != other.guest && one.host == plain.host);
}

#[test]
fn snapshot_that_an_earlier_version_may_have_emulated_is_not_used_under_kvm() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    let new = key_under(Accelerator::Kvm);
    let shelf = |key: &SnapshotKey| store.snapshot(key, &mut || {}).expect("looks").shelf;
    let poisoned = |key: SnapshotKey| match shelf(&key) {
        Shelf::Empty(place) => {
            drop(place.publish(&store, BTreeMap::new(), serde_json::Value::Null).expect("publishes"))
        }
        Shelf::Sound(_) => panic!("there is one"),
    };
    // As it would be if nothing else had changed, and with the key as it was then.
    let mut old = new.clone();
    let words = old.host["corematrix"].replace(&format!("format {FORMAT}"), "format 1");
    assert_ne!(words, old.host["corematrix"]);
    old.host.insert("corematrix".to_owned(), words);
    poisoned(old.clone());
    assert!(matches!(shelf(&new), Shelf::Empty(_)));
    old.guest.remove("the CPU");
    poisoned(old);
    assert!(matches!(shelf(&new), Shelf::Empty(_)));
}

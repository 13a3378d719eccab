//! Kernels from images on this machine.

use super::*;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path().join("store"))).unwrap();
        Bench { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn kernel(&self, image: &Path, config: Option<PathBuf>) -> Result<StoredKernel, StoreError> {
        let lock = LockFile::open(&self.path("kernels.lock")).unwrap();
        let source = Source::Path { image: image.to_owned(), modules: None, config };
        self.store.kernel(&spec("mine", source), &lock, true, &quiet)
    }
}

#[test]
fn an_image_alone_boots_and_says_what_is_unknown() {
    let bench = Bench::new();
    let path = bench.write("bzImage", &image("6.18.0-mine"));
    let kernel = bench.kernel(&path, None).unwrap();
    assert_eq!(kernel.identity.release, "6.18.0-mine");
    assert_eq!(kernel.notes.len(), 2, "{:?}", kernel.notes);
    assert!(kernel.boot_image.starts_with(bench.store.root()));
    assert!(!bench.path("kernels.lock").exists(), "the user's own image is not pinned");

    let elf = bench.write("vmlinux", &vmlinux("6.18.0-mine", Parts { pvh: true, btf: false }));
    let kernel = bench.kernel(&elf, None).unwrap();
    assert_eq!(fs::read(&kernel.boot_image).unwrap(), fs::read(&elf).unwrap());
    assert!(kernel.btf.is_none() && kernel.notes.iter().any(|note| note.contains("no BTF")), "{:?}", kernel.notes);
}

#[test]
fn a_new_build_or_config_is_another_entry() {
    let bench = Bench::new();
    let path = bench.write("bzImage", &image("6.18.0-mine"));
    let first = bench.kernel(&path, None).unwrap();
    let config = bench.write("config", b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n");
    let second = bench.kernel(&path, Some(config.clone())).unwrap();
    assert_ne!(first.boot_image, second.boot_image);
    assert!(second.notes.is_empty(), "{:?}", second.notes);
    assert_eq!(bench.kernel(&path, Some(config.clone())).unwrap(), second);
    bench.write("bzImage", &image("6.18.1-mine"));
    assert_eq!(bench.kernel(&path, Some(config)).unwrap().identity.release, "6.18.1-mine");
}

#[test]
fn a_tree_holds_one_kernel_with_its_config_and_modules() {
    for layout in ["boot/vmlinuz-6.18.0", "usr/lib/modules/6.18.0/vmlinuz"] {
        let bench = Bench::new();
        bench.write(&format!("tree/{layout}"), &image("6.18.0"));
        bench.write("tree/usr/lib/modules/6.18.0/config", b"CONFIG_VIRTIO_PCI=y\n");
        let module = super::super::kmod::tests::module("");
        bench.write("tree/usr/lib/modules/6.18.0/kernel/virtio_console.ko", &module);
        let kernel = bench.kernel(&bench.path("tree"), None).unwrap();
        assert!(kernel.config.is_some() && kernel.notes.is_empty(), "{:?}", kernel.notes);
        assert_eq!(fs::read(&kernel.modules[0]).unwrap(), module);

        bench.write("tree/boot/vmlinuz-6.19.0", &image("6.19.0"));
        let error = bench.kernel(&bench.path("tree"), None).unwrap_err();
        assert!(error.is_unavailable() && error.to_string().ends_with("holds 2 kernel images"), "{error}");
    }
}

#[test]
fn a_missing_or_damaged_image_is_told_apart() {
    let bench = Bench::new();
    let error = bench.kernel(&bench.path("nothing"), None).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let error = bench.kernel(&bench.write("text", b"hello"), None).unwrap_err();
    assert_eq!(error.to_string(), "kernel `mine`: image: neither a bzImage nor an x86-64 ELF vmlinux");
    assert!(!error.is_unavailable() && error.hint().is_some());
}

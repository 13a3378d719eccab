//! Kernels where they were built or installed.

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

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn lock(&self) -> LockFile {
        LockFile::open(&self.folder.path().join("kernels.lock")).unwrap()
    }

    fn tree(&self) -> Result<StoredKernel, StoreError> {
        let source = Source::Tree { tree: self.folder.path().join("linux") };
        self.store.kernel(&spec("mine", source), &self.lock(), true, &quiet)
    }

    fn host(&self, release: &str) -> Result<StoredKernel, StoreError> {
        let (lock, what) = (self.lock(), "kernel `host`".to_owned());
        let request = Request {
            store: &self.store,
            name: "host",
            what,
            lock: &lock,
            offline: true,
            fresh: false,
            archive: None,
            step: &quiet,
        };
        host::installed(&request, &self.folder.path().join("root"), release)
    }
}

#[test]
fn a_tree_is_taken_as_it_was_built_last() {
    let bench = Bench::new();
    assert!(bench.tree().unwrap_err().to_string().ends_with("is not a folder"));
    bench.write("linux/.config", b"CONFIG_VIRTIO_PCI=y\n");
    let error = bench.tree().unwrap_err();
    assert!(error.is_unavailable() && error.to_string().ends_with("has no `arch/x86/boot/bzImage`"), "{error}");

    bench.write("linux/arch/x86/boot/bzImage", &image("6.18.0-mine"));
    let module = super::super::kmod::tests::module("");
    bench.write("linux/drivers/char/virtio_console.ko", &module);
    let kernel = bench.tree().unwrap();
    assert_eq!(kernel.identity.release, "6.18.0-mine");
    assert_eq!(fs::read(&kernel.modules[0]).unwrap(), module);
    assert!(kernel.notes.is_empty(), "{:?}", kernel.notes);
    assert_eq!(bench.tree().unwrap().boot_image, kernel.boot_image);

    let config = bench.write("linux/.config", b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n");
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    fs::File::options().append(true).open(config).unwrap().set_modified(later).unwrap();
    let kernel = bench.tree().unwrap();
    assert!(kernel.modules.is_empty());
    assert_eq!(kernel.notes.len(), 1, "{:?}", kernel.notes);
    assert!(kernel.notes[0].contains("`.config` is newer"), "{:?}", kernel.notes);
}

#[test]
fn the_running_kernel_is_found_where_distributions_put_it() {
    for at in ["boot/vmlinuz-6.1.0-50", "usr/lib/modules/6.1.0-50/vmlinuz"] {
        let bench = Bench::new();
        let error = bench.host("6.1.0-50").unwrap_err();
        assert!(error.is_unavailable() && error.to_string().contains("the image of the running kernel"), "{error}");
        bench.write(&format!("root/{at}"), &image("6.1.0-50"));
        assert!(bench.host("6.1.0-50").unwrap().config.is_none());
        let packed = {
            let mut packed = Vec::new();
            let config = &b"CONFIG_VIRTIO_PCI=y\n"[..];
            let mut encoder = flate2::read::GzEncoder::new(config, flate2::Compression::fast());
            std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
            packed
        };
        bench.write("root/proc/config.gz", &packed);
        let kernel = bench.host("6.1.0-50").unwrap();
        assert_eq!(fs::read(kernel.config.unwrap()).unwrap(), b"CONFIG_VIRTIO_PCI=y\n");
        bench.write("root/boot/config-6.1.0-50", b"CONFIG_VIRTIO_PCI=m\n");
        let kernel = bench.host("6.1.0-50").unwrap();
        assert_eq!(fs::read(kernel.config.unwrap()).unwrap(), b"CONFIG_VIRTIO_PCI=m\n");
    }
}

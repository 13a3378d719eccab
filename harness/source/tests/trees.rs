//! Kernels where they were built or installed.

use super::*;

impl Fixture {
    fn tree(&self) -> Result<StoredKernel, StoreError> {
        self.kernel(Source::Tree { tree: self.path("linux") })
    }

    fn host(&self, release: &str) -> Result<StoredKernel, StoreError> {
        let (store, lock, what) = (self.store(), self.lock(), "kernel `host`".to_owned());
        let request = Request {
            store: &store,
            name: "host",
            what,
            lock: &lock,
            offline: true,
            fresh: false,
            archive: None,
            step: &quiet,
        };
        host::installed(&request, &self.path("root"), release)
    }
}

#[test]
fn a_tree_is_taken_as_it_was_built_last() {
    let fixture = Fixture::new();
    assert!(fixture.tree().unwrap_err().to_string().ends_with("is not a directory"));
    fixture.write("linux/.config", b"CONFIG_VIRTIO_PCI=y\n");
    let error = fixture.tree().unwrap_err();
    assert!(error.is_unavailable() && error.to_string().ends_with("has no `arch/x86/boot/bzImage`"), "{error}");

    fixture.write("linux/arch/x86/boot/bzImage", &image("6.18.0-mine"));
    let module = crate::store::kmod::tests::module("");
    fixture.write("linux/drivers/char/virtio_console.ko", &module);
    let kernel = fixture.tree().unwrap();
    assert_eq!(kernel.identity.release, "6.18.0-mine");
    assert_eq!(fs::read(&kernel.modules[0]).unwrap(), module);
    assert!(kernel.notes.is_empty(), "{:?}", kernel.notes);
    assert_eq!(fixture.tree().unwrap().boot_image, kernel.boot_image);

    let config = fixture.write("linux/.config", b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n");
    let later = std::time::SystemTime::now() + Duration::from_secs(60);
    fs::File::options().append(true).open(config).unwrap().set_modified(later).unwrap();
    let kernel = fixture.tree().unwrap();
    assert!(kernel.modules.is_empty());
    assert_eq!(kernel.notes.len(), 1, "{:?}", kernel.notes);
    assert!(kernel.notes[0].contains("`.config` is newer"), "{:?}", kernel.notes);
}

#[test]
fn the_running_kernel_is_found_where_distributions_put_it() {
    for at in ["boot/vmlinuz-6.1.0-50", "usr/lib/modules/6.1.0-50/vmlinuz"] {
        let fixture = Fixture::new();
        let error = fixture.host("6.1.0-50").unwrap_err();
        assert!(error.is_unavailable() && error.to_string().contains("the image of the running kernel"), "{error}");
        fixture.write(&format!("root/{at}"), &image("6.1.0-50"));
        assert!(fixture.host("6.1.0-50").unwrap().config.is_none());
        let packed = {
            let mut packed = Vec::new();
            let config = &b"CONFIG_VIRTIO_PCI=y\n"[..];
            let mut encoder = flate2::read::GzEncoder::new(config, flate2::Compression::fast());
            std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
            packed
        };
        fixture.write("root/proc/config.gz", &packed);
        let kernel = fixture.host("6.1.0-50").unwrap();
        assert_eq!(fs::read(kernel.config.unwrap()).unwrap(), b"CONFIG_VIRTIO_PCI=y\n");
        fixture.write("root/boot/config-6.1.0-50", b"CONFIG_VIRTIO_PCI=m\n");
        let kernel = fixture.host("6.1.0-50").unwrap();
        assert_eq!(fs::read(kernel.config.unwrap()).unwrap(), b"CONFIG_VIRTIO_PCI=m\n");
    }
}

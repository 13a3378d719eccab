//! Kernels from images on this machine.

use super::*;

impl Fixture {
    fn image(&self, image: &Path, config: Option<PathBuf>) -> Result<StoredKernel, StoreError> {
        self.kernel(Source::Path { image: image.to_owned(), modules: None, config })
    }
}

#[test]
fn an_image_alone_boots_and_says_what_is_unknown() {
    let fixture = Fixture::new();
    let path = fixture.write("bzImage", &image("6.18.0-mine"));
    let kernel = fixture.image(&path, None).unwrap();
    assert_eq!(kernel.identity.release, "6.18.0-mine");
    assert_eq!(kernel.notes.len(), 2, "{:?}", kernel.notes);
    assert!(kernel.boot_image.starts_with(fixture.path("store")));
    assert!(!fixture.lock_path().exists(), "the user's own image is not pinned");

    let elf = fixture.write("vmlinux", &vmlinux("6.18.0-mine", Parts { pvh: true, btf: false }));
    let kernel = fixture.image(&elf, None).unwrap();
    assert_eq!(fs::read(&kernel.boot_image).unwrap(), fs::read(&elf).unwrap());
    assert!(kernel.btf.is_none() && kernel.notes.iter().any(|note| note.contains("no BTF")), "{:?}", kernel.notes);
}

#[test]
fn a_new_build_or_config_is_another_entry() {
    let fixture = Fixture::new();
    let path = fixture.write("bzImage", &image("6.18.0-mine"));
    let first = fixture.image(&path, None).unwrap();
    let config = fixture.write("config", b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n");
    let second = fixture.image(&path, Some(config.clone())).unwrap();
    assert_ne!(first.boot_image, second.boot_image);
    assert!(second.notes.is_empty(), "{:?}", second.notes);
    assert_eq!(fixture.image(&path, Some(config.clone())).unwrap(), second);
    fixture.write("bzImage", &image("6.18.1-mine"));
    assert_eq!(fixture.image(&path, Some(config)).unwrap().identity.release, "6.18.1-mine");
}

#[test]
fn a_tree_holds_one_kernel_with_its_config_and_modules() {
    for layout in ["boot/vmlinuz-6.18.0", "usr/lib/modules/6.18.0/vmlinuz"] {
        let fixture = Fixture::new();
        fixture.write(&format!("tree/{layout}"), &image("6.18.0"));
        fixture.write("tree/usr/lib/modules/6.18.0/config", b"CONFIG_VIRTIO_PCI=y\n");
        let module = crate::store::kmod::tests::module("");
        fixture.write("tree/usr/lib/modules/6.18.0/kernel/virtio_console.ko", &module);
        let kernel = fixture.image(&fixture.path("tree"), None).unwrap();
        assert!(kernel.config.is_some() && kernel.notes.is_empty(), "{:?}", kernel.notes);
        assert_eq!(fs::read(&kernel.modules[0]).unwrap(), module);
        assert!(kernel.module_files().unwrap().has("virtio_console"));

        fixture.write("tree/boot/vmlinuz-6.19.0", &image("6.19.0"));
        let error = fixture.image(&fixture.path("tree"), None).unwrap_err();
        assert!(error.is_unavailable() && error.to_string().ends_with("holds 2 kernel images"), "{error}");
    }
}

#[test]
fn a_missing_or_damaged_image_is_told_apart() {
    let fixture = Fixture::new();
    let error = fixture.image(&fixture.path("nothing"), None).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let error = fixture.image(&fixture.write("text", b"hello"), None).unwrap_err();
    assert_eq!(error.to_string(), "kernel `mine`: image: neither a bzImage nor an x86-64 ELF vmlinux");
    assert!(!error.is_unavailable() && error.hint().is_some());
}

#[test]
fn another_version_of_corematrix_keeps_its_own_entry() {
    let fixture = Fixture::new();
    let path = fixture.write("bzImage", &image("6.18.0-mine"));
    let own = fixture.image(&path, None).unwrap();
    let folder = own.boot_image.parent().unwrap();
    // A later version, which makes something else of the same image, came first.
    let later = folder.with_file_name(format!("{}.2", folder.file_name().unwrap().to_str().unwrap()));
    fs::rename(folder, &later).unwrap();
    let description = fs::read_to_string(later.join("entry.json")).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(later.join("entry.json"), description.replace("\"format\":1", "\"format\":2")).unwrap();
    assert_eq!(fixture.image(&path, None).unwrap().boot_image, own.boot_image);
    assert!(later.join("entry.json").is_file() && own.boot_image.is_file());
    // It is listed, but nothing is made of it.
    let store = fixture.store();
    assert_eq!((store.kernels().len(), store.folders().unwrap().len()), (1, 2));
}

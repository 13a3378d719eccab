//! What is learned of modules that are a separate package.

use super::stand_in::{Repository, from_apt};
use super::*;

const RELEASE: &str = "7.3.4-amd64";

/// A split kernel, with virtio built in, so that it comes without its modules.
fn split() -> Repository {
    let repository = Repository::new();
    let module = crate::store::kmod::tests::module("");
    let builtin = b"kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n";
    let folder = format!("./usr/lib/modules/{RELEASE}");
    repository.add(
        &format!("linux-binary-{RELEASE}"),
        "7.3.4-1",
        &[(&format!("./boot/vmlinuz-{RELEASE}"), &image(RELEASE))],
    );
    let base: [(&str, &[u8]); 2] =
        [(&format!("{folder}/config"), b"CONFIG_BPF=y\n"), (&format!("{folder}/modules.builtin"), builtin)];
    repository.add(&format!("linux-base-{RELEASE}"), "7.3.4-1", &base);
    repository.add(
        &format!("linux-modules-{RELEASE}"),
        "7.3.4-1",
        &[(&format!("{folder}/kernel/fs/xfs/xfs.ko"), &module)],
    );
    repository
}

fn fetched(repository: &Repository) -> StoredKernel {
    let kernel = repository.store().kernel(&from_apt("linux-binary-7.3.*"), &repository.lock(), false, &quiet).unwrap();
    assert!(kernel.module_btf.is_none() && kernel.module_symbols.is_none());
    assert_eq!(repository.calls("download"), 2, "a run that asks nothing of modules does without them");
    kernel
}

fn learned(repository: &Repository, kernel: &StoredKernel, offline: bool) -> Result<StoredKernel, StoreError> {
    repository.store().learn_modules(&from_apt("linux-binary-7.3.*"), kernel, &repository.lock(), offline, &quiet)
}

#[test]
fn modules_are_fetched_once_when_they_are_asked_for() {
    let repository = split();
    let kernel = fetched(&repository);
    assert_eq!(learned(&repository, &kernel, true).unwrap(), kernel, "nothing is fetched offline");
    assert_eq!(repository.calls("download"), 2);
    let learned_kernel = learned(&repository, &kernel, false).unwrap();
    assert_eq!(learned_kernel.module_functions().unwrap(), [("xfs".to_owned(), Vec::new())]);
    assert_eq!(repository.calls("download"), 4);
    // What is built in is listed in another package than the modules.
    let files = learned_kernel.module_files().unwrap();
    assert!(files.has("xfs") && files.knows_built_in());
    assert_eq!(files.resolve(&["virtio_pci".to_owned()]).built_in, ["virtio_pci"]);
    // It is kept with the kernel, for this run and others.
    assert_eq!(learned(&repository, &kernel, false).unwrap(), learned_kernel);
    let again = repository.store().kernel(&from_apt("linux-binary-7.3.*"), &repository.lock(), true, &quiet).unwrap();
    assert_eq!(again.module_symbols, learned_kernel.module_symbols);
    assert_eq!(repository.calls("download"), 4);
}

#[test]
fn modules_that_are_gone_are_not_asked_for_again() {
    let repository = split();
    let kernel = fetched(&repository);
    repository.lose(&format!("linux-modules-{RELEASE}"), "7.3.4-1");
    assert_eq!(learned(&repository, &kernel, false).unwrap(), kernel);
    let calls = repository.calls("apt-get");
    assert_eq!(learned(&repository, &kernel, false).unwrap(), kernel);
    assert_eq!(repository.calls("apt-get"), calls);
}

#[test]
fn network_that_fails_says_so_and_is_tried_again() {
    let repository = split();
    let kernel = fetched(&repository);
    fs::write(repository.path("down"), "").unwrap();
    let trouble = learned(&repository, &kernel, false);
    assert!(trouble.is_err() || trouble.is_ok_and(|same| same == kernel));
    fs::remove_file(repository.path("down")).unwrap();
    assert!(learned(&repository, &kernel, false).unwrap().module_symbols.is_some());
}

/// The names of the modules that a kernel's files have, or why there are none.
fn files(store: &Store, spec: &KernelSpec, lock: &LockFile, kernel: &StoredKernel) -> Result<Vec<u8>, String> {
    let files = store.module_files(spec, kernel, lock, true, &quiet).map_err(|error| error.0)?;
    let resolved = files.resolve(&["xfs".to_owned()]);
    let file = resolved.files.last().ok_or("it has no xfs")?;
    file.unpacked().map_err(|error| error.to_string())
}

#[test]
fn modules_of_a_tree_are_those_that_were_built_last() {
    let fixture = Fixture::new();
    fixture.write("linux/.config", b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n");
    fixture.write("linux/arch/x86/boot/bzImage", &image("6.18.0-mine"));
    let spec = spec("mine", Source::Tree { tree: fixture.path("linux") });
    let (store, lock) = (fixture.store(), fixture.lock());
    let kernel = || store.kernel(&spec, &lock, true, &quiet).unwrap();
    let reason = files(&store, &spec, &lock, &kernel()).unwrap_err();
    assert!(reason.starts_with("no modules are built in `") && reason.contains("`make modules`"), "{reason}");
    let module = crate::store::kmod::tests::module("");
    fixture.write("linux/fs/xfs/xfs.ko", &module);
    assert_eq!(files(&store, &spec, &lock, &kernel()), Ok(module.clone()));
    let learned = store.learn_modules(&spec, &kernel(), &lock, true, &quiet).unwrap();
    assert_eq!(learned.module_functions().unwrap(), [("xfs".to_owned(), Vec::new())]);
    let other = [module.as_slice(), b"another build"].concat();
    fixture.write("linux/fs/xfs/xfs.ko", &other);
    assert_eq!(files(&store, &spec, &lock, &kernel()), Ok(other));
}

#[test]
fn modules_of_an_image_on_this_machine_are_where_its_table_says() {
    let fixture = Fixture::new();
    let path = fixture.write("bzImage", &image("6.18.0-mine"));
    let module = crate::store::kmod::tests::module("");
    fixture.write("modules/kernel/fs/xfs.ko", &module);
    let (store, lock) = (fixture.store(), fixture.lock());
    let with = |modules| spec("mine", Source::Path { image: path.clone(), modules, config: None });
    let found = |spec: &KernelSpec| files(&store, spec, &lock, &store.kernel(spec, &lock, true, &quiet).unwrap());
    assert!(found(&with(None)).unwrap_err().contains("`modules = \"FOLDER\"` says where they are"));
    let named = with(Some(fixture.path("modules")));
    assert_eq!(found(&named), Ok(module.clone()));
    // A module that is built again is another kernel to the store.
    let other = [module.as_slice(), b"another build"].concat();
    fixture.write("modules/kernel/fs/xfs.ko", &other);
    assert_eq!(found(&named), Ok(other));
}

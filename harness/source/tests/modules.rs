//! What is learned of modules that are a package of their own.

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
    assert_eq!(repository.calls("download"), 3);
    // It is kept with the kernel, for this run and others.
    assert_eq!(learned(&repository, &kernel, false).unwrap(), learned_kernel);
    let again = repository.store().kernel(&from_apt("linux-binary-7.3.*"), &repository.lock(), true, &quiet).unwrap();
    assert_eq!(again.module_symbols, learned_kernel.module_symbols);
    assert_eq!(repository.calls("download"), 3);
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

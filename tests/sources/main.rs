//! Kernels, and objects of others, from where users have them: registries, web servers, archives, packages, disk images and trees. The servers are real and run on
//! loopback, and the kernel in each is the real one of the other tests.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod disk;
mod local;
mod objects;
mod oci;
mod package;
mod point_releases;
mod proxy;
mod repository;
mod served_image;
mod system_image;
mod tuf;

mod service;

use std::fs;
use std::path::Path;

use common::{Lab, kernel};
use corematrix::manifest::Manifest;
use corematrix::source::LockFile;
use corematrix::store::{Store, StoreError, StoredKernel};

const GOOD: i32 = 0;
/// What a run ends with that found failures.
const BROKEN: i32 = 1;
const INFRASTRUCTURE: i32 = 3;

/// The modules that guests of Debian's kernels need, by their directory below `kernel/drivers`; newer ones have all of them.
const DRIVERS: [(&str, &str); 6] = [
    ("virtio", "virtio_ring"),
    ("virtio", "virtio"),
    ("virtio", "virtio_pci_legacy_dev"),
    ("virtio", "virtio_pci_modern_dev"),
    ("virtio", "virtio_pci"),
    ("char", "virtio_console"),
];

fn release() -> &'static str {
    &kernel().stored.identity.release
}

/// The files of the test kernel's `lib/modules/RELEASE`, by their path below it.
fn modules() -> Vec<(String, Vec<u8>)> {
    modules_of(&kernel().stored)
}

/// The same of any kernel of Debian's.
fn modules_of(stored: &StoredKernel) -> Vec<(String, Vec<u8>)> {
    let driver = |(folder, name): &(&str, &str)| {
        let file = stored.modules.iter().find(|path| path.to_str().unwrap().ends_with(&format!("-{name}.ko")))?;
        Some((format!("kernel/drivers/{folder}/{name}.ko"), fs::read(file).unwrap()))
    };
    let mut files: Vec<_> = DRIVERS.iter().filter_map(driver).collect();
    assert_eq!(files.len(), stored.modules.len());
    files.push(("modules.builtin".to_owned(), b"kernel/fs/ext4/ext4.ko\n".to_vec()));
    files
}

/// Image, config and modules of the test kernel as distributions install them.
fn installed() -> Vec<(String, Vec<u8>)> {
    let (release, stored) = (release(), &kernel().stored);
    let mut files = vec![
        (format!("boot/vmlinuz-{release}"), fs::read(kernel().image()).unwrap()),
        (format!("boot/config-{release}"), fs::read(stored.config.as_ref().unwrap()).unwrap()),
    ];
    files.extend(modules().into_iter().map(|(name, bytes)| (format!("lib/modules/{release}/{name}"), bytes)));
    files
}

/// Writes files below a directory.
fn lay_out(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The kernel `name` of the lab's manifest, by way of the lab's store.
fn fetch(lab: &Lab, name: &str) -> Result<StoredKernel, StoreError> {
    let manifest = Manifest::load(&lab.path("kernels.toml")).unwrap();
    let spec = &manifest.select(&[name.to_owned()], &|_| None).unwrap()[0];
    let lock = LockFile::open(&lab.path("kernels.lock")).unwrap();
    Store::open(&lab.store()).unwrap().kernel(spec, &lock, false, &|step| println!("{name}: {step}"))
}

/// Checks that it is the test kernel, and all of it.
#[track_caller]
fn expect_whole(found: &StoredKernel) {
    let stored = &kernel().stored;
    assert_eq!((&found.identity, found.modules.len()), (&stored.identity, stored.modules.len()));
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}

/// An object of `programs/`.
fn story(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/programs/{name}.bpf.o"));
    assert!(path.is_file(), "`{}` does not exist: run `make programs`", path.display());
    path.to_str().unwrap().to_owned()
}

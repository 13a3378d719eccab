//! Tests of all sources: against a stand-in for apt, images on this machine, servers on loopback, and a stand-in for virtme-ng.

mod apk;
mod apt;
mod btf_archive;
mod builds;
mod fallback;
mod fuzz;
mod mainline;
mod modules;
mod oci;
mod package_files;
mod pacman;
mod path;
mod probes;
mod rpm;
mod served_btf;
mod shared;
mod site;
mod stand_in;
mod trees;
mod tuf;
mod vng_build;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::checksum;
use crate::manifest::Source;
use crate::store::image::tests::{Packed, Parts, bzimage, vmlinux};

/// A kernel of the manifest with this source.
fn spec(name: &str, source: Source) -> KernelSpec {
    KernelSpec {
        name: name.to_owned(),
        source,
        fallbacks: Vec::new(),
        optional: false,
        memory_mib: 512,
        boot_timeout: Duration::from_secs(1),
        program_timeout: Duration::from_secs(1),
        append: Vec::new(),
        modules: None,
        machine: crate::record::MachineSettings::default(),
        btf: None,
        builds: None,
        btf_archive: None,
    }
}

/// A directory with a store, a lock file and what a test puts beside them.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap() }
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

    fn store(&self) -> Store {
        Store::open(&self.path("store")).unwrap()
    }

    fn lock_path(&self) -> PathBuf {
        self.path("kernels.lock")
    }

    fn lock(&self) -> LockFile {
        LockFile::open(&self.lock_path()).unwrap()
    }

    /// Asks the store, without network, for a kernel called `mine`.
    fn kernel(&self, source: Source) -> Result<StoredKernel, StoreError> {
        self.store().kernel(&spec("mine", source), &self.lock(), true, &quiet)
    }
}

/// A small bootable image with everything in it.
fn image(release: &str) -> Vec<u8> {
    bzimage(release, &vmlinux(release, Parts { pvh: true, btf: true }), Packed::Xz)
}

fn quiet(_: String) {}

//! Tests of the whole store: against a stand-in for apt, images on this machine, and a stand-in for virtme-ng.

mod apt;
mod fallback;
mod kernel_build;
mod mainline;
mod modules;
mod oci;
mod package_file;
mod path;
mod probes;
mod shared;
mod stand_in;
mod trees;

use std::time::Duration;

use super::image::tests::{Packed, Parts, bzimage, vmlinux};
use super::*;
use crate::manifest::Source;

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
        btf: None,
    }
}

/// A small bootable image with everything in it.
fn image(release: &str) -> Vec<u8> {
    bzimage(release, &vmlinux(release, Parts { pvh: true, btf: true }), Packed::Xz)
}

fn quiet(_: String) {}

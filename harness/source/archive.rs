//! What kernels, packages and objects come packed in. Nothing unpacks to more than it may, or to another place.

pub(super) mod bounded;
pub(super) mod compression;
pub(super) mod deb;
pub(super) mod elf_tree;
pub(super) mod rpm;
pub(super) mod rpm_header;
pub(super) mod tarball;

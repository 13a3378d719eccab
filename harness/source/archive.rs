//! What kernels and packages come packed in. Nothing unpacks to more than it may, or to another place.

pub(super) mod bounded;
pub(super) mod compression;
pub(super) mod deb;
pub(super) mod rpm;
pub(super) mod tarball;

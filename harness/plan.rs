//! Which object runs on which kernel.

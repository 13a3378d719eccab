//! [`parse_once`]: the kernel's BTF, parsed by libbpf once for all objects that this guest and its restored copies will ever load.
//!
//! libbpf parses the kernel's BTF anew for each object, which takes longer than all the rest under emulation. The linker's `--wrap`
//! (`build.rs`) puts the functions below between libbpf's loader and its BTF parser: the first parse is kept, and every
//! later object gets the same one. Each object is loaded in a forked copy of this process, so none can spoil it for another.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libbpf_rs::libbpf_sys::btf;

/// What [`parse_once`] has parsed; null before.
static KEPT: AtomicPtr<btf> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    /// libbpf's own `btf__load_vmlinux_btf`.
    fn __real_btf__load_vmlinux_btf() -> *mut btf;
    /// libbpf's own `btf__free`.
    fn __real_btf__free(btf: *mut btf);
}

/// Parses and keeps the kernel's BTF. A kernel without BTF keeps none, and libbpf says so again for each object.
pub fn parse_once() {
    // SAFETY: takes nothing and returns null (libbpf 1.0 and later) or a BTF that is ours.
    let parsed = unsafe { __wrap_btf__load_vmlinux_btf() };
    KEPT.store(parsed, Ordering::SeqCst);
}

/// What libbpf calls in the place of its `btf__load_vmlinux_btf`.
///
/// # Safety
/// As libbpf's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_btf__load_vmlinux_btf() -> *mut btf {
    match KEPT.load(Ordering::SeqCst) {
        // SAFETY: as for this function.
        kept if kept.is_null() => unsafe { __real_btf__load_vmlinux_btf() },
        kept => kept,
    }
}

/// What libbpf calls in the place of its `btf__free`, where that is in another of its source files.
///
/// # Safety
/// As libbpf's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_btf__free(btf: *mut btf) {
    let kept = KEPT.load(Ordering::SeqCst);
    if kept.is_null() || kept != btf {
        // SAFETY: as for this function.
        unsafe { __real_btf__free(btf) }
    }
}

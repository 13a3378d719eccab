//! [`parse_once`]: the kernel's BTF, parsed by libbpf once for all objects that this guest and its restored copies will ever load;
//! and the BTF that was given instead.
//!
//! libbpf parses the kernel's BTF again for each object, which takes longer than all the rest under emulation. The linker's `--wrap`
//! (`build.rs`) puts the functions below between libbpf's loader and its BTF parser: the first parse is kept, and every
//! later object gets the same one. Each object is loaded in a forked copy of this process, so none can spoil it for another.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use libbpf_rs::libbpf_sys::{btf, btf_ext};

use corematrix_protocol::GIVEN_BTF;

/// What [`parse_once`] has parsed of the kernel's own; null before.
static KEPT: AtomicPtr<btf> = AtomicPtr::new(ptr::null_mut());
/// What it has parsed of [`GIVEN_BTF`]; null if none was given.
static KEPT_GIVEN: AtomicPtr<btf> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    /// libbpf's own `btf__load_vmlinux_btf`.
    fn __real_btf__load_vmlinux_btf() -> *mut btf;
    /// libbpf's own `btf__parse`.
    fn __real_btf__parse(path: *const c_char, ext: *mut *mut btf_ext) -> *mut btf;
    /// libbpf's own `btf__free`.
    fn __real_btf__free(btf: *mut btf);
}

/// Parses and keeps the kernel's BTF, and what was given. A kernel without BTF keeps none, and libbpf says so again for each object.
pub fn parse_once() {
    // SAFETY: takes nothing and returns null (libbpf 1.0 and later) or a BTF that is ours.
    let parsed = unsafe { __wrap_btf__load_vmlinux_btf() };
    KEPT.store(parsed, Ordering::SeqCst);
    if Path::new(GIVEN_BTF).exists()
        && let Ok(path) = CString::new(GIVEN_BTF)
    {
        // SAFETY: the path is a C string for the call; as above otherwise.
        let given = unsafe { __real_btf__parse(path.as_ptr(), ptr::null_mut()) };
        KEPT_GIVEN.store(given, Ordering::SeqCst);
    }
}

/// What libbpf calls instead of its `btf__load_vmlinux_btf`.
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

/// What libbpf calls instead of its `btf__parse`, where that is in another of its source files.
///
/// # Safety
/// As libbpf's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_btf__parse(path: *const c_char, ext: *mut *mut btf_ext) -> *mut btf {
    let kept = KEPT_GIVEN.load(Ordering::SeqCst);
    // SAFETY: as for this function, the path is a C string.
    if !kept.is_null() && unsafe { CStr::from_ptr(path) }.to_bytes() == GIVEN_BTF.as_bytes() {
        return kept;
    }
    // SAFETY: as for this function.
    unsafe { __real_btf__parse(path, ext) }
}

/// What libbpf calls instead of its `btf__free`, where that is in another of its source files.
///
/// # Safety
/// As libbpf's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_btf__free(btf: *mut btf) {
    let kept = [&KEPT, &KEPT_GIVEN].map(|kept| kept.load(Ordering::SeqCst));
    if btf.is_null() || !kept.contains(&btf) {
        // SAFETY: as for this function.
        unsafe { __real_btf__free(btf) }
    }
}

//! [`vmlinux_h`]: the types of a kernel as one C header, written by libbpf as `bpftool btf dump ... format c` does.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;

use libbpf_rs::libbpf_sys as sys;

/// The first and last lines. The names of the guards are those of bpftool's header, so that one can take the place of the other.
const BEGIN: &str = "\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

";
const END: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";
/// Around the prototypes of kfuncs.
const BEGIN_KFUNCS: &str = "\
#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(\".ksyms\")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif

";
const END_KFUNCS: &str = "#endif\n\n";

/// `BTF_KIND_DECL_TAG`, which the build of libbpf's bindings does not name.
const DECL_TAG: u32 = 17;
/// How the kernel's build marks functions that BPF programs may call.
const KFUNC_TAG: &CStr = c"bpf_kfunc";

/// Why there is no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// libbpf does not take the bytes for BTF.
    #[error("libbpf cannot read the BTF: errno {0}")]
    Unreadable(i32),
    /// libbpf cannot write a type as C.
    #[error("libbpf cannot write type {id} as C: errno {errno}")]
    Type {
        /// Its id.
        id: u32,
        /// Positive.
        errno: i32,
    },
}

/// All types of raw BTF in C, and the prototypes of the kfuncs that it marks, as weak ksyms.
pub fn vmlinux_h(raw: &[u8]) -> Result<String, HeaderError> {
    let types = Types::read(raw)?;
    let mut text = BEGIN.as_bytes().to_vec();
    let dump = Dump::of(&types, &mut text)?;
    for id in 1..types.count() {
        // SAFETY: the dump is alive, and the id one of its BTF's.
        match unsafe { sys::btf_dump__dump_type(dump.dump.as_ptr(), id) } {
            0 => {}
            errno => return Err(HeaderError::Type { id, errno: -errno }),
        }
    }
    let kfuncs = types.kfuncs();
    if !kfuncs.is_empty() {
        dump.write(BEGIN_KFUNCS);
    }
    for &(prototype, name) in &kfuncs {
        dump.write("extern ");
        let options = sys::btf_dump_emit_type_decl_opts {
            sz: size_of::<sys::btf_dump_emit_type_decl_opts>() as sys::size_t,
            field_name: name.as_ptr(),
            ..Default::default()
        };
        // SAFETY: the dump is alive, the options are whole, and the name lives as long as the BTF.
        match unsafe { sys::btf_dump__emit_type_decl(dump.dump.as_ptr(), prototype, &options) } {
            0 => dump.write(" __weak __ksym;\n"),
            errno => return Err(HeaderError::Type { id: prototype, errno: -errno }),
        }
    }
    if !kfuncs.is_empty() {
        dump.write(END_KFUNCS);
    }
    dump.write(END);
    drop(dump);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// BTF as libbpf has parsed it.
struct Types(NonNull<sys::btf>);

impl Types {
    fn read(raw: &[u8]) -> Result<Types, HeaderError> {
        let size = u32::try_from(raw.len()).map_err(|_| HeaderError::Unreadable(libc::E2BIG))?;
        // SAFETY: the bytes are there for the call; libbpf copies them and checks what is in them.
        let btf = unsafe { sys::btf__new(raw.as_ptr().cast(), size) };
        NonNull::new(btf).map(Types).ok_or_else(|| HeaderError::Unreadable(last_errno()))
    }

    fn count(&self) -> u32 {
        // SAFETY: the BTF is alive.
        unsafe { sys::btf__type_cnt(self.0.as_ptr()) }
    }

    /// Of each kfunc the id of its prototype, and its name.
    fn kfuncs(&self) -> Vec<(u32, &CStr)> {
        (1..self.count()).filter_map(|id| self.kfunc(id)).collect()
    }

    fn kfunc(&self, tag: u32) -> Option<(u32, &CStr)> {
        let (kind, name, function) = self.header(tag)?;
        if kind != DECL_TAG || name != KFUNC_TAG {
            return None;
        }
        let (_, name, prototype) = self.header(function)?;
        Some((prototype, name))
    }

    /// Kind, name, and the type that the type refers to.
    fn header(&self, id: u32) -> Option<(u32, &CStr, u32)> {
        // SAFETY: the BTF is alive; libbpf gives null for a bad id, and pointers that live as long as the BTF.
        unsafe {
            let found = sys::btf__type_by_id(self.0.as_ptr(), id).as_ref()?;
            let name = sys::btf__name_by_offset(self.0.as_ptr(), found.name_off);
            (!name.is_null()).then(|| (found.info >> 24 & 0x1f, CStr::from_ptr(name), found.__bindgen_anon_1.type_))
        }
    }
}

impl Drop for Types {
    fn drop(&mut self) {
        // SAFETY: it is owned here and no longer used.
        unsafe { sys::btf__free(self.0.as_ptr()) }
    }
}

/// libbpf's writer of C.
struct Dump<'a> {
    dump: NonNull<sys::btf_dump>,
    /// Where it writes to; behind a pointer because libbpf has it, too.
    text: NonNull<Vec<u8>>,
    _lives: std::marker::PhantomData<(&'a Types, &'a mut Vec<u8>)>,
}

impl<'a> Dump<'a> {
    fn of(types: &'a Types, text: &'a mut Vec<u8>) -> Result<Dump<'a>, HeaderError> {
        let text = NonNull::from(text);
        // SAFETY: BTF and text outlive the dump; `print` takes the context for what it is.
        let dump = unsafe { sys::btf_dump__new(types.0.as_ptr(), Some(print), text.as_ptr().cast(), std::ptr::null()) };
        let dump = NonNull::new(dump).ok_or_else(|| HeaderError::Unreadable(last_errno()))?;
        Ok(Dump { dump, text, _lives: std::marker::PhantomData })
    }

    fn write(&self, words: &str) {
        // SAFETY: libbpf writes only while one of its functions runs.
        unsafe { (*self.text.as_ptr()).extend_from_slice(words.as_bytes()) }
    }
}

impl Drop for Dump<'_> {
    fn drop(&mut self) {
        // SAFETY: it is owned here and no longer used.
        unsafe { sys::btf_dump__free(self.dump.as_ptr()) }
    }
}

unsafe extern "C" {
    /// The C library's own; not in `libc`, which has no type for the arguments.
    fn vasprintf(text: *mut *mut c_char, format: *const c_char, arguments: *mut sys::__va_list_tag) -> c_int;
}

/// What libbpf calls with each piece of text.
unsafe extern "C" fn print(context: *mut c_void, format: *const c_char, arguments: *mut sys::__va_list_tag) {
    let mut piece: *mut c_char = std::ptr::null_mut();
    // SAFETY: format and arguments are libbpf's and belong together.
    let length = unsafe { vasprintf(&mut piece, format, arguments) };
    let Ok(length) = usize::try_from(length) else { return };
    // SAFETY: the context is the text of `Dump::of`; the piece has so many bytes and is ours to free.
    unsafe {
        (*context.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(piece.cast(), length));
        libc::free(piece.cast());
    }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

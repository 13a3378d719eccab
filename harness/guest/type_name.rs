//! Names of the kernel's types, as libbpf gives them.

use std::ffi::CStr;

use libbpf_rs::libbpf_sys as sys;

/// The name of a map type, such as `array_of_maps`; one that libbpf does not know is a number.
pub fn map_type_name(number: u32) -> String {
    // SAFETY: takes any number, and returns null or a constant string.
    let name = unsafe { sys::libbpf_bpf_map_type_str(number) };
    if name.is_null() {
        return number.to_string();
    }
    // SAFETY: not null, so a constant string.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

//! [`of`]: the maps that libbpf had the kernel create, as it defined them in the end.

use std::ffi::CStr;

use corematrix_record::{CreatedMap, MapDefinition};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{AsRawLibbpf, OpenMap, OpenObject};

use super::type_name::map_type_name;

/// The maps of an object that is prepared.
pub fn of(open: &OpenObject) -> Vec<CreatedMap> {
    let created = |map: OpenMap<'_>| {
        let definition = definition(&map);
        CreatedMap { map: map.name().to_string_lossy().into_owned(), definition, ..CreatedMap::default() }
    };
    open.maps().map(created).collect()
}

/// What libbpf asks the kernel for.
pub fn definition(map: &OpenMap<'_>) -> MapDefinition {
    let raw = map.as_libbpf_object().as_ptr();
    // SAFETY: the pointer is that of a map whose object lives; each call reads one number of it.
    unsafe {
        MapDefinition {
            map_type: Some(map_type_name(sys::bpf_map__type(raw))),
            key_size: Some(sys::bpf_map__key_size(raw)),
            value_size: Some(sys::bpf_map__value_size(raw)),
            max_entries: Some(sys::bpf_map__max_entries(raw)),
            map_flags: Some(sys::bpf_map__map_flags(raw)).filter(|flags| *flags != 0),
        }
    }
}

/// The version of the libbpf that is linked in, such as `1.7`.
pub fn libbpf_version() -> String {
    // SAFETY: returns a constant string.
    let version = unsafe { CStr::from_ptr(sys::libbpf_version_string()) };
    version.to_string_lossy().trim_start_matches('v').to_owned()
}

//! What the kernel says of a map.

use std::os::fd::RawFd;

use libbpf_rs::libbpf_sys as sys;

/// The number of a map; `None` if the descriptor is not that of one.
pub fn id(descriptor: RawFd) -> Option<u32> {
    let mut info = sys::bpf_map_info::default();
    let mut length = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: `info` is plain data that the call fills, and `length` is its size; a bad descriptor is an error.
    let result = unsafe { sys::bpf_map_get_info_by_fd(descriptor, &mut info, &mut length) };
    (descriptor >= 0 && result == 0).then_some(info.id)
}

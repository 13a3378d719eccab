//! [`of_section`]: the program type that libbpf gives to an ELF section, asked of the linked libbpf itself.

use std::ffi::{CStr, CString, c_char};

/// The names of the program type and of the attach type that libbpf derives from a section such as `fentry/vfs_read`.
/// `None` where libbpf does not know the section or does not fix an attach type.
pub(super) fn of_section(section: &str) -> (Option<String>, Option<String>) {
    let Ok(name) = CString::new(section) else {
        return (None, None);
    };
    let (mut prog_type, mut attach_type) = (0, 0);
    // SAFETY: `name` is a NUL-terminated string and both results point to live integers of the type libbpf writes.
    let known = unsafe { libbpf_sys::libbpf_prog_type_by_name(name.as_ptr(), &mut prog_type, &mut attach_type) } == 0;
    if !known {
        return (None, None);
    }
    // Attach type 0 is both "none" and `cgroup_inet_ingress`, which only cgroup_skb programs can have.
    let has_attach_type = attach_type != 0 || prog_type == libbpf_sys::BPF_PROG_TYPE_CGROUP_SKB;
    // SAFETY: takes any integer and returns NULL or a string constant.
    let prog_type = constant(unsafe { libbpf_sys::libbpf_bpf_prog_type_str(prog_type) });
    // SAFETY: as above.
    let attach_type = has_attach_type.then(|| constant(unsafe { libbpf_sys::libbpf_bpf_attach_type_str(attach_type) }));
    (prog_type, attach_type.flatten())
}

/// Map types of kernels that are newer than the linked libbpf, which creates them all the same.
const NEWER_MAPS: [(i32, &str); 1] = [(35, "rhash")];

/// libbpf's name of a map type such as 1 (`hash`); `None` for one that it does not know.
pub(super) fn of_map(map_type: u32) -> Option<String> {
    // libbpf compares the number as a signed one, so keep it positive.
    let map_type = i32::try_from(map_type).ok()?;
    // SAFETY: takes any integer and returns NULL or a string constant.
    let known = constant(unsafe { libbpf_sys::libbpf_bpf_map_type_str(map_type as libbpf_sys::bpf_map_type) });
    known.or_else(|| Some(NEWER_MAPS.iter().find(|(number, _)| *number == map_type)?.1.to_owned()))
}

/// Copies one of libbpf's string constants.
fn constant(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: callers pass what libbpf's `*_type_str` functions return: NULL (ruled out) or a static C string.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libbpf_names_sections() {
        let names = |section| {
            let (prog_type, attach_type) = of_section(section);
            format!("{} {}", prog_type.unwrap_or("-".into()), attach_type.unwrap_or("-".into()))
        };
        assert_eq!(names("kprobe/vfs_read"), "kprobe -");
        assert_eq!(names("fentry/vfs_read"), "tracing trace_fentry");
        assert_eq!(names("lsm/bpf"), "lsm lsm_mac");
        assert_eq!(names("cgroup_skb/ingress"), "cgroup_skb cgroup_inet_ingress");
        assert_eq!(names("no such section"), "- -");
        assert_eq!(names("xdp\0x"), "- -");
    }

    #[test]
    fn libbpf_names_map_types() {
        assert_eq!(of_map(1).as_deref(), Some("hash"));
        assert_eq!(of_map(27).as_deref(), Some("ringbuf"));
        assert_eq!(of_map(35).as_deref(), Some("rhash"));
        assert_eq!(of_map(5000), None);
        assert_eq!(of_map(u32::MAX), None);
    }
}

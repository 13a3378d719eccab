//! What libbpf and the kernel made of a program: its relocated instructions, and the sizes of what was loaded.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use libbpf_rs::{AsRawLibbpf, OpenProgram};

use corematrix_record::LoadedProgram;

/// The program's instructions after relocation, with its subprograms appended: 8 bytes each.
pub fn instructions<'a>(program: &'a OpenProgram<'_>) -> &'a [u8] {
    let pointer = program.as_libbpf_object().as_ptr();
    // SAFETY: the program is alive; libbpf returns its own array and that array's length.
    unsafe {
        let insns = libbpf_rs::libbpf_sys::bpf_program__insns(pointer);
        let count = libbpf_rs::libbpf_sys::bpf_program__insn_cnt(pointer);
        match insns.is_null() {
            true => &[],
            false => std::slice::from_raw_parts(insns.cast(), count as usize * 8),
        }
    }
}

/// The descriptor of a program; negative if it is not loaded.
pub fn descriptor(program: &OpenProgram<'_>) -> RawFd {
    // SAFETY: the program is alive; a program that is not loaded has a negative descriptor.
    unsafe { libbpf_rs::libbpf_sys::bpf_program__fd(program.as_libbpf_object().as_ptr()) }
}

/// A descriptor of the program with this number, which another process has loaded; `None` if there is none.
pub fn by_id(id: u32) -> Option<OwnedFd> {
    // SAFETY: takes a number; gives a descriptor that is no one else's, or a negative errno.
    let descriptor = unsafe { libbpf_rs::libbpf_sys::bpf_prog_get_fd_by_id(id) };
    // SAFETY: it is open, and owned by no one.
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The kernel's line records of the translated program, 16 bytes each; `None` if it has none.
pub fn lines(descriptor: RawFd) -> Option<Vec<u8>> {
    let size = size_of::<libbpf_rs::libbpf_sys::bpf_line_info>();
    let mut info = libbpf_rs::libbpf_sys::bpf_prog_info::default();
    let mut length = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: `info` is plain data that the call fills, and `length` is its size; a bad descriptor is an error.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_prog_get_info_by_fd(descriptor, &mut info, &mut length) };
    let count = info.nr_line_info;
    if result != 0 || info.line_info_rec_size as usize != size {
        // A kernel that has line info of a program says how large a record is; records of another size are not known here.
        return (result == 0).then(Vec::new);
    }
    let mut lines = vec![0u8; count as usize * size];
    info = libbpf_rs::libbpf_sys::bpf_prog_info {
        nr_line_info: count,
        line_info_rec_size: size as u32,
        line_info: lines.as_mut_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: as above; `line_info` points to room for `nr_line_info` records, which outlives the call.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_prog_get_info_by_fd(descriptor, &mut info, &mut length) };
    lines.truncate(info.nr_line_info as usize * size);
    (result == 0).then_some(lines)
}

/// What the kernel says of a loaded program; `None` if it gives no information or the program has been unloaded again.
pub fn info(descriptor: RawFd) -> Option<LoadedProgram> {
    if descriptor < 0 {
        return None;
    }
    let mut info = libbpf_rs::libbpf_sys::bpf_prog_info::default();
    let mut length = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the descriptor is open, `info` is plain data that the call fills, and `length` is its size.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_prog_get_info_by_fd(descriptor, &mut info, &mut length) };
    (result == 0).then_some(LoadedProgram { xlated_bytes: info.xlated_prog_len, jited_bytes: info.jited_prog_len })
}

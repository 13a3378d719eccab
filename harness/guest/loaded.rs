//! What libbpf and the kernel made of a program: its relocated instructions, and the sizes of what was loaded.

use libbpf_rs::{AsRawLibbpf, OpenProgram};

use crate::protocol::LoadedProgram;

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

/// What the kernel says of a loaded program; `None` if it says nothing or the program has been unloaded again.
pub fn info(program: &OpenProgram<'_>) -> Option<LoadedProgram> {
    // SAFETY: the program is alive; a program that is not loaded has a negative descriptor.
    let descriptor = unsafe { libbpf_rs::libbpf_sys::bpf_program__fd(program.as_libbpf_object().as_ptr()) };
    if descriptor < 0 {
        return None;
    }
    let mut info = libbpf_rs::libbpf_sys::bpf_prog_info::default();
    let mut length = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the descriptor is open, `info` is plain data that the call fills, and `length` is its size.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_prog_get_info_by_fd(descriptor, &mut info, &mut length) };
    (result == 0).then_some(LoadedProgram { xlated_bytes: info.xlated_prog_len, jited_bytes: info.jited_prog_len })
}

//! The program that would load `task_state.bpf.c`. What matters here is its test, `kernels.rs`.

/// The object's source, beside this file.
pub const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/task_state.bpf.c");

//! The `corematrix` executable: the host tool, and PID 1 of the guest.

fn main() {}

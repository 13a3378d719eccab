//! The `corematrix` executable: the host tool, and PID 1 of the guest.

use corematrix::guest;

fn main() {
    if guest::is_guest() {
        guest::main();
    }
}

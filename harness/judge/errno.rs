//! [`words`]: an errno in words.

use std::io;

/// An errno, positive, in words: `Invalid argument (os error 22)`.
pub fn words(errno: i32) -> String {
    match errno {
        // The kernel's own `ENOTSUPP`, which the C library has no words for.
        524 => "operation not supported (errno 524)".to_owned(),
        _ => io::Error::from_raw_os_error(errno).to_string(),
    }
}

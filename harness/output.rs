//! What commands say on standard output and standard error: [`print()`], [`write()`], [`complain`], and [`finish`] at the end.
//!
//! A reader that has gone away, as `head` does, has seen enough: what is left is dropped, and the command goes on to its own end and its
//! own exit code, since its report is still wanted. Any other error of standard output makes it fail at the end.
//!
//! The macros take the place of those of the standard library in the whole crate: those panic.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// The first error of standard output other than a closed pipe.
static TROUBLE: Mutex<Option<io::Error>> = Mutex::new(None);

macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}
macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprint {
    ($($text:tt)*) => { $crate::output::complain(format_args!($($text)*)) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::complain(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes text to standard output.
pub fn print(text: Arguments<'_>) {
    keep(io::stdout().lock().write_fmt(text));
}

/// Writes all of these bytes to standard output.
pub fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    keep(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes text to standard error. If that fails there is nowhere left to say so.
pub fn complain(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Writes what is left to standard output, and returns its error.
///
/// # Errors
/// The first error of any write, unless the reader had gone away.
pub fn finish() -> io::Result<()> {
    keep(io::stdout().lock().flush());
    TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
}

fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

//! [`mapped`]: a file that is not written, mapped into memory.

use std::fs::File;
use std::io;
use std::path::Path;

/// The file's bytes.
pub(super) fn mapped(path: &Path) -> io::Result<memmap2::Mmap> {
    let file = File::open(path)?;
    // SAFETY: the file lies in a directory of the store that this request alone writes to, by a lock or by its name.
    unsafe { memmap2::Mmap::map(&file) }
}

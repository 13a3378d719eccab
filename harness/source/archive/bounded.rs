//! [`Bounded`]: a stream that gives no more than it is allowed to; [`UnpackRoom`]: what archives may unpack to.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::source::archive::compression::UNPACKED_LIMIT;
use crate::source::archive::tarball::damaged;

/// Files that are taken out of one package or image.
const MOST_FILES: u64 = 200_000;
/// Bytes of all that describes one file in an archive.
const MOST_OF_HEADERS: u64 = 1 << 20;

/// A stream that ends with an error where it is longer than its limit.
#[derive(Debug)]
pub(in crate::source) struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    /// At most so many bytes.
    pub fn new(inner: R, limit: u64) -> Bounded<R> {
        Bounded { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            // What ends exactly here is within its limit.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(damaged(format!("it unpacks to more than {} MiB", self.limit >> 20))),
            };
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..room])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// How much readers of archives may read at a time: they read names and headers into memory, regardless of the lengths that these state.
#[derive(Debug, Clone)]
pub(in crate::source) struct HeaderRoom(Rc<Cell<u64>>);

/// A stream of an archive, see [`HeaderRoom`].
#[derive(Debug)]
pub(in crate::source) struct Headers<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl HeaderRoom {
    /// Room for headers in this stream, to begin with.
    pub fn of<R: Read>(inner: R) -> (HeaderRoom, Headers<R>) {
        let left = Rc::new(Cell::new(MOST_OF_HEADERS));
        (HeaderRoom(Rc::clone(&left)), Headers { inner, left })
    }

    /// Headers come next.
    pub fn headers(&self) {
        self.0.set(MOST_OF_HEADERS);
    }

    /// The content of a file comes next.
    pub fn content(&self) {
        self.0.set(u64::MAX);
    }
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(damaged(format!("a file in it has a name of more than {MOST_OF_HEADERS} bytes")));
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..room])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// What one package, or all layers of an image, may still unpack to.
#[derive(Debug)]
pub(in crate::source) struct UnpackRoom {
    bytes: u64,
    files: u64,
}

impl Default for UnpackRoom {
    fn default() -> UnpackRoom {
        UnpackRoom { bytes: UNPACKED_LIMIT, files: MOST_FILES }
    }
}

impl UnpackRoom {
    /// Takes room for a file of this size.
    ///
    /// # Errors
    /// `InvalidData` if there is not as much.
    pub fn take(&mut self, bytes: u64) -> io::Result<()> {
        let left = self.files.checked_sub(1);
        self.files = left.ok_or_else(|| damaged(format!("it unpacks to more than {MOST_FILES} files")))?;
        self.take_bytes(bytes)
    }

    /// Takes room for more of a file.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_bytes(&mut self, bytes: u64) -> io::Result<()> {
        let left = self.bytes.checked_sub(bytes);
        let limit = UNPACKED_LIMIT >> 20;
        self.bytes = left.ok_or_else(|| damaged(format!("it unpacks to more than {limit} MiB")))?;
        Ok(())
    }

    #[cfg(test)]
    pub fn of(bytes: u64, files: u64) -> UnpackRoom {
        UnpackRoom { bytes, files }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stream_may_end_at_its_limit_and_not_go_on() {
        let read = |length: usize| {
            let mut all = Vec::new();
            Bounded::new(io::repeat(7).take(length as u64), 1 << 20).read_to_end(&mut all).map(|_| all.len())
        };
        assert_eq!(read(1 << 20).unwrap(), 1 << 20);
        assert_eq!(read((1 << 20) + 1).unwrap_err().to_string(), "it unpacks to more than 1 MiB");
    }

    #[test]
    fn room_is_for_all_files_together() {
        let mut room = UnpackRoom::of(10, 100);
        room.take(6).unwrap();
        room.take(4).unwrap();
        assert!(room.take(1).unwrap_err().to_string().contains("more than"));
        let mut room = UnpackRoom::of(10, 2);
        room.take(0).unwrap();
        room.take(0).unwrap();
        assert!(room.take(0).unwrap_err().to_string().contains("files"));
    }
}

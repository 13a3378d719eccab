//! [`Volume`]: a stretch of a file that holds a file system; [`Block`]: bytes of it, read as numbers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::source::archive::tarball::damaged;

/// No reader needs more at once.
const MOST_AT_ONCE: u64 = 16 << 20;

/// A partition, a whole disk, or a file system that lay packed in a file.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    file: Rc<File>,
    start: u64,
    length: u64,
}

impl Volume {
    /// The stretch of `file`; what the file lacks of it cannot be read.
    pub fn new(file: Rc<File>, start: u64, length: u64) -> Volume {
        Volume { file, start, length }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads bytes at an offset.
    ///
    /// # Errors
    /// `InvalidData` if they are not all there.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let cut_short = || damaged("it points past its end");
        let end = at.checked_add(buffer.len() as u64).filter(|end| *end <= self.length).ok_or_else(cut_short)?;
        let start = self.start.checked_add(at).ok_or_else(cut_short)?;
        self.start.checked_add(end).ok_or_else(cut_short)?;
        self.file.read_exact_at(buffer, start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_short(),
            _ => error,
        })
    }

    /// Bytes at an offset, in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read), and for more than a reader needs.
    pub fn block(&self, at: u64, length: u64) -> io::Result<Block> {
        // Room is made only for what is there.
        if length > MOST_AT_ONCE || at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(damaged("it points past its end"));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(damaged)?];
        self.read(at, &mut bytes)?;
        Ok(Block(bytes))
    }

    /// Whether these bytes stand at an offset.
    pub fn has(&self, at: u64, expected: &[u8]) -> bool {
        let mut found = vec![0; expected.len()];
        self.read(at, &mut found).is_ok() && found == expected
    }
}

/// Bytes of a file system. What reaches behind their end is damage, never a panic.
#[derive(Debug, Clone)]
pub(super) struct Block(pub Vec<u8>);

impl Block {
    /// So many bytes at an offset.
    pub fn bytes(&self, at: usize, length: usize) -> io::Result<&[u8]> {
        let end = at.checked_add(length);
        end.and_then(|end| self.0.get(at..end)).ok_or_else(|| damaged("a record is truncated"))
    }

    fn array<const N: usize>(&self, at: usize) -> io::Result<[u8; N]> {
        self.bytes(at, N)?.first_chunk().copied().ok_or_else(|| damaged("a record is truncated"))
    }

    pub fn u8(&self, at: usize) -> io::Result<u8> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    pub fn le16(&self, at: usize) -> io::Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub fn le32(&self, at: usize) -> io::Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub fn le64(&self, at: usize) -> io::Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub fn be16(&self, at: usize) -> io::Result<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub fn be32(&self, at: usize) -> io::Result<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub fn be64(&self, at: usize) -> io::Result<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// A name of a file. One that is no text, or leads elsewhere, belongs to no kernel.
    pub fn name(&self, at: usize, length: usize) -> io::Result<Option<String>> {
        Ok(file_name(self.bytes(at, length)?))
    }
}

/// The name if it is one of a file in a directory.
pub(super) fn file_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let is_plain = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    is_plain.then(|| name.to_owned())
}

//! The FUSE protocol, as far as a file system needs it that is only read: [`FuseRequest`] and replies. See `linux/fuse.h`.

use crate::bytes::{u32_at, u64_at};
use std::os::unix::fs::MetadataExt;

/// Bytes before a request's own.
const HEADER: usize = 40;
/// The version that is spoken; kernels since 5.4 know it.
const VERSION: (u32, u32) = (7, 31);
/// Reads are done at once, without opening; a changed file's cache is dropped; requests for directories and links may be cached.
const WANTED: u32 = ASYNC_READ | AUTO_INVALIDATE | NO_OPEN | PARALLEL_FOLDERS | CACHE_LINKS | NO_OPEN_FOLDER;
const ASYNC_READ: u32 = 1;
const AUTO_INVALIDATE: u32 = 1 << 12;
const NO_OPEN: u32 = 1 << 17;
const PARALLEL_FOLDERS: u32 = 1 << 18;
const CACHE_LINKS: u32 = 1 << 23;
const NO_OPEN_FOLDER: u32 = 1 << 24;
/// No one writes; the kernel insists on no less.
const MAX_WRITE: u32 = 4096;
/// Seconds for which the guest's kernel caches an answer about a name or a file: the view is live.
const BELIEVED: u64 = 2;

/// A number that the guest's kernel knows a file by.
pub type NodeId = u64;
/// The number of the root.
pub const ROOT: NodeId = 1;

/// What the guest's kernel asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// The first request.
    Init { readahead: u32, flags: u32 },
    /// The file of this name in a directory.
    Lookup { name: &'a [u8] },
    /// What a file is.
    Attributes,
    /// Where a symbolic link leads.
    ReadLink,
    /// Bytes of a file.
    Read { offset: u64, size: u32 },
    /// Names in a directory, from the given number on.
    ReadFolder { offset: u64, size: u32 },
    /// How full the file system is.
    FileSystem,
    /// The kernel has forgotten files, with how often each was looked up.
    Forget(Vec<(NodeId, u64)>),
    /// Something that needs no answer.
    Silent,
    /// Something that changes a file.
    Change,
    /// Something else, which the kernel does not need.
    Unknown,
}

/// A request.
#[derive(Debug)]
pub struct FuseRequest<'a> {
    /// Goes back with the reply.
    pub unique: u64,
    /// The file it is about.
    pub node: NodeId,
    /// The request.
    pub call: Call<'a>,
}

impl<'a> FuseRequest<'a> {
    /// Reads a request; `None` if it is not whole.
    pub fn parse(bytes: &'a [u8]) -> Option<FuseRequest<'a>> {
        let body = bytes.get(HEADER..)?;
        let (opcode, unique, node) = (u32_at(bytes, 4)?, u64_at(bytes, 8)?, u64_at(bytes, 16)?);
        let reading = || Some((u64_at(body, 8)?, u32_at(body, 16)?));
        let call = match opcode {
            1 => Call::Lookup { name: body.split(|byte| *byte == 0).next()? },
            2 => Call::Forget(vec![(node, u64_at(body, 0)?)]),
            42 => {
                let count = usize::try_from(u32_at(body, 0)?).ok()?;
                let pairs = body.get(8..)?.chunks_exact(16).take(count);
                Call::Forget(pairs.map(|pair| Some((u64_at(pair, 0)?, u64_at(pair, 8)?))).collect::<Option<_>>()?)
            }
            3 => Call::Attributes,
            5 => Call::ReadLink,
            15 => reading().map(|(offset, size)| Call::Read { offset, size })?,
            17 => Call::FileSystem,
            26 => Call::Init { readahead: u32_at(body, 8)?, flags: u32_at(body, 12)? },
            28 => reading().map(|(offset, size)| Call::ReadFolder { offset, size })?,
            // An interrupt, and the end.
            36 | 38 => Call::Silent,
            4 | 6 | 8..=13 | 16 | 21 | 24 | 35 | 43 | 45 | 47 | 51 => Call::Change,
            _ => Call::Unknown,
        };
        Some(FuseRequest { unique, node, call })
    }

    /// A reply that says what went wrong, as a positive errno.
    pub fn failure(&self, errno: i32) -> Vec<u8> {
        self.reply(-errno, &[])
    }

    /// A reply with what was asked for.
    pub fn success(&self, body: &[u8]) -> Vec<u8> {
        self.reply(0, body)
    }

    fn reply(&self, error: i32, body: &[u8]) -> Vec<u8> {
        let length = 16 + body.len();
        let mut reply = Vec::with_capacity(length);
        reply.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        reply.extend(error.to_le_bytes());
        reply.extend(self.unique.to_le_bytes());
        reply.extend(body);
        reply
    }
}

/// Answers [`Call::Init`].
pub fn init(readahead: u32, flags: u32) -> Vec<u8> {
    let mut body = words(&[VERSION.0, VERSION.1, readahead, flags & WANTED]);
    // Two halves: how many requests may wait, and when the kernel slows down.
    body.extend(words(&[16 | 12 << 16, MAX_WRITE, 1]));
    body.resize(64, 0);
    body
}

/// Answers [`Call::Lookup`] with a file.
pub fn entry(node: NodeId, found: &std::fs::Metadata) -> Vec<u8> {
    let mut body = longs(&[node, 0, BELIEVED, BELIEVED]);
    body.extend(words(&[0, 0]));
    body.extend(attributes(found));
    body
}

/// Answers [`Call::Lookup`] where there is no such file; the kernel remembers it.
pub fn no_entry() -> Vec<u8> {
    let mut body = longs(&[0, 0, BELIEVED, 0]);
    body.resize(128, 0);
    body
}

/// Answers [`Call::Attributes`].
pub fn attributes_reply(found: &std::fs::Metadata) -> Vec<u8> {
    let mut body = longs(&[BELIEVED, 0]);
    body.extend(attributes(found));
    body
}

/// Answers [`Call::FileSystem`]: nothing is free.
pub fn file_system() -> Vec<u8> {
    let mut body = longs(&[0; 5]);
    body.extend(words(&[4096, 255, 4096, 0]));
    body.resize(80, 0);
    body
}

/// Adds a name to the answer of [`Call::ReadFolder`] if it fits; `next` is the number of the name after it.
pub fn add_name(body: &mut Vec<u8>, size: usize, next: u64, inode: u64, mode: u32, name: &[u8]) -> bool {
    let padded = (24 + name.len()).next_multiple_of(8);
    if body.len() + padded > size {
        return false;
    }
    let end = body.len() + padded;
    body.extend(longs(&[inode, next]));
    body.extend(words(&[u32::try_from(name.len()).unwrap_or(0), mode >> 12 & 0o17]));
    body.extend(name);
    body.resize(end, 0);
    true
}

/// The number of a file that programs see: two file systems of the host may have the same ones.
pub fn inode(number: u64, device: u64) -> u64 {
    number ^ device.rotate_right(16)
}

fn attributes(found: &std::fs::Metadata) -> Vec<u8> {
    let time = |seconds: i64| seconds.cast_unsigned();
    let nanoseconds = |part: i64| u32::try_from(part).unwrap_or(0);
    let mut body = longs(&[
        inode(found.ino(), found.dev()),
        found.size(),
        found.blocks(),
        time(found.atime()),
        time(found.mtime()),
        time(found.ctime()),
    ]);
    let parts = [found.atime_nsec(), found.mtime_nsec(), found.ctime_nsec()].map(nanoseconds);
    let links = u32::try_from(found.nlink()).unwrap_or(u32::MAX);
    body.extend(words(&parts));
    // Devices are not available through the view.
    body.extend(words(&[found.mode(), links, found.uid(), found.gid(), 0, 4096, 0]));
    body
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

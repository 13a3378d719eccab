//! [`Erofs`]: EROFS, plain, in chunks, or compressed.
//!
//! The format is described in the kernel's `fs/erofs/erofs_fs.h` and in its documentation, "EROFS".

mod clusters;

use std::io::{self, Write};

use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Inodes, Kind, Limited, MOST_ENTRIES};
use crate::source::disk::volume::{Block, Volume};

const SUPERBLOCK: u64 = 1024;
/// Compression in all its forms, chunks, tails in the metadata, fragments, prefixes of attributes. Addresses of 48 bits and compressed
/// metadata are left out.
const KNOWN_INCOMPAT: u32 = 0x7f;
const ZERO_PADDING: u32 = 1;
/// How an inode keeps its data.
const PLAIN: u16 = 0;
const COMPRESSED: u16 = 1;
const PLAIN_WITH_TAIL: u16 = 2;
const COMPRESSED_COMPACT: u16 = 3;
const CHUNKS: u16 = 4;
/// In the form of a file in chunks: each has a description of eight bytes.
const CHUNK_INDEXES: u32 = 1 << 5;
const HOLE: u32 = u32::MAX;
/// The entries of a directory with its names.
const MOST_OF_FOLDER: u64 = 64 << 20;
const ENTRY: usize = 12;

pub(super) struct Erofs {
    volume: Volume,
    block_bits: u32,
    metadata: u64,
    top: u64,
    /// The inode that holds the fragments of others.
    packed: u64,
    is_padded: bool,
}

/// An inode, and where what follows it begins.
struct Inode {
    kind: Kind,
    layout: u16,
    size: u64,
    /// A block, or the form of chunks.
    detail: u32,
    end: u64,
}

impl Erofs {
    pub fn open(volume: &Volume) -> io::Result<Option<Erofs>> {
        if !volume.has(SUPERBLOCK, &0xe0f5_e1e2_u32.to_le_bytes()) {
            return Ok(None);
        }
        let head = volume.block(SUPERBLOCK, 128)?;
        let (block_bits, incompat) = (u32::from(head.u8(12)?), head.le32(80)?);
        if !(9..=16).contains(&block_bits) || head.u8(90)? != 0 {
            return Err(damaged("its superblock is invalid"));
        }
        if incompat & !KNOWN_INCOMPAT != 0 {
            return Err(damaged(format!("it uses unsupported features (0x{:x})", incompat & !KNOWN_INCOMPAT)));
        }
        Ok(Some(Erofs {
            volume: volume.clone(),
            block_bits,
            metadata: u64::from(head.le32(40)?) << block_bits,
            top: head.le16(14)?.into(),
            packed: head.le64(96)?,
            is_padded: incompat & ZERO_PADDING != 0,
        }))
    }

    fn block(&self) -> u64 {
        1 << self.block_bits
    }

    /// Where a block lies.
    fn place(&self, block: u32) -> u64 {
        u64::from(block) << self.block_bits
    }

    fn inode(&self, number: u64) -> io::Result<Inode> {
        let behind = || damaged("it points past its end");
        let start = number.checked_mul(32).and_then(|at| self.metadata.checked_add(at)).ok_or_else(behind)?;
        let form = self.volume.block(start, 2)?.le16(0)?;
        let is_long = form & 1 != 0;
        let length = if is_long { 64 } else { 32 };
        let bytes = self.volume.block(start, length)?;
        let attributes = match bytes.le16(2)? {
            0 => 0,
            count => 12 + 4 * (u64::from(count) - 1),
        };
        Ok(Inode {
            kind: Kind::of_mode(bytes.le16(4)?),
            layout: form >> 1 & 7,
            size: if is_long { bytes.le64(8)? } else { bytes.le32(8)?.into() },
            detail: bytes.le32(16)?,
            end: start + length + attributes,
        })
    }

    /// Writes `length` bytes of an inode from an offset on.
    fn data(&self, inode: &Inode, from: u64, length: u64, out: &mut Limited<'_>) -> io::Result<()> {
        let end = from.saturating_add(length).min(inode.size);
        match inode.layout {
            PLAIN | PLAIN_WITH_TAIL => {
                let tail = match inode.layout {
                    PLAIN => inode.size,
                    _ => inode.size & !(self.block() - 1),
                };
                let start = self.place(inode.detail);
                self.plain(start.saturating_add(from), end.min(tail).saturating_sub(from), out)?;
                if end > tail {
                    let from = from.max(tail);
                    self.plain(inode.end.saturating_add(from - tail), end - from, out)?;
                }
                Ok(())
            }
            CHUNKS => self.chunks(inode, from, end, out),
            COMPRESSED | COMPRESSED_COMPACT => clusters::data(self, inode, (from, end), out),
            _ => Err(damaged("an inode has an unknown format")),
        }
    }

    fn plain(&self, mut from: u64, length: u64, out: &mut Limited<'_>) -> io::Result<()> {
        let mut left = length.min(out.left());
        while left > 0 {
            let now = left.min(1 << 16);
            out.put(&self.volume.block(from, now)?.0)?;
            (from, left) = (from.saturating_add(now), left - now);
        }
        Ok(())
    }

    fn chunks(&self, inode: &Inode, mut from: u64, end: u64, out: &mut Limited<'_>) -> io::Result<()> {
        let bits = self.block_bits + (inode.detail & 0x1f);
        let width = if inode.detail & CHUNK_INDEXES != 0 { 8 } else { 4 };
        let indexes = inode.end.next_multiple_of(width);
        while from < end && out.left() > 0 {
            let (number, within) = (from >> bits, from & ((1 << bits) - 1));
            let now = ((1 << bits) - within).min(end - from);
            let index = self.volume.block(indexes.saturating_add(number.saturating_mul(width)), width)?;
            let (device, block) = match width {
                8 => (index.le16(2)?, index.le32(4)?),
                _ => (0, index.le32(0)?),
            };
            match (device, block) {
                (_, HOLE) => out.zeros(now)?,
                (0, block) => self.plain(self.place(block).saturating_add(within), now, out)?,
                _ => return Err(damaged("a file is on another device")),
            }
            from += now;
        }
        Ok(())
    }
}

impl Inodes for Erofs {
    type Node = u64;

    fn top(&self) -> u64 {
        self.top
    }

    fn kind(&self, node: &u64) -> io::Result<Kind> {
        self.inode(*node).map(|inode| inode.kind)
    }

    fn entries(&self, folder: &u64) -> io::Result<Vec<(String, u64)>> {
        let inode = self.inode(*folder)?;
        if inode.kind != Kind::Folder || inode.size > MOST_OF_FOLDER {
            return Err(damaged("a directory is corrupt"));
        }
        let mut found = Vec::new();
        let mut at = 0;
        while at < inode.size {
            let length = self.block().min(inode.size - at);
            let mut bytes = Vec::new();
            self.data(&inode, at, length, &mut Limited::new(&mut bytes, length))?;
            names(&Block(bytes), &mut found)?;
            if found.len() > MOST_ENTRIES {
                return Err(damaged(format!("a directory has more than {MOST_ENTRIES} entries")));
            }
            at += length;
        }
        Ok(found)
    }

    fn content(&self, node: &u64, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let inode = self.inode(*node)?;
        let length = limit.min(inode.size);
        self.data(&inode, 0, length, &mut Limited::new(out, length))
    }
}

/// Entries of one block of a directory: they come first, and each name ends where the next one begins.
fn names(block: &Block, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    let first = usize::from(block.le16(8)?);
    if first < ENTRY || first % ENTRY != 0 {
        return Err(damaged("a directory is corrupt"));
    }
    let count = first / ENTRY;
    for at in 0..count {
        let start = usize::from(block.le16(ENTRY * at + 8)?);
        let name = match at + 1 < count {
            true => block.bytes(start, usize::from(block.le16(ENTRY * (at + 1) + 8)?).saturating_sub(start))?,
            // Zeros may follow the last one.
            false => {
                let rest = block.bytes(start, block.0.len().saturating_sub(start))?;
                rest.split(|byte| *byte == 0).next().unwrap_or_default()
            }
        };
        if let Some(name) = crate::source::disk::volume::file_name(name) {
            found.push((name, block.le64(ENTRY * at)?));
        }
    }
    Ok(())
}

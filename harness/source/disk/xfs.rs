//! [`Xfs`]: XFS of the versions 4 and 5. Its log is not replayed: an image that was unmounted has nothing in it.
//!
//! The format is described in `xfs_format.h` of the kernel and in "XFS Algorithms & Data Structures".

mod extents;
mod folder;

use std::io::{self, Write};

use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Inodes, Kind, LINK_LIMIT, Limited};
use crate::source::disk::volume::{Block, Volume};

/// Incompatible features, of which none changes how files are read but those that are handled here: ftype, sparse inodes, another UUID,
/// big times, "needs repair", large extent counters, exchanged ranges, parent pointers, and the metadata directory.
const KNOWN_INCOMPAT: u32 = 0x1ff;
const INCOMPAT_FTYPE: u32 = 1;
/// Version 4 has the kind of files in directories by this bit of `sb_features2`.
const FEATURES2_FTYPE: u32 = 0x200;
/// Set in an inode whose count of extents has 64 bits.
const LARGE_COUNTERS: u64 = 1 << 4;
/// Set in an inode whose data is on another device.
const REAL_TIME: u16 = 1;
/// The header of each block of a long target of a link, in version 5.
const LINK_HEADER: usize = 56;

pub(super) struct Xfs {
    volume: Volume,
    /// Bytes in a block, and in one of a directory.
    block: u64,
    folder_block: u64,
    /// Blocks in an allocation group, and their number as bits of an address.
    group_blocks: u64,
    group_bits: u32,
    groups: u64,
    inode_size: u64,
    inodes_per_block_bits: u32,
    top: u64,
    version: u8,
    has_kinds: bool,
}

/// An inode, as far as reading needs it.
struct Inode {
    kind: Kind,
    size: u64,
    form: u8,
    extents: u64,
    /// What the inode has room for besides attributes.
    fork: Block,
}

impl Xfs {
    pub fn open(volume: &Volume) -> io::Result<Option<Xfs>> {
        if !volume.has(0, b"XFSB") {
            return Ok(None);
        }
        let head = volume.block(0, 512)?;
        let version = (head.be16(100)? & 0xf) as u8;
        let (block_bits, inode_bits) = (u32::from(head.u8(120)?), u32::from(head.u8(122)?));
        let (inodes_bits, group_bits) = (u32::from(head.u8(123)?), u32::from(head.u8(124)?));
        let folder_bits = block_bits + u32::from(head.u8(192)?);
        let is_sound = matches!(version, 4 | 5)
            && (9..=16).contains(&block_bits)
            && (8..=11).contains(&inode_bits)
            && inodes_bits == block_bits.saturating_sub(inode_bits)
            && folder_bits <= 16
            && group_bits <= 32;
        if !is_sound {
            return Err(damaged("its superblock is invalid"));
        }
        let incompat = if version == 5 { head.be32(216)? } else { 0 };
        if incompat & !KNOWN_INCOMPAT != 0 {
            return Err(damaged(format!("it uses unsupported features (0x{:x})", incompat & !KNOWN_INCOMPAT)));
        }
        let has_kinds = match version {
            5 => incompat & INCOMPAT_FTYPE != 0,
            _ => head.be32(200)? & FEATURES2_FTYPE != 0,
        };
        Ok(Some(Xfs {
            volume: volume.clone(),
            block: 1 << block_bits,
            folder_block: 1 << folder_bits,
            group_blocks: head.be32(84)?.into(),
            group_bits,
            groups: head.be32(88)?.into(),
            inode_size: 1 << inode_bits,
            inodes_per_block_bits: inodes_bits,
            top: head.be64(56)?,
            version,
            has_kinds,
        }))
    }

    /// Where a block lies, by its address within an allocation group.
    fn place(&self, address: u64) -> io::Result<u64> {
        let (group, within) = (address >> self.group_bits, address & ((1 << self.group_bits) - 1));
        if group >= self.groups || within >= self.group_blocks {
            return Err(damaged("it points past its end"));
        }
        (group * self.group_blocks + within).checked_mul(self.block).ok_or_else(|| damaged("it points past its end"))
    }

    fn inode(&self, number: u64) -> io::Result<Inode> {
        let block = self.place(number >> self.inodes_per_block_bits)?;
        let within = (number & ((1 << self.inodes_per_block_bits) - 1)) * self.inode_size;
        let bytes = self.volume.block(block + within, self.inode_size)?;
        if bytes.bytes(0, 2)? != b"IN" {
            return Err(damaged(format!("it has no inode {number}")));
        }
        if bytes.be16(90)? & REAL_TIME != 0 {
            return Err(damaged("a file is on a realtime device"));
        }
        let version = bytes.u8(4)?;
        let start = if version >= 3 { 176 } else { 100 };
        let extents = match version >= 3 && bytes.be64(120)? & LARGE_COUNTERS != 0 {
            true => bytes.be64(24)?,
            false => bytes.be32(76)?.into(),
        };
        let room = bytes.0.len() - start;
        let fork = match usize::from(bytes.u8(82)?) * 8 {
            0 => room,
            offset => offset.min(room),
        };
        Ok(Inode {
            kind: Kind::of_mode(bytes.be16(2)?),
            size: bytes.be64(56)?,
            form: bytes.u8(5)?,
            extents,
            fork: Block(bytes.bytes(start, fork)?.to_vec()),
        })
    }
}

impl Inodes for Xfs {
    type Node = u64;

    fn top(&self) -> u64 {
        self.top
    }

    fn kind(&self, node: &u64) -> io::Result<Kind> {
        self.inode(*node).map(|inode| inode.kind)
    }

    fn entries(&self, folder: &u64) -> io::Result<Vec<(String, u64)>> {
        folder::entries(self, &self.inode(*folder)?)
    }

    fn content(&self, node: &u64, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let inode = self.inode(*node)?;
        let mut out = Limited::new(out, limit.min(inode.size));
        if inode.form == extents::LOCAL {
            let length = usize::try_from(inode.size).unwrap_or(usize::MAX).min(inode.fork.0.len());
            return out.put(&inode.fork.0[..length]);
        }
        let has_headers = inode.kind == Kind::Link && self.version == 5;
        if has_headers && inode.size > LINK_LIMIT {
            return Err(damaged("a symbolic link is too long"));
        }
        let (mut at, mut buffer) = (0, vec![0; 1 << 16]);
        for extent in extents::of(self, &inode)? {
            let start = extent.offset.saturating_mul(self.block);
            // Extents come in order.
            out.zeros(start.saturating_sub(at))?;
            at = start.saturating_add(extent.count.saturating_mul(self.block));
            if extent.is_unwritten {
                out.zeros(extent.count.saturating_mul(self.block))?;
                continue;
            }
            let (mut place, mut left) = (self.place(extent.address)?, extent.count.saturating_mul(self.block));
            while left > 0 && out.left() > 0 {
                let chunk = match has_headers {
                    true => self.block,
                    false => left.min(buffer.len() as u64),
                };
                let chunk = usize::try_from(chunk).map_err(damaged)?;
                // The end of the last block need not be there.
                let needed = if has_headers { chunk } else { chunk.min(usize::try_from(out.left()).unwrap_or(chunk)) };
                self.volume.read(place, &mut buffer[..needed])?;
                out.put(&buffer[if has_headers { LINK_HEADER } else { 0 }..needed])?;
                place += chunk as u64;
                left = left.saturating_sub(chunk as u64);
            }
        }
        let left = out.left();
        out.zeros(left)
    }
}

//! [`entries`]: what a directory of XFS holds, in whichever of its forms.

use std::io;

use super::{Inode, Xfs, extents};
use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Kind, MOST_ENTRIES};
use crate::source::disk::volume::Block;

/// The most that the entries of a directory may take; its indexes lie far behind.
const MOST_BYTES: u64 = 64 << 20;
/// Marks what was an entry.
const FREE: u16 = 0xffff;

pub(super) fn entries(xfs: &Xfs, inode: &Inode) -> io::Result<Vec<(String, u64)>> {
    if inode.kind != Kind::Folder {
        return Err(damaged("a directory entry is invalid"));
    }
    let mut found = Vec::new();
    if inode.form == extents::LOCAL {
        short(xfs, &inode.fork, &mut found)?;
        return Ok(found);
    }
    if inode.size > MOST_BYTES {
        return Err(damaged(format!("a directory has {} bytes", inode.size)));
    }
    let step = xfs.folder_block / xfs.block;
    for extent in extents::of(xfs, inode)? {
        // A block of a directory may have several blocks of the file system, and these lie side by side.
        let mut within = 0;
        while within + step <= extent.count && (extent.offset + within).saturating_mul(xfs.block) < inode.size {
            let block = xfs.volume.block(xfs.place(extent.address + within)?, xfs.folder_block)?;
            of_block(xfs, &block, &mut found)?;
            if found.len() > MOST_ENTRIES {
                return Err(damaged(format!("a directory has more than {MOST_ENTRIES} entries")));
            }
            within += step;
        }
    }
    Ok(found)
}

/// Entries that lie in the inode.
fn short(xfs: &Xfs, fork: &Block, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    let (count, large) = (fork.u8(0)?, fork.u8(1)? != 0);
    let width = if large { 8 } else { 4 };
    let mut at = 2 + width;
    for _ in 0..count {
        let length = usize::from(fork.u8(at)?);
        let number = at + 3 + length + usize::from(xfs.has_kinds);
        let node = if large { fork.be64(number)? } else { fork.be32(number)?.into() };
        if let Some(name) = fork.name(at + 3, length)? {
            found.push((name, node));
        }
        at = number + width;
    }
    Ok(())
}

/// Entries of one block of a directory.
fn of_block(xfs: &Xfs, block: &Block, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    let (start, end) = match block.bytes(0, 4)? {
        b"XD2D" => (16, block.0.len()),
        b"XDD3" => (64, block.0.len()),
        // The only block of a directory ends with its index.
        magic @ (b"XD2B" | b"XDB3") => {
            let tail = block.0.len().saturating_sub(8);
            let index = usize::try_from(block.be32(tail)?).map_err(damaged)?.saturating_mul(8);
            (if magic == b"XD2B" { 16 } else { 64 }, tail.saturating_sub(index))
        }
        _ => return Err(damaged("a directory block is corrupt")),
    };
    let mut at = start;
    while at + 8 <= end {
        if block.be16(at)? == FREE {
            match block.be16(at + 2)? {
                0 => return Err(damaged("a directory block is corrupt")),
                length => at += usize::from(length),
            }
            continue;
        }
        let length = usize::from(block.u8(at + 8)?);
        if let Some(name) = block.name(at + 9, length)? {
            found.push((name, block.be64(at)?));
        }
        at += (9 + length + usize::from(xfs.has_kinds) + 2).next_multiple_of(8);
    }
    Ok(())
}

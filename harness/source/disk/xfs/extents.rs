//! [`of`]: which blocks an inode of XFS has, from the inode itself or from its B+tree.

use std::io;

use super::{Inode, Xfs};
use crate::source::archive::tarball::damaged;
use crate::source::disk::volume::Block;

/// How an inode keeps its data: in itself, as a list of extents, as a tree of them.
pub(super) const LOCAL: u8 = 1;
const LIST: u8 = 2;
const TREE: u8 = 3;
/// Of one file.
const MOST_EXTENTS: usize = 1 << 20;
/// Blocks of the tree of one file.
const MOST_BLOCKS: usize = 1 << 13;

/// Blocks that lie side by side, in a file and on the disk.
pub(super) struct Extent {
    /// In blocks, from the beginning of the file.
    pub offset: u64,
    pub address: u64,
    pub count: u64,
    /// It has room, but no data yet.
    pub is_unwritten: bool,
}

/// The extents of an inode in the order of the file.
pub(super) fn of(xfs: &Xfs, inode: &Inode) -> io::Result<Vec<Extent>> {
    let mut extents = Vec::new();
    match inode.form {
        LOCAL => return Ok(extents),
        LIST => {
            let count = usize::try_from(inode.extents).unwrap_or(usize::MAX);
            records(&inode.fork, 0, count, &mut extents)?;
        }
        TREE => from_tree(xfs, &inode.fork, &mut extents)?,
        _ => return Err(damaged("an inode has an unknown format")),
    }
    // What overlaps would make a file of a few blocks endless.
    let is_ordered = extents.windows(2).all(|pair| pair[1].offset >= pair[0].offset.saturating_add(pair[0].count));
    if !is_ordered {
        return Err(damaged("extents of a file overlap"));
    }
    Ok(extents)
}

fn from_tree(xfs: &Xfs, root: &Block, extents: &mut Vec<Extent>) -> io::Result<()> {
    let header = if xfs.version == 5 { 72 } else { 24 };
    let magic: &[u8] = if xfs.version == 5 { b"BMA3" } else { b"BMAP" };
    let block = usize::try_from(xfs.block).map_err(damaged)?;
    let pointers = |from: &Block, header: usize, count: u16, length: usize| -> io::Result<Vec<u64>> {
        // Keys first, as many as there is room for, then the addresses.
        let first = header + length.saturating_sub(header) / 16 * 8;
        (0..usize::from(count)).rev().map(|at| from.be64(first + 8 * at)).collect()
    };
    let level = root.be16(0)?;
    // What is to be read, the next one last.
    let mut todo: Vec<(u16, u64)> = Vec::new();
    for address in pointers(root, 4, root.be16(2)?, root.0.len())? {
        todo.push((level.checked_sub(1).ok_or_else(|| damaged("an extent tree has no levels"))?, address));
    }
    let mut read = 0;
    while let Some((level, address)) = todo.pop() {
        read += 1;
        if read > MOST_BLOCKS {
            return Err(damaged("an extent tree is too large"));
        }
        let bytes = xfs.volume.block(xfs.place(address)?, xfs.block)?;
        if bytes.bytes(0, 4)? != magic || bytes.be16(4)? != level {
            return Err(damaged("an extent tree is corrupt"));
        }
        let count = bytes.be16(6)?;
        match level {
            0 => records(&bytes, header, count.into(), extents)?,
            _ => {
                let below = pointers(&bytes, header, count, block)?;
                todo.extend(below.into_iter().map(|address| (level - 1, address)));
            }
        }
    }
    Ok(())
}

fn records(from: &Block, start: usize, count: usize, extents: &mut Vec<Extent>) -> io::Result<()> {
    if count > MOST_EXTENTS - extents.len() {
        return Err(damaged(format!("a file has more than {MOST_EXTENTS} extents")));
    }
    for at in 0..count {
        let (high, low) = (from.be64(start + 16 * at)?, from.be64(start + 16 * at + 8)?);
        extents.push(Extent {
            offset: (high & !(1 << 63)) >> 9,
            address: (high & 0x1ff) << 43 | low >> 21,
            count: low & 0x1f_ffff,
            is_unwritten: high >> 63 != 0,
        });
    }
    Ok(())
}

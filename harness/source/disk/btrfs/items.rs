//! [`Items`]: the items of btrfs' trees, and where logical addresses lie on the device.

use std::collections::BTreeMap;
use std::io;

use crate::source::archive::tarball::damaged;
use crate::source::disk::volume::{Block, Volume};

const CHUNK: u8 = 228;
/// The tree of chunks has all of them as one object.
const CHUNKS: u64 = 256;
/// One copy of what more than one stripe holds is as good as another; striped data is on several devices.
const COPIES: u64 = 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10;
/// The header of a node, an item in a leaf, a pointer in another node.
const HEADER: usize = 101;
const ITEM: usize = 25;
const POINTER: usize = 33;
/// Trees are never higher.
const MOST_LEVELS: u8 = 8;
/// Nodes that one look-up reads; a file of a gigabyte in compressed pieces takes some fifty, a directory of 200,000 files a thousand.
const MOST_NODES: usize = 1 << 13;

/// What items are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub object: u64,
    pub kind: u8,
    pub offset: u64,
}

impl Key {
    pub fn read(from: &Block, at: usize) -> io::Result<Key> {
        Ok(Key { object: from.le64(at)?, kind: from.u8(at + 8)?, offset: from.le64(at + 9)? })
    }

    /// The last one that an object may have of a kind.
    pub fn last(object: u64, kind: u8) -> Key {
        Key { object, kind, offset: u64::MAX }
    }
}

/// A stretch of logical addresses.
struct Chunk {
    length: u64,
    /// Where it begins on the device.
    start: u64,
}

pub(super) struct Items {
    volume: Volume,
    node_size: u64,
    /// By the first logical address.
    chunks: BTreeMap<u64, Chunk>,
}

impl Items {
    pub fn open(volume: &Volume, head: &Block) -> io::Result<Items> {
        let node_size = u64::from(head.le32(148)?);
        if !(4096..=65536).contains(&node_size) || !node_size.is_power_of_two() {
            return Err(damaged("its superblock is invalid"));
        }
        let mut items = Items { volume: volume.clone(), node_size, chunks: BTreeMap::new() };
        // The superblock has the chunks in which the tree of chunks lies.
        let system = Block(head.bytes(811, usize::try_from(head.le32(160)?).map_err(damaged)?.min(2048))?.to_vec());
        let mut at = 0;
        while at < system.0.len() {
            let key = Key::read(&system, at)?;
            let stripes = usize::from(system.le16(at + 17 + 44)?);
            let chunk = Block(system.bytes(at + 17, 48 + 32 * stripes)?.to_vec());
            items.add(key.offset, &chunk)?;
            at += 17 + chunk.0.len();
        }
        let mut found = Vec::new();
        let all = (Key { object: CHUNKS, kind: CHUNK, offset: 0 }, Key::last(CHUNKS, CHUNK));
        items.visit(head.le64(88)?, all, &mut |key, item| {
            found.push((key.offset, item.clone()));
            Ok(())
        })?;
        for (logical, chunk) in found {
            items.add(logical, &chunk)?;
        }
        Ok(items)
    }

    fn add(&mut self, logical: u64, chunk: &Block) -> io::Result<()> {
        let (length, kind, stripes) = (chunk.le64(0)?, chunk.le64(24)?, chunk.le16(44)?);
        if stripes == 0 || stripes > 1 && kind & COPIES == 0 {
            return Err(damaged("its data is striped over devices"));
        }
        self.chunks.insert(logical, Chunk { length, start: chunk.le64(48 + 8)? });
        Ok(())
    }

    /// Bytes at a logical address.
    pub fn read(&self, logical: u64, length: u64) -> io::Result<Block> {
        let (place, room) = self.place(logical)?;
        if length > room {
            return Err(damaged("it points past its end"));
        }
        self.volume.block(place, length)
    }

    /// Where a logical address lies, and how much of its chunk follows.
    pub fn place(&self, logical: u64) -> io::Result<(u64, u64)> {
        let behind = || damaged("it points past its end");
        let (first, chunk) = self.chunks.range(..=logical).next_back().ok_or_else(behind)?;
        let within = logical - first;
        let room = chunk.length.checked_sub(within).filter(|room| *room > 0).ok_or_else(behind)?;
        Ok((chunk.start.checked_add(within).ok_or_else(behind)?, room))
    }

    /// Calls `act` for each item of a tree from one key to another, in order.
    pub fn visit(
        &self,
        root: u64,
        (from, to): (Key, Key),
        act: &mut dyn FnMut(&Key, &Block) -> io::Result<()>,
    ) -> io::Result<()> {
        // What is to be read, the next one last; the level of a root is known from itself.
        let mut todo: Vec<(u64, Option<u8>)> = vec![(root, None)];
        let mut read = 0;
        while let Some((address, expected)) = todo.pop() {
            read += 1;
            if read > MOST_NODES {
                return Err(damaged("a tree is too large"));
            }
            let node = self.read(address, self.node_size)?;
            let (level, count) = (node.u8(100)?, node.le32(96)?);
            let is_sound = node.le64(48)? == address
                && expected.map_or(level < MOST_LEVELS, |expected| level == expected)
                && u64::from(count) * ITEM as u64 <= self.node_size;
            if !is_sound {
                return Err(damaged("a tree is corrupt"));
            }
            let count = usize::try_from(count).map_err(damaged)?;
            if level == 0 {
                leaf(&node, count, (from, to), act)?;
                continue;
            }
            let mut below = Vec::new();
            for at in 0..count {
                let key = Key::read(&node, HEADER + POINTER * at)?;
                let ends_before = at + 1 < count && Key::read(&node, HEADER + POINTER * (at + 1))? <= from;
                if key <= to && !ends_before {
                    below.push((node.le64(HEADER + POINTER * at + 17)?, Some(level - 1)));
                }
            }
            todo.extend(below.into_iter().rev());
        }
        Ok(())
    }
}

fn leaf(
    node: &Block,
    count: usize,
    (from, to): (Key, Key),
    act: &mut dyn FnMut(&Key, &Block) -> io::Result<()>,
) -> io::Result<()> {
    for at in 0..count {
        let key = Key::read(node, HEADER + ITEM * at)?;
        if key < from || key > to {
            continue;
        }
        let (offset, size) = (node.le32(HEADER + ITEM * at + 17)?, node.le32(HEADER + ITEM * at + 21)?);
        let offset = usize::try_from(offset).map_err(damaged)?.saturating_add(HEADER);
        let item = node.bytes(offset, usize::try_from(size).map_err(damaged)?)?;
        act(&key, &Block(item.to_vec()))?;
    }
    Ok(())
}

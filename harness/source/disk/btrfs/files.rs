//! [`content`]: the bytes of a file in btrfs, from extents that may be compressed.

use std::io::{self, Write};

use super::{Btrfs, Node};
use crate::source::archive::tarball::damaged;
use crate::source::disk::packing::Packing;
use crate::source::disk::tree::Limited;
use crate::source::disk::volume::Block;

const EXTENT: u8 = 108;
/// Kinds of extents: in the tree itself, on the disk, and with room but without data.
const INLINE: u8 = 0;
const REGULAR: u8 = 1;
const RESERVED: u8 = 2;
/// The most that is compressed at once.
const MOST_COMPRESSED: u64 = 128 << 10;
/// lzo's pieces unpack to a page each, and the length of none crosses the end of a page.
const PAGE: usize = 4096;

pub(super) fn content(btrfs: &Btrfs, node: Node, length: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut out = Limited::new(out, length);
    let mut at = 0;
    btrfs.visit(node, EXTENT, &mut |key, item| {
        if out.left() == 0 {
            return Ok(());
        }
        if key.offset < at {
            return Err(damaged("extents of a file overlap"));
        }
        out.zeros(key.offset - at)?;
        let covered = extent(btrfs, item, &mut out)?;
        at = key.offset.saturating_add(covered);
        Ok(())
    })?;
    let left = out.left();
    out.zeros(left)
}

/// Writes one extent, and returns how much of the file it is.
fn extent(btrfs: &Btrfs, item: &Block, out: &mut Limited<'_>) -> io::Result<u64> {
    let (whole, compression, kind) = (item.le64(8)?, item.u8(16)?, item.u8(20)?);
    if item.u8(17)? != 0 || item.le16(18)? != 0 {
        return Err(damaged("a file is encrypted"));
    }
    if compression != 0 && whole > MOST_COMPRESSED {
        return Err(damaged("an extent unpacks to too many bytes"));
    }
    if kind == INLINE {
        let data = item.bytes(21, item.0.len().saturating_sub(21))?;
        let unpacked = unpack(compression, data, whole)?;
        out.put(&unpacked)?;
        return Ok(whole.max(unpacked.len() as u64));
    }
    let (place, packed) = (item.le64(21)?, item.le64(29)?);
    let (offset, length) = (item.le64(37)?, item.le64(45)?);
    match kind {
        // A hole has no place.
        REGULAR if place == 0 => out.zeros(length)?,
        RESERVED => out.zeros(length)?,
        REGULAR if compression == 0 => {
            let mut from = place.checked_add(offset).ok_or_else(|| damaged("it points past its end"))?;
            let mut left = length.min(out.left());
            while left > 0 {
                let (_, room) = btrfs.system.items.place(from)?;
                let now = left.min(room).min(1 << 16);
                out.put(&btrfs.system.items.read(from, now)?.0)?;
                (from, left) = (from + now, left - now);
            }
        }
        REGULAR => {
            if packed > MOST_COMPRESSED + PAGE as u64 {
                return Err(damaged("an extent is too large"));
            }
            let unpacked = unpack(compression, &btrfs.system.items.read(place, packed)?.0, whole)?;
            let start = usize::try_from(offset).map_err(damaged)?;
            let end = start.saturating_add(usize::try_from(length).map_err(damaged)?);
            let part = unpacked.get(start.min(unpacked.len())..end.min(unpacked.len())).unwrap_or_default();
            out.put(part)?;
            // What was compressed may end with zeros that were left out.
            out.zeros(length.saturating_sub(part.len() as u64))?;
        }
        _ => return Err(damaged("an extent has an unknown format")),
    }
    Ok(length)
}

fn unpack(compression: u8, packed: &[u8], whole: u64) -> io::Result<Vec<u8>> {
    let whole = usize::try_from(whole).map_err(damaged)?;
    match compression {
        0 => Ok(packed.to_vec()),
        1 => Packing::Zlib.unpack(packed, whole),
        2 => lzo(packed, whole),
        3 => Packing::Zstd.unpack(packed, whole),
        _ => Err(damaged("a file uses an unknown compression")),
    }
}

/// Pieces of a page each, every one behind its length.
fn lzo(packed: &[u8], whole: usize) -> io::Result<Vec<u8>> {
    let packed = Block(packed.to_vec());
    let total = usize::try_from(packed.le32(0)?).map_err(damaged)?;
    let (mut at, mut out) = (4, Vec::new());
    while at < total && out.len() < whole {
        let room = PAGE - at % PAGE;
        if room < 4 {
            at += room;
        }
        let length = usize::try_from(packed.le32(at)?).map_err(damaged)?;
        out.extend(Packing::Lzo.unpack(packed.bytes(at + 4, length)?, PAGE)?);
        at += 4 + length;
    }
    out.truncate(whole);
    Ok(out)
}

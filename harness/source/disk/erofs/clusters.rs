//! [`data`]: the bytes of a compressed file in EROFS.
//!
//! A file is a row of logical clusters. Each is a head, in which a compressed piece begins, or belongs to one before it; pieces lie in
//! blocks of the disk, or behind the index of the file, or in the file that holds the fragments of all.

use std::io;

use super::{COMPRESSED, COMPRESSED_COMPACT, Erofs, Inode};
use crate::source::archive::tarball::damaged;
use crate::source::disk::packing::Packing;
use crate::source::disk::tree::Limited;
use crate::source::disk::volume::Block;

/// What the header in front of the index says.
const INDEX_OF_TWO_BYTES: u16 = 1;
const LARGE_FIRST: u16 = 1 << 1;
const LARGE_SECOND: u16 = 1 << 2;
const TAIL_INLINE: u16 = 1 << 3;
const INTERLACED: u16 = 1 << 4;
const TAIL_FRAGMENT: u16 = 1 << 5;
const KNOWN_ADVICE: u16 = 0x3f;
/// The whole file is a fragment.
const ALL_FRAGMENT: u8 = 1 << 7;

/// Kinds of clusters.
const AS_IT_IS: u8 = 0;
const SECOND_HEAD: u8 = 3;
const NO_HEAD: u8 = 2;
/// In a cluster that is no head: it has how many blocks the piece has.
const HAS_COUNT: u32 = 1 << 11;
/// A piece, packed and unpacked.
const MOST_PACKED: u64 = 1 << 20;
const MOST_UNPACKED: u64 = 12 << 20;
/// Clusters of one file: of 4 KiB each, 4 GiB.
const MOST_CLUSTERS: u64 = 1 << 20;

/// A cluster as the index has it.
#[derive(Clone, Copy)]
struct Cluster {
    kind: u8,
    /// Of a head: where in the cluster its piece begins.
    offset: u64,
    /// Of a head: the block.
    block: u32,
    /// Of one that is no head: how many blocks the piece has.
    count: Option<u32>,
}

/// A compressed piece.
struct Piece {
    kind: u8,
    from: u64,
    to: u64,
    block: u32,
    blocks: u32,
}

struct Index {
    cluster_bits: u32,
    advice: u16,
    algorithms: u8,
    clusters: Vec<Cluster>,
    /// Where what follows the index begins, and how much of it there is.
    tail: (u64, u64),
    /// Where the fragment begins in the file with the fragments.
    fragment: u64,
}

pub(super) fn data(erofs: &Erofs, inode: &Inode, (from, to): (u64, u64), out: &mut Limited<'_>) -> io::Result<()> {
    let start = inode.end.next_multiple_of(8);
    let header = erofs.volume.block(start, 8)?;
    if header.u8(7)? & ALL_FRAGMENT != 0 {
        let offset = header.le64(0)? & !(1 << 63);
        return fragment(erofs, inode, offset.saturating_add(from), to.saturating_sub(from), out);
    }
    let index = read(erofs, inode, start, &header)?;
    let pieces = pieces(erofs, inode, &index)?;
    let last = pieces.len().saturating_sub(1);
    for (at, piece) in pieces.iter().enumerate() {
        if out.left() == 0 || piece.from >= to {
            break;
        }
        if piece.to <= from {
            continue;
        }
        let (start, end) = (from.max(piece.from) - piece.from, to.min(piece.to) - piece.from);
        if at == last && index.advice & TAIL_FRAGMENT != 0 {
            fragment(erofs, inode, index.fragment.saturating_add(start), end - start, out)?;
            continue;
        }
        let packed = match at == last && index.advice & TAIL_INLINE != 0 {
            true => erofs.volume.block(index.tail.0, index.tail.1)?,
            false => erofs.volume.block(erofs.place(piece.block), u64::from(piece.blocks) << erofs.block_bits)?,
        };
        let unpacked = unpack(erofs, &index, piece, &packed.0)?;
        let (start, end) = (usize::try_from(start).map_err(damaged)?, usize::try_from(end).map_err(damaged)?);
        out.put(unpacked.get(start..end).ok_or_else(|| damaged("a cluster is truncated"))?)?;
    }
    Ok(())
}

/// Bytes of the file that holds the fragments of others.
fn fragment(erofs: &Erofs, inode: &Inode, from: u64, length: u64, out: &mut Limited<'_>) -> io::Result<()> {
    let packed = erofs.inode(erofs.packed)?;
    // It has no fragments itself, or else this would not end.
    let has_fragments = match packed.layout {
        COMPRESSED | COMPRESSED_COMPACT => {
            let header = erofs.volume.block(packed.end.next_multiple_of(8), 8)?;
            header.le16(4)? & TAIL_FRAGMENT != 0 || header.u8(7)? & ALL_FRAGMENT != 0
        }
        _ => false,
    };
    if packed.end == inode.end || has_fragments {
        return Err(damaged("its fragments are corrupt"));
    }
    if from.saturating_add(length) > packed.size {
        return Err(damaged("a fragment is truncated"));
    }
    erofs.data(&packed, from, length, out)
}

fn read(erofs: &Erofs, inode: &Inode, start: u64, header: &Block) -> io::Result<Index> {
    let (advice, form) = (header.le16(4)?, header.u8(7)?);
    let cluster_bits = erofs.block_bits + u32::from(form & 7);
    if advice & !KNOWN_ADVICE != 0 || cluster_bits > 16 {
        return Err(damaged("a file uses an unknown compression"));
    }
    let count = inode.size.div_ceil(1 << cluster_bits);
    if count > MOST_CLUSTERS {
        return Err(damaged("the size of a file is invalid"));
    }
    let (clusters, end) = match inode.layout {
        COMPRESSED => full(erofs, start + 16, count, advice)?,
        _ => compact(erofs, start + 8, count, advice, cluster_bits)?,
    };
    let mut fragment = header.le32(0)?.into();
    if inode.layout == COMPRESSED
        && let Some((_, last)) = clusters.iter().enumerate().rev().find(|(at, cluster)| {
            cluster.kind != NO_HEAD && ((*at as u64) << cluster_bits) + cluster.offset < inode.size
        })
    {
        fragment |= u64::from(last.block) << 32;
    }
    let tail = (end, header.le16(2)?.into());
    Ok(Index { cluster_bits, advice, algorithms: header.u8(6)?, clusters, tail, fragment })
}

/// An index of eight bytes for each cluster.
fn full(erofs: &Erofs, start: u64, count: u64, advice: u16) -> io::Result<(Vec<Cluster>, u64)> {
    let bytes = erofs.volume.block(start, count * 8)?;
    let is_large = advice & (LARGE_FIRST | LARGE_SECOND) != 0;
    let clusters = bytes.0.chunks_exact(8).map(|chunk| {
        let chunk = Block(chunk.to_vec());
        let kind = (chunk.le16(0)? & 3) as u8;
        let delta = u32::from(chunk.le16(4)?);
        Ok(Cluster {
            kind,
            offset: chunk.le16(2)?.into(),
            block: chunk.le32(4)?,
            count: (kind == NO_HEAD && is_large && delta & HAS_COUNT != 0).then_some(delta & !HAS_COUNT),
        })
    });
    Ok((clusters.collect::<io::Result<_>>()?, start + count * 8))
}

/// An index in packs: of 2 clusters in 8 bytes, or of 16 in 32. A pack ends with the block of its first piece.
fn compact(erofs: &Erofs, start: u64, count: u64, advice: u16, cluster_bits: u32) -> io::Result<(Vec<Cluster>, u64)> {
    // Packs of 32 bytes lie at multiples of that; smaller ones lead there.
    let first = ((32 - start % 32) / 4) & 7;
    let has_two_bytes = advice & INDEX_OF_TWO_BYTES != 0 && first < count;
    if has_two_bytes && cluster_bits > 12 || cluster_bits > 14 {
        return Err(damaged("a file uses an unknown compression"));
    }
    let small = if has_two_bytes { (count - first) / 16 * 16 } else { 0 };
    let mut clusters = Vec::new();
    let mut at = start;
    while (clusters.len() as u64) < count {
        let known = clusters.len() as u64;
        let (in_pack, length) = match known >= first && known < first + small {
            true => (16, 32),
            false => (2, 8),
        };
        pack(&erofs.volume.block(at, length)?, in_pack, cluster_bits, advice, &mut clusters)?;
        at += length;
    }
    clusters.truncate(usize::try_from(count).map_err(damaged)?);
    Ok((clusters, at))
}

fn pack(bytes: &Block, count: usize, cluster_bits: u32, advice: u16, clusters: &mut Vec<Cluster>) -> io::Result<()> {
    let width = (bytes.0.len() - 4) * 8 / count;
    let low_bits = cluster_bits.max(12);
    let raw = |at: usize| -> io::Result<(u8, u32)> {
        let bit = width * at;
        let value = bytes.le32(bit / 8)? >> (bit % 8);
        Ok(((value >> low_bits & 3) as u8, value & ((1 << low_bits) - 1)))
    };
    let is_large = advice & LARGE_FIRST != 0;
    let mut block = bytes.le32(bytes.0.len() - 4)?;
    if !is_large {
        block = block.wrapping_add(1);
    }
    for at in 0..count {
        let (kind, low) = raw(at)?;
        let counted = (kind == NO_HEAD && is_large && low & HAS_COUNT != 0).then_some(low & !HAS_COUNT);
        clusters.push(Cluster { kind, offset: low.into(), block, count: counted });
        if let Some(count) = counted {
            block = block.wrapping_add(count);
        } else if kind != NO_HEAD {
            let next_counts = match is_large && at + 1 < count {
                true => matches!(raw(at + 1)?, (NO_HEAD, low) if low & HAS_COUNT != 0),
                false => false,
            };
            block = block.wrapping_add(u32::from(!next_counts));
        }
    }
    Ok(())
}

/// The pieces of a file, in its order.
fn pieces(erofs: &Erofs, inode: &Inode, index: &Index) -> io::Result<Vec<Piece>> {
    let of_cluster = 1 << (index.cluster_bits - erofs.block_bits);
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, cluster) in index.clusters.iter().enumerate() {
        if cluster.kind == NO_HEAD {
            continue;
        }
        let from = ((at as u64) << index.cluster_bits) + cluster.offset;
        if cluster.offset >= 1 << index.cluster_bits || from > inode.size {
            return Err(damaged("a cluster is corrupt"));
        }
        if let Some(before) = pieces.last_mut() {
            before.to = from;
        }
        // Where the last piece ends within a cluster, a head of nothing may say so.
        if from == inode.size {
            continue;
        }
        let large = match cluster.kind {
            AS_IT_IS => false,
            SECOND_HEAD => index.advice & LARGE_SECOND != 0,
            _ => index.advice & LARGE_FIRST != 0,
        };
        let counted = index.clusters.get(at + 1).and_then(|next| next.count).filter(|_| large);
        let blocks = counted.unwrap_or(of_cluster);
        pieces.push(Piece { kind: cluster.kind, from, to: inode.size, block: cluster.block, blocks });
    }
    match pieces.first() {
        Some(piece) if piece.from != 0 => Err(damaged("a cluster is corrupt")),
        None if inode.size > 0 => Err(damaged("a cluster is corrupt")),
        _ => Ok(pieces),
    }
}

fn unpack(erofs: &Erofs, index: &Index, piece: &Piece, packed: &[u8]) -> io::Result<Vec<u8>> {
    let length = piece.to - piece.from;
    if packed.len() as u64 > MOST_PACKED || length > MOST_UNPACKED {
        return Err(damaged("a cluster is too large"));
    }
    let length = usize::try_from(length).map_err(damaged)?;
    if piece.kind == AS_IT_IS {
        let whole = packed.len();
        // Interlaced, a byte lies at its offset in the block, and what is behind the end comes first.
        let turn = match index.advice & INTERLACED != 0 {
            true => usize::try_from(piece.from & (erofs.block() - 1)).map_err(damaged)?,
            false => 0,
        };
        if length > whole || turn > whole {
            return Err(damaged("a cluster is truncated"));
        }
        return Ok(packed[turn..].iter().chain(&packed[..turn]).take(length).copied().collect());
    }
    let algorithm = if piece.kind == SECOND_HEAD { index.algorithms >> 4 } else { index.algorithms & 15 };
    let packing = match algorithm {
        0 if !erofs.is_padded => return Err(damaged("it was made by a mkfs.erofs before 1.0, which is not supported")),
        0 => Packing::Lz4,
        1 => Packing::MicroLzma,
        2 => Packing::Deflate,
        3 => Packing::Zstd,
        _ => return Err(damaged("a file uses an unknown compression")),
    };
    // A piece lies at the end of its blocks.
    let first = packed.iter().position(|byte| *byte != 0).unwrap_or(packed.len());
    let packed = &packed[first..];
    let unpacked = match packing.unpack(packed, length) {
        // What several files have in common may go on behind the end of this one.
        Err(_) if packing == Packing::Lz4 => {
            packing.unpack(packed, usize::try_from(MOST_UNPACKED).map_err(damaged)?)?
        }
        other => other?,
    };
    Ok(unpacked)
}

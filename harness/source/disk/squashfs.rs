//! [`Squashfs`]: squashfs 4, with every compression that it has.
//!
//! Metadata lies in compressed blocks of 8 KiB, and is read where it is needed. The format is described in the kernel's `squashfs_fs.h`
//! and in "The SquashFS archive format" of squashfs-tools-ng.

mod metadata;

use std::io::{self, Write};

use self::metadata::{Metadata, Reader};
use crate::source::archive::tarball::damaged;
use crate::source::disk::packing::Packing;
use crate::source::disk::tree::{Inodes, Kind, LINK_LIMIT, Limited, MOST_ENTRIES};
use crate::source::disk::volume::{Volume, file_name};

/// In the length of a block that is not compressed.
const PLAIN_BLOCK: u32 = 1 << 24;
/// Of one file: of 4 KiB each, 4 GiB.
const MOST_BLOCKS: u64 = 1 << 20;
/// A file without a fragment.
const NO_FRAGMENT: u32 = u32::MAX;
/// The description of a fragment, and how many are in a block of metadata.
const FRAGMENT: u64 = 16;
const FRAGMENTS_IN_BLOCK: u64 = 512;

pub(super) struct Squashfs {
    volume: Volume,
    metadata: Metadata,
    packing: Packing,
    block: u32,
    top: u64,
    inodes: u64,
    folders: u64,
    fragments: u64,
    fragment_count: u32,
}

/// An inode: what it is, and where the rest of it is read.
enum Inode {
    Folder { block: u32, offset: u16, length: u32 },
    File(File),
    Link(Vec<u8>),
    Other,
}

struct File {
    start: u64,
    size: u64,
    fragment: Option<(u32, u32)>,
    /// The lengths of its blocks.
    blocks: Vec<u32>,
}

impl Squashfs {
    pub fn open(volume: &Volume) -> io::Result<Option<Squashfs>> {
        if !volume.has(0, b"hsqs") {
            return Ok(None);
        }
        let head = volume.block(0, 96)?;
        let (block, version) = (head.le32(12)?, head.le16(28)?);
        if version != 4 || !block.is_power_of_two() || !(4096..=1 << 20).contains(&block) {
            return Err(damaged("its superblock is invalid, or its version is older than 4"));
        }
        let packing = match head.le16(20)? {
            1 => Packing::Zlib,
            2 => Packing::Lzma,
            3 => Packing::Lzo,
            4 => Packing::Xz,
            5 => Packing::Lz4,
            6 => Packing::Zstd,
            other => return Err(damaged(format!("unknown compression ({other})"))),
        };
        Ok(Some(Squashfs {
            volume: volume.clone(),
            metadata: Metadata::new(volume, packing),
            packing,
            block,
            top: head.le64(32)?,
            inodes: head.le64(64)?,
            folders: head.le64(72)?,
            fragments: head.le64(80)?,
            fragment_count: head.le32(16)?,
        }))
    }

    /// Metadata of a table, by the place of its block and the offset in it.
    fn at(&self, table: u64, block: u64, offset: u64) -> io::Result<Reader<'_>> {
        let place = table.checked_add(block).ok_or_else(|| damaged("it points past its end"))?;
        Ok(Reader::new(&self.metadata, place, usize::try_from(offset).map_err(damaged)?))
    }

    /// An inode by its place: the block in the upper bits, the offset in the lower 16.
    fn inode(&self, place: u64) -> io::Result<Inode> {
        let mut reader = self.at(self.inodes, place >> 16, place & 0xffff)?;
        let kind = reader.take(16)?.le16(0)?;
        Ok(match kind {
            1 => {
                let rest = reader.take(16)?;
                Inode::Folder { block: rest.le32(0)?, offset: rest.le16(10)?, length: rest.le16(8)?.into() }
            }
            8 => {
                let rest = reader.take(24)?;
                Inode::Folder { block: rest.le32(8)?, offset: rest.le16(18)?, length: rest.le32(4)? }
            }
            2 => {
                let rest = reader.take(16)?;
                let fragment = (rest.le32(4)?, rest.le32(8)?);
                Inode::File(self.file(&mut reader, rest.le32(0)?.into(), rest.le32(12)?.into(), fragment)?)
            }
            9 => {
                let rest = reader.take(40)?;
                let fragment = (rest.le32(28)?, rest.le32(32)?);
                Inode::File(self.file(&mut reader, rest.le64(0)?, rest.le64(8)?, fragment)?)
            }
            3 | 10 => {
                let length = reader.take(8)?.le32(4)?;
                if u64::from(length) > LINK_LIMIT {
                    return Err(damaged("a symbolic link is too long"));
                }
                Inode::Link(reader.take(usize::try_from(length).map_err(damaged)?)?.0)
            }
            4..=7 | 11..=14 => Inode::Other,
            _ => return Err(damaged("an inode is corrupt")),
        })
    }

    fn file(&self, reader: &mut Reader<'_>, start: u64, size: u64, (fragment, offset): (u32, u32)) -> io::Result<File> {
        let block = u64::from(self.block);
        let fragment = (fragment != NO_FRAGMENT).then_some((fragment, offset));
        let count = if fragment.is_some() { size / block } else { size.div_ceil(block) };
        if count > MOST_BLOCKS {
            return Err(damaged("the size of a file is invalid"));
        }
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(reader.take(4)?.le32(0)?);
        }
        Ok(File { start, size, fragment, blocks })
    }

    /// A block of a file, or a fragment, unpacked to at most `limit` bytes.
    fn data(&self, place: u64, length: u32, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = length & (PLAIN_BLOCK - 1);
        if bytes > self.block {
            return Err(damaged("a block is too large"));
        }
        let packed = self.volume.block(place, bytes.into())?;
        match length & PLAIN_BLOCK {
            0 => self.packing.unpack(&packed.0, limit),
            _ => Ok(packed.0),
        }
    }

    fn fragment(&self, number: u32) -> io::Result<Vec<u8>> {
        if number >= self.fragment_count {
            return Err(damaged("it points past its end"));
        }
        let number = u64::from(number);
        let index = self.fragments.checked_add(8 * (number / FRAGMENTS_IN_BLOCK));
        let index = index.ok_or_else(|| damaged("it points past its end"))?;
        let block = self.volume.block(index, 8)?.le64(0)?;
        let description = self.at(block, 0, number % FRAGMENTS_IN_BLOCK * FRAGMENT)?.take(16)?;
        self.data(description.le64(0)?, description.le32(8)?, usize::try_from(self.block).map_err(damaged)?)
    }
}

impl Inodes for Squashfs {
    type Node = u64;

    fn top(&self) -> u64 {
        self.top
    }

    fn kind(&self, node: &u64) -> io::Result<Kind> {
        Ok(match self.inode(*node)? {
            Inode::Folder { .. } => Kind::Folder,
            Inode::File(_) => Kind::File,
            Inode::Link(_) => Kind::Link,
            Inode::Other => Kind::Other,
        })
    }

    fn entries(&self, folder: &u64) -> io::Result<Vec<(String, u64)>> {
        let Inode::Folder { block, offset, length } = self.inode(*folder)? else {
            return Err(damaged("a directory entry is invalid"));
        };
        let mut entries = Vec::new();
        let mut reader = self.at(self.folders, block.into(), offset.into())?;
        // Its length counts three bytes more, for `.` and `..`.
        let mut left = length.saturating_sub(3);
        while left >= 12 {
            let header = reader.take(12)?;
            left = left.saturating_sub(12);
            let (count, block) = (header.le32(0)?, header.le32(4)?);
            for _ in 0..=count {
                let entry = reader.take(8)?;
                let length = entry.le16(6)? + 1;
                let name = reader.take(length.into())?;
                left = left.saturating_sub(8 + u32::from(length));
                if let Some(name) = file_name(&name.0) {
                    entries.push((name, u64::from(block) << 16 | u64::from(entry.le16(0)?)));
                }
                if entries.len() > MOST_ENTRIES {
                    return Err(damaged(format!("a directory has more than {MOST_ENTRIES} entries")));
                }
                if left == 0 {
                    break;
                }
            }
        }
        Ok(entries)
    }

    fn content(&self, node: &u64, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let file = match self.inode(*node)? {
            Inode::File(file) => file,
            Inode::Link(target) => return out.write_all(&target),
            _ => return Err(damaged("a file is invalid")),
        };
        let mut out = Limited::new(out, limit.min(file.size));
        let (mut place, mut left) = (file.start, file.size);
        for length in file.blocks {
            if out.left() == 0 {
                return Ok(());
            }
            let whole = left.min(self.block.into());
            left -= whole;
            // A block of zeros takes no room.
            if length == 0 {
                out.zeros(whole)?;
                continue;
            }
            let data = self.data(place, length, usize::try_from(whole).map_err(damaged)?)?;
            if data.len() as u64 != whole {
                return Err(damaged("a block is truncated"));
            }
            out.put(&data)?;
            place += u64::from(length & (PLAIN_BLOCK - 1));
        }
        if let Some((number, offset)) = file.fragment
            && left > 0
        {
            let fragment = self.fragment(number)?;
            let start = usize::try_from(offset).map_err(damaged)?;
            let end = start.saturating_add(usize::try_from(left).map_err(damaged)?);
            out.put(fragment.get(start..end).ok_or_else(|| damaged("a fragment is truncated"))?)?;
        }
        Ok(())
    }
}

//! [`Metadata`]: blocks of metadata, of which each is at most 8 KiB unpacked; [`Reader`]: reads on from one to the next.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::source::archive::tarball::damaged;
use crate::source::disk::packing::Packing;
use crate::source::disk::volume::{Block, Volume};

const BLOCK: usize = 8192;
/// In the length of a block that is not compressed.
const PLAIN: u16 = 1 << 15;
/// Bytes of one inode or of one name.
const MOST_AT_ONCE: usize = 1 << 16;

/// An unpacked block, and where the next one lies.
type Unpacked = Rc<(Vec<u8>, u64)>;

pub(super) struct Metadata {
    volume: Volume,
    packing: Packing,
    /// The block that was read last: what is read next lies in it most often.
    last: RefCell<Option<(u64, Unpacked)>>,
}

impl Metadata {
    pub fn new(volume: &Volume, packing: Packing) -> Metadata {
        Metadata { volume: volume.clone(), packing, last: RefCell::new(None) }
    }

    fn block(&self, place: u64) -> io::Result<Unpacked> {
        if let Some((known, block)) = &*self.last.borrow()
            && *known == place
        {
            return Ok(Rc::clone(block));
        }
        let length = self.volume.block(place, 2)?.le16(0)?;
        let bytes = usize::from(length & !PLAIN);
        if bytes == 0 || bytes > BLOCK {
            return Err(damaged("a metadata block is corrupt"));
        }
        let packed = self.volume.block(place + 2, bytes as u64)?;
        let unpacked = match length & PLAIN {
            0 => self.packing.unpack(&packed.0, BLOCK)?,
            _ => packed.0,
        };
        let block = Rc::new((unpacked, place + 2 + bytes as u64));
        *self.last.borrow_mut() = Some((place, Rc::clone(&block)));
        Ok(block)
    }
}

pub(super) struct Reader<'a> {
    metadata: &'a Metadata,
    place: u64,
    offset: usize,
}

impl<'a> Reader<'a> {
    pub fn new(metadata: &'a Metadata, place: u64, offset: usize) -> Reader<'a> {
        Reader { metadata, place, offset }
    }

    /// The next bytes.
    pub fn take(&mut self, length: usize) -> io::Result<Block> {
        if length > MOST_AT_ONCE {
            return Err(damaged("a record is too long"));
        }
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            let block = self.metadata.block(self.place)?;
            let (bytes, next) = &*block;
            let rest = bytes.get(self.offset..).ok_or_else(|| damaged("it points past its end"))?;
            let now = rest.len().min(length - out.len());
            out.extend_from_slice(&rest[..now]);
            self.offset += now;
            if self.offset == bytes.len() {
                (self.place, self.offset) = (*next, 0);
            }
        }
        Ok(Block(out))
    }
}

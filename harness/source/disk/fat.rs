//! [`Fat`]: FAT of any width, which EFI system partitions have, by the crate `fatfs`.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Inodes, Kind};
use crate::source::disk::volume::{Volume, file_name};

/// Entries of one directory; a damaged one may have no end.
const MOST_ENTRIES: usize = 20_000;

pub(super) struct Fat(RefCell<fatfs::FileSystem<Reader>>);

/// The volume as a stream; nothing is ever written to it.
struct Reader {
    volume: Volume,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.volume.length().saturating_sub(self.at);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.volume.read(self.at, &mut buffer[..room])?;
        self.at += room as u64;
        Ok(room)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.volume.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| damaged("it points past its end"))?;
        Ok(self.at)
    }
}

impl Write for Reader {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Fat {
    pub fn open(volume: &Volume) -> io::Result<Option<Fat>> {
        // FAT12 and FAT16 have their name at another place than FAT32.
        if !volume.has(510, &[0x55, 0xaa]) || !(volume.has(54, b"FAT") || volume.has(82, b"FAT32")) {
            return Ok(None);
        }
        let reader = Reader { volume: volume.clone(), at: 0 };
        let options = fatfs::FsOptions::new().update_accessed_date(false);
        let found = fatfs::FileSystem::new(reader, options).map_err(damaged)?;
        Ok(Some(Fat(RefCell::new(found))))
    }
}

/// A path, and whether it is a directory.
type Node = (String, bool);

impl Inodes for Fat {
    type Node = Node;

    fn top(&self) -> Node {
        (String::new(), true)
    }

    fn kind(&self, (_, is_folder): &Node) -> io::Result<Kind> {
        Ok(if *is_folder { Kind::Folder } else { Kind::File })
    }

    fn entries(&self, (path, _): &Node) -> io::Result<Vec<(String, Node)>> {
        let system = self.0.borrow();
        let root = system.root_dir();
        let folder = if path.is_empty() { root } else { root.open_dir(path).map_err(damaged)? };
        let mut entries = Vec::new();
        for entry in folder.iter().take(MOST_ENTRIES) {
            let entry = entry.map_err(damaged)?;
            if let Some(name) = file_name(entry.file_name().as_bytes()) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                entries.push((name, (path, entry.is_dir())));
            }
        }
        Ok(entries)
    }

    fn content(&self, (path, _): &Node, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        let system = self.0.borrow();
        let file = system.root_dir().open_file(path).map_err(damaged)?;
        let mut file = file.take(limit);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).map_err(damaged)? {
                0 => return Ok(()),
                read => out.write_all(&buffer[..read])?,
            }
        }
    }
}

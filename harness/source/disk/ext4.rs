//! [`Ext4`]: ext2, ext3 and ext4, by the crate `ext4-view`.

use std::error::Error;
use std::io::{self, Write};

use ext4_view::{Ext4Error, Ext4Read, FileType};

use crate::source::archive::tarball::damaged;
use crate::source::disk::tree::{Inodes, Kind, MOST_ENTRIES};
use crate::source::disk::volume::{Volume, file_name};

pub(super) struct Ext4(ext4_view::Ext4);

struct Reader(Volume);

impl Ext4Read for Reader {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.0.read(start, into)?)
    }
}

impl Ext4 {
    pub fn open(volume: &Volume) -> io::Result<Option<Ext4>> {
        if !volume.has(1080, &[0x53, 0xef]) {
            return Ok(None);
        }
        ext4_view::Ext4::load(Box::new(Reader(volume.clone()))).map(|found| Some(Ext4(found))).map_err(failure)
    }
}

impl Inodes for Ext4 {
    type Node = String;

    fn top(&self) -> String {
        "/".to_owned()
    }

    fn kind(&self, node: &String) -> io::Result<Kind> {
        Ok(match self.0.symlink_metadata(node.as_str()).map_err(failure)?.file_type() {
            FileType::Directory => Kind::Folder,
            FileType::Regular => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        })
    }

    fn entries(&self, folder: &String) -> io::Result<Vec<(String, String)>> {
        let mut entries = Vec::new();
        for entry in self.0.read_dir(folder.as_str()).map_err(failure)?.take(MOST_ENTRIES) {
            let entry = entry.map_err(failure)?;
            if let Some(name) = entry.file_name().as_str().ok().and_then(|name| file_name(name.as_bytes())) {
                let path = format!("{}/{name}", folder.trim_end_matches('/'));
                entries.push((name, path));
            }
        }
        Ok(entries)
    }

    fn content(&self, node: &String, limit: u64, out: &mut dyn Write) -> io::Result<()> {
        if self.kind(node)? == Kind::Link {
            let target = self.0.read_link(node.as_str()).map_err(failure)?;
            return out.write_all(target.as_ref());
        }
        let mut file = self.0.open(node.as_str()).map_err(failure)?;
        let mut left = limit;
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match file.read_bytes(&mut buffer[..room]).map_err(failure)? {
                0 => break,
                read => {
                    out.write_all(&buffer[..read])?;
                    left -= read as u64;
                }
            }
        }
        Ok(())
    }
}

fn failure(error: Ext4Error) -> io::Error {
    damaged(error)
}

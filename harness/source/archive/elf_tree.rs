//! [`ElfTree`]: the ELF files of an archive, or of the layers of an image, as far as no later layer hides them.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use crate::source::archive::bounded::{HeaderRoom, UnpackRoom};
use crate::source::archive::tarball::{self, damaged};

/// What ELF files begin with.
pub(in crate::source) const ELF: &[u8; 4] = b"\x7fELF";

/// In front of the name of a file that a layer takes away.
const WHITEOUT: &str = ".wh.";
/// A directory of which a layer takes away all that lower ones have.
const OPAQUE: &str = ".wh..wh..opq";

/// Whether names that begin with `.wh.` mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Whiteouts {
    /// In a layer of an image.
    Respected,
    /// Anywhere else.
    Unknown,
}

/// ELF files in a directory, as plain files: no link is ever made there, so nothing leads out of it.
#[derive(Debug)]
pub(in crate::source) struct ElfTree {
    /// What all layers together have so far.
    merged: PathBuf,
    /// What the layer has that is being read: whiteouts in it are about lower layers alone, wherever they stand.
    layer: PathBuf,
    room: UnpackRoom,
}

impl ElfTree {
    /// An empty tree; `work` is a separate directory.
    pub fn new(work: &Path) -> io::Result<ElfTree> {
        ElfTree::with_room(work, UnpackRoom::default())
    }

    fn with_room(work: &Path, room: UnpackRoom) -> io::Result<ElfTree> {
        let tree = ElfTree { merged: work.join("merged"), layer: work.join("layer"), room };
        fs::create_dir(&tree.merged)?;
        Ok(tree)
    }

    /// The directory with the files.
    pub fn folder(&self) -> &Path {
        &self.merged
    }

    /// Adds a file that is no archive.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_file(&mut self, path: &Path, content: impl Read) -> io::Result<()> {
        let path = inside(path)?;
        hide(&self.merged, &path, Hidden::All)?;
        // A file that is packed does not give its size.
        let mut metered = Metered { inner: content, room: &mut self.room };
        tarball::write(&self.merged.join(path), &mut metered, false)?;
        self.room.take(0)
    }

    /// Adds the ELF files of a tar archive. What it has replaces what the tree had there.
    ///
    /// # Errors
    /// `InvalidData` for a damaged or hostile archive or one for which there is no room, anything else for failures of the directory.
    pub fn add(&mut self, data: impl Read, whiteouts: Whiteouts) -> io::Result<()> {
        fs::create_dir(&self.layer)?;
        let (headers, data) = HeaderRoom::of(data);
        let mut tar = tar::Archive::new(data);
        let mut entries = tar.entries().map_err(damaged)?;
        loop {
            headers.headers();
            let Some(entry) = entries.next() else { break };
            headers.content();
            let mut entry = entry.map_err(damaged)?;
            let read = self.entry(&mut entry, whiteouts)?;
            // Or else the reader passes over it with the next header.
            let rest = io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
            if read + rest != entry.size() {
                return Err(damaged("it is truncated"));
            }
        }
        merge(&self.layer, &self.merged)?;
        fs::remove_dir_all(&self.layer)
    }

    /// Takes one entry, and returns how much of it was read.
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>, whiteouts: Whiteouts) -> io::Result<u64> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(0);
        }
        let path = inside(&entry.path().map_err(damaged)?)?;
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Ok(0) };
        if whiteouts == Whiteouts::Respected
            && let Some(hidden) = name.strip_prefix(WHITEOUT)
        {
            let folder = path.parent().unwrap_or(Path::new(""));
            match hidden {
                _ if name == OPAQUE => hide_all_in(&self.merged, folder)?,
                // Notes that some file systems keep for themselves.
                _ if hidden.starts_with(WHITEOUT) => {}
                "" | "." | ".." => return Err(damaged(format!("`{}` is a whiteout without a file", path.display()))),
                hidden => hide(&self.merged, &folder.join(hidden), Hidden::All)?,
            }
            return Ok(0);
        }
        let what = if kind.is_dir() { Hidden::File } else { Hidden::All };
        hide(&self.merged, &path, what)?;
        hide(&self.layer, &path, what)?;
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let size = entry.size();
                let mut magic = Vec::new();
                entry.take(ELF.len() as u64).read_to_end(&mut magic).map_err(damaged)?;
                if magic != ELF {
                    return Ok(magic.len() as u64);
                }
                self.room.take(size)?;
                let written = tarball::write(&self.layer.join(&path), &mut magic.chain(entry), false)?;
                match written == size {
                    true => Ok(size),
                    false => Err(damaged(format!("`{}` is truncated", path.display()))),
                }
            }
            tar::EntryType::Link => {
                let Some(source) = entry.link_name().map_err(damaged)? else { return Ok(0) };
                let source = inside(&source)?;
                let places = [&self.layer, &self.merged].map(|root| root.join(&source));
                if let Some(source) = places.iter().find(|source| source.is_file()) {
                    self.room.take(0)?;
                    let target = self.layer.join(&path);
                    target.parent().map_or(Ok(()), fs::create_dir_all)?;
                    fs::hard_link(source, target)?;
                }
                Ok(0)
            }
            // What a symbolic link leads to is found by its own name.
            _ => Ok(0),
        }
    }
}

/// Takes room for every byte that goes through.
struct Metered<'a, R> {
    inner: R,
    room: &'a mut UnpackRoom,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.room.take_bytes(read as u64)?;
        Ok(read)
    }
}

/// The path below the root of the archive.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let relative: PathBuf = path.components().filter(|part| !matches!(part, Component::RootDir)).collect();
    tarball::inside(&relative)
        .ok_or_else(|| damaged(format!("the path `{}` points outside the archive", path.display())))
}

/// What of a path has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// A file; a directory of this path stays.
    File,
    /// Anything that is there.
    All,
}

/// Removes what an entry of this path takes the place of: the path itself, or a file where the entry has a directory.
fn hide(root: &Path, path: &Path, what: Hidden) -> io::Result<()> {
    let mut place = root.to_owned();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() && parts.peek().is_some() => {}
            Ok(found) if found.is_dir() => {
                return if what == Hidden::All { fs::remove_dir_all(&place) } else { Ok(()) };
            }
            Ok(_) => return fs::remove_file(&place),
            // Or no name at all that could be there.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes all that a directory has.
fn hide_all_in(root: &Path, folder: &Path) -> io::Result<()> {
    let folder = root.join(folder);
    match folder.is_dir() {
        true => {
            fs::remove_dir_all(&folder)?;
            fs::create_dir(&folder)
        }
        false => Ok(()),
    }
}

/// Moves all files of one tree into another.
fn merge(from: &Path, into: &Path) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(into.join(&folder))?;
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => fs::rename(entry.path(), into.join(path))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

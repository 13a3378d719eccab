//! [`FileSystem`]: directories and files of an image by their paths. Readers of file systems implement [`Inodes`], and get it by that.

use std::io::{self, Write};

use crate::source::archive::tarball::damaged;

/// Links that are followed for one path, as the kernel does.
const MOST_LINKS: usize = 40;
/// No target of a link is longer.
pub(super) const LINK_LIMIT: u64 = 4096;
/// Files of one directory, or of a tree, that are listed.
pub(super) const MOST_ENTRIES: usize = 200_000;
/// Directories within directories that are gone into.
const MOST_DEPTH: usize = 32;

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    Link,
    /// A device, a socket and similar.
    Other,
}

impl Kind {
    /// What the mode of an inode says.
    pub fn of_mode(mode: u16) -> Kind {
        match mode & 0o170_000 {
            0o040_000 => Kind::Folder,
            0o100_000 => Kind::File,
            0o120_000 => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// A file system as its reader sees it.
pub(super) trait Inodes {
    /// How an inode is called.
    type Node: Clone;

    /// The directory at the top.
    fn top(&self) -> Self::Node;

    fn kind(&self, node: &Self::Node) -> io::Result<Kind>;

    /// What a directory holds, at most [`MOST_ENTRIES`].
    fn entries(&self, folder: &Self::Node) -> io::Result<Vec<(String, Self::Node)>>;

    /// Writes the first bytes of a file or of the target of a link, at most `limit`.
    fn content(&self, node: &Self::Node, limit: u64, out: &mut dyn Write) -> io::Result<()>;
}

/// A file system in an image, which is only read. Links never leave it.
pub(super) trait FileSystem {
    /// Names in a directory, in order; none if there is no such directory.
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Writes the first bytes of a file, at most `limit`, and says whether there is such a file.
    fn copy(&self, file: &str, limit: u64, out: &mut dyn Write) -> io::Result<bool>;

    /// Calls `take` for each file below a directory, with its path from there and what writes it. Links are passed over.
    fn each_file(&self, folder: &str, take: &mut TakeFile<'_>) -> io::Result<()>;
}

/// See [`FileSystem::each_file`].
pub(super) type TakeFile<'a> = dyn FnMut(&str, &dyn Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> + 'a;

impl<I: Inodes> FileSystem for I {
    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(node) = find(self, folder)? else { return Ok(Vec::new()) };
        if self.kind(&node)? != Kind::Folder {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = self.entries(&node)?.into_iter().map(|(name, _)| name).collect();
        names.sort();
        Ok(names)
    }

    fn copy(&self, file: &str, limit: u64, out: &mut dyn Write) -> io::Result<bool> {
        let Some(node) = find(self, file)? else { return Ok(false) };
        if self.kind(&node)? != Kind::File {
            return Ok(false);
        }
        self.content(&node, limit, out)?;
        Ok(true)
    }

    fn each_file(&self, folder: &str, take: &mut TakeFile<'_>) -> io::Result<()> {
        let Some(node) = find(self, folder)? else { return Ok(()) };
        if self.kind(&node)? != Kind::Folder {
            return Ok(());
        }
        let mut todo = vec![(String::new(), 0, node)];
        let mut seen = 0;
        while let Some((path, depth, folder)) = todo.pop() {
            for (name, node) in self.entries(&folder)? {
                seen += 1;
                if seen > MOST_ENTRIES {
                    return Err(damaged(format!("a tree has more than {MOST_ENTRIES} files")));
                }
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                match self.kind(&node)? {
                    Kind::Folder if depth < MOST_DEPTH => todo.push((path, depth + 1, node)),
                    Kind::File => take(&path, &|out| self.content(&node, u64::MAX, out))?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The inode of a path, behind links; `None` if there is none.
fn find<I: Inodes>(of: &I, path: &str) -> io::Result<Option<I::Node>> {
    let mut todo: Vec<String> = parts(path);
    let mut walked = vec![of.top()];
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            if walked.len() > 1 {
                walked.pop();
            }
            continue;
        }
        let Some(folder) = walked.last() else { return Ok(None) };
        if of.kind(folder)? != Kind::Folder {
            return Ok(None);
        }
        let Some((_, node)) = of.entries(folder)?.into_iter().find(|(name, _)| *name == part) else {
            return Ok(None);
        };
        if of.kind(&node)? != Kind::Link {
            walked.push(node);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(damaged(format!("`{path}` has too many links")));
        }
        let mut target = Vec::new();
        of.content(&node, LINK_LIMIT, &mut target)?;
        let Ok(target) = String::from_utf8(target) else { return Ok(None) };
        if target.starts_with('/') {
            walked.truncate(1);
        }
        todo.extend(parts(&target));
    }
    Ok(walked.pop())
}

/// The parts of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.rev().map(str::to_owned).collect()
}

/// Writes to another writer as long as there is room, and takes the rest without an error.
pub(super) struct Limited<'a> {
    out: &'a mut dyn Write,
    left: u64,
}

impl<'a> Limited<'a> {
    pub fn new(out: &'a mut dyn Write, limit: u64) -> Limited<'a> {
        Limited { out, left: limit }
    }

    /// How much it still takes.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.out.write_all(&bytes[..room])?;
        self.left -= room as u64;
        Ok(())
    }

    /// Writes zeros: a hole.
    pub fn zeros(&mut self, count: u64) -> io::Result<()> {
        let zeros = [0; 8192];
        let mut count = count.min(self.left);
        while count > 0 {
            let now = count.min(zeros.len() as u64);
            self.put(&zeros[..usize::try_from(now).unwrap_or(0)])?;
            count -= now;
        }
        Ok(())
    }
}

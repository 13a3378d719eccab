//! [`HostFiles`]: answers a guest's requests for the host's files. There is no code here that writes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, readlinkat, statat};

use super::fuse::{self, Call, FuseRequest, NodeId, ROOT};
use crate::beneath::Beneath;

/// As much as is read at once, even if the guest asks for more.
const MOST_READ: u32 = 1 << 20;
/// As many files as a guest may know at once: an honest kernel forgets those that it has no memory for.
const MOST_NODES: usize = 1 << 20;
/// Names in one directory; more of them are not listed.
const MOST_NAMES: usize = 1 << 20;
/// As many listings are kept while the guest goes through them.
const MOST_LISTINGS: usize = 16;
/// Directories whose contents the guest has of its own.
const OWN_TO_GUEST: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
/// What a guest sees that is to see programs and libraries only.
const PROGRAMS: [&str; 20] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/group",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/profile",
    "/etc/protocols",
];
/// Directories of such a guest that are empty.
const EMPTY: [&str; 3] = ["/boot", "/root", "/tmp"];

/// Which files of the host a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// All that the user can read.
    Everything,
    /// Programs and libraries, and what is below these paths.
    Programs(Vec<PathBuf>),
}

impl View {
    /// Whether the guest is to see it. Links are followed by the guest, so that each of its paths comes by here.
    pub(super) fn shows(&self, path: &Path) -> bool {
        let View::Programs(given) = self else { return true };
        let programs = PROGRAMS.iter().chain(&EMPTY).chain(&OWN_TO_GUEST).map(Path::new);
        let mut shown = programs.chain(given.iter().map(PathBuf::as_path));
        let is_empty_here = |shown: &Path| EMPTY.iter().any(|empty| shown == Path::new(empty)) && path != shown;
        shown.any(|shown| shown.starts_with(path) || path.starts_with(shown) && !is_empty_here(shown))
    }

    /// Whether a file of the host is one of the guest, too.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.shows(path) && !is_own_to_guest(path)
    }
}

/// The files of the host, as a guest sees them.
#[derive(Debug)]
pub struct HostFiles {
    root: Beneath,
    view: View,
    nodes: HashMap<NodeId, Node>,
    numbers: BTreeMap<PathBuf, NodeId>,
    last: NodeId,
    /// The file that was read last, since the next read is most likely for it, too.
    open: Option<(NodeId, File)>,
    /// Names in directories, from when the guest began to list them; the newest last.
    listings: VecDeque<(NodeId, Vec<Name>)>,
}

#[derive(Debug)]
struct Node {
    path: PathBuf,
    /// How often the guest's kernel got it in an answer.
    lookups: u64,
}

/// A name in a directory.
#[derive(Debug)]
struct Name {
    name: OsString,
    inode: u64,
    mode: u32,
}

impl HostFiles {
    /// The files from the root on.
    ///
    /// # Errors
    /// What opening the root said.
    pub fn new(view: View) -> io::Result<HostFiles> {
        let root = Node { path: PathBuf::from("/"), lookups: 1 };
        Ok(HostFiles {
            root: Beneath::new(Path::new("/"))?,
            view,
            nodes: HashMap::from([(ROOT, root)]),
            numbers: BTreeMap::from([(PathBuf::from("/"), ROOT)]),
            last: ROOT,
            open: None,
            listings: VecDeque::new(),
        })
    }

    /// Answers a request; `None` if it wants no answer or cannot be understood.
    pub fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let request = FuseRequest::parse(request)?;
        let answer = match &request.call {
            Call::Silent => return None,
            Call::Forget(nodes) => {
                nodes.iter().for_each(|(node, lookups)| self.forget(*node, *lookups));
                return None;
            }
            Call::Init { readahead, flags } => Ok(fuse::init(*readahead, *flags)),
            Call::Lookup { name } => self.look_up(request.node, OsStr::from_bytes(name)),
            Call::Attributes => self.metadata(request.node).map(|found| fuse::attributes_reply(&found)),
            Call::ReadLink => self.read_link(request.node),
            Call::Read { offset, size } => self.read(request.node, *offset, *size),
            Call::ReadFolder { offset, size } => self.read_folder(request.node, *offset, *size),
            Call::FileSystem => Ok(fuse::file_system()),
            Call::Change => Err(io::Error::from_raw_os_error(libc::EROFS)),
            // The kernel asks no more for what does not exist.
            Call::Unknown => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        };
        Some(match answer {
            Ok(body) => request.success(&body),
            Err(error) => request.failure(error.raw_os_error().unwrap_or(libc::EIO)),
        })
    }

    fn path(&self, node: NodeId) -> io::Result<&Path> {
        let node = self.nodes.get(&node).ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))?;
        Ok(&node.path)
    }

    fn metadata(&self, node: NodeId) -> io::Result<Metadata> {
        self.root.metadata(self.path(node)?)
    }

    fn look_up(&mut self, folder: NodeId, name: &OsStr) -> io::Result<Vec<u8>> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let parent = self.path(folder)?;
        let path = parent.join(name);
        if is_own_to_guest(parent) || !self.view.shows(&path) {
            return Ok(fuse::no_entry());
        }
        // What is no directory has no children: an honest kernel never asks for any, also not behind a link.
        let found = match self.root.metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fuse::no_entry()),
            Err(error) => return Err(error),
        };
        if self.nodes.len() >= MOST_NODES && !self.numbers.contains_key(&path) {
            return Err(io::Error::from_raw_os_error(libc::ENFILE));
        }
        let node = *self.numbers.entry(path.clone()).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        let known = self.nodes.entry(node).or_insert_with(|| Node { path, lookups: 0 });
        known.lookups = known.lookups.saturating_add(1);
        Ok(fuse::entry(node, &found))
    }

    fn forget(&mut self, number: NodeId, lookups: u64) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        if node.lookups == 0 && number != ROOT {
            self.numbers.remove(&node.path);
            self.nodes.remove(&number);
            self.open.take_if(|(open, _)| *open == number);
            self.listings.retain(|(folder, _)| *folder != number);
        }
    }

    fn read_link(&self, node: NodeId) -> io::Result<Vec<u8>> {
        let link = self.root.find(self.path(node)?)?;
        Ok(readlinkat(&link, "", Vec::new())?.into_bytes())
    }

    fn read(&mut self, node: NodeId, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let path = self.path(node)?.to_owned();
        let known = self.open.take().filter(|(open, file)| *open == node && self.is_current(file, &path));
        let file = match known {
            Some((_, file)) => file,
            None => self.root.open_file(&path)?,
        };
        let mut bytes = vec![0; size.min(MOST_READ) as usize];
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], offset.saturating_add(read as u64)) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        self.open = Some((node, file));
        Ok(bytes)
    }

    /// Whether an open file still is the one at this path.
    fn is_current(&self, file: &File, path: &Path) -> bool {
        let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        matches!((file.metadata(), self.root.metadata(path)), (Ok(open), Ok(there)) if same(&open, &there))
    }

    fn read_folder(&mut self, number: NodeId, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let known = self.listings.iter().any(|(folder, _)| *folder == number);
        if offset == 0 || !known {
            let names = self.list(self.path(number)?)?;
            self.listings.retain(|(folder, _)| *folder != number);
            self.listings.push_back((number, names));
            if self.listings.len() > MOST_LISTINGS {
                self.listings.pop_front();
            }
        }
        let names = self.listings.iter().find(|(folder, _)| *folder == number).map_or(&[][..], |(_, names)| names);
        let first = usize::try_from(offset).unwrap_or(usize::MAX).min(names.len());
        let mut body = Vec::new();
        for (at, Name { name, inode, mode }) in names.iter().enumerate().skip(first) {
            let next = at as u64 + 1;
            if !fuse::add_name(&mut body, size.min(MOST_READ) as usize, next, *inode, *mode, name.as_bytes()) {
                break;
            }
        }
        Ok(body)
    }

    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<Name>> {
        let folder = self.root.open_folder(path)?;
        let mut names: Vec<Name> =
            [".", ".."].map(|name| Name { name: name.into(), inode: 1, mode: libc::S_IFDIR }).into();
        if is_own_to_guest(path) {
            return Ok(names);
        }
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." || !self.view.shows(&path.join(name)) {
                continue;
            }
            // What is gone by now is not listed.
            let Ok(found) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if names.len() >= MOST_NAMES {
                return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
            }
            let inode = fuse::inode(found.st_ino, found.st_dev);
            names.push(Name { name: name.to_owned(), inode, mode: found.st_mode });
        }
        Ok(names)
    }
}

fn is_own_to_guest(folder: &Path) -> bool {
    OWN_TO_GUEST.iter().any(|own| folder.starts_with(own))
}

#[cfg(test)]
mod tests;

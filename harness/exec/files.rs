//! [`HostFiles`]: answers a guest's requests for the host's files. There is no code here that writes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::fuse::{self, Call, NodeId, ROOT, Request};

/// As much as is read at once, whatever the guest asks for.
const MOST_READ: u32 = 1 << 20;
/// Folders whose contents the guest has of its own.
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
/// Folders of such a guest that are empty.
const EMPTY: [&str; 3] = ["/boot", "/root", "/tmp"];

/// Which files of the host a guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// All that the user can read.
    Everything,
    /// Programs and libraries, and what is below these paths.
    Programs(Vec<PathBuf>),
}

/// The files of the host, as a guest sees them.
#[derive(Debug)]
pub struct HostFiles {
    view: View,
    nodes: HashMap<NodeId, Node>,
    numbers: BTreeMap<PathBuf, NodeId>,
    last: NodeId,
    /// The file that was read last, since the next read is most likely for it, too.
    open: Option<(NodeId, File)>,
}

#[derive(Debug)]
struct Node {
    path: PathBuf,
    /// How often the guest's kernel was told of it.
    lookups: u64,
    /// Names in it, from when the guest began to list them.
    names: Vec<(OsString, u64, u32)>,
}

impl HostFiles {
    /// The files from the root on.
    pub fn new(view: View) -> HostFiles {
        let root = Node { path: PathBuf::from("/"), lookups: 1, names: Vec::new() };
        HostFiles {
            view,
            nodes: HashMap::from([(ROOT, root)]),
            numbers: BTreeMap::from([(PathBuf::from("/"), ROOT)]),
            last: ROOT,
            open: None,
        }
    }

    /// Answers a request; `None` if it wants no answer or cannot be understood.
    pub fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let request = Request::parse(request)?;
        let answer = match &request.call {
            Call::Silent => return None,
            Call::Forget(nodes) => {
                nodes.iter().for_each(|(node, lookups)| self.forget(*node, *lookups));
                return None;
            }
            Call::Init { readahead, flags } => Ok(fuse::init(*readahead, *flags)),
            Call::Lookup { name } => self.look_up(request.node, OsStr::from_bytes(name)),
            Call::Attributes => self.metadata(request.node).map(|(_, found)| fuse::attributes_reply(&found)),
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

    fn metadata(&self, node: NodeId) -> io::Result<(&Path, Metadata)> {
        let path = self.path(node)?;
        Ok((path, fs::symlink_metadata(path)?))
    }

    fn look_up(&mut self, folder: NodeId, name: &OsStr) -> io::Result<Vec<u8>> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let parent = self.path(folder)?;
        let path = parent.join(name);
        if is_own_to_guest(parent) || !self.shows(&path) {
            return Ok(fuse::no_entry());
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fuse::no_entry()),
            Err(error) => return Err(error),
        };
        let node = *self.numbers.entry(path.clone()).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        self.nodes.entry(node).or_insert_with(|| Node { path, lookups: 0, names: Vec::new() }).lookups += 1;
        Ok(fuse::entry(node, &found))
    }

    fn forget(&mut self, number: NodeId, lookups: u64) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        if node.lookups == 0 && number != ROOT {
            self.numbers.remove(&node.path);
            self.nodes.remove(&number);
            self.open.take_if(|(open, _)| *open == number);
        }
    }

    fn read_link(&self, node: NodeId) -> io::Result<Vec<u8>> {
        Ok(fs::read_link(self.path(node)?)?.into_os_string().into_encoded_bytes())
    }

    fn read(&mut self, node: NodeId, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let path = self.path(node)?.to_owned();
        let known = self.open.take().filter(|(open, file)| *open == node && is_current(file, &path));
        let file = match known {
            Some((_, file)) => file,
            None => open_file(&path)?,
        };
        let mut bytes = vec![0; size.min(MOST_READ) as usize];
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], offset + read as u64) {
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

    fn read_folder(&mut self, number: NodeId, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        if offset == 0 {
            let path = self.path(number)?;
            let mut names = vec![(OsString::from("."), 1, libc::S_IFDIR), (OsString::from(".."), 1, libc::S_IFDIR)];
            if !is_own_to_guest(path) {
                for entry in fs::read_dir(path)? {
                    let entry = entry?;
                    // What is gone by now is not listed.
                    if self.shows(&entry.path())
                        && let Ok(found) = entry.metadata()
                    {
                        names.push((entry.file_name(), fuse::inode(&found), found.mode()));
                    }
                }
            }
            if let Some(node) = self.nodes.get_mut(&number) {
                node.names = names;
            }
        }
        let names = self.nodes.get(&number).map_or(&[][..], |node| &node.names);
        let first = usize::try_from(offset).unwrap_or(usize::MAX).min(names.len());
        let mut body = Vec::new();
        for (at, (name, inode, mode)) in names.iter().enumerate().skip(first) {
            let next = at as u64 + 1;
            if !fuse::add_name(&mut body, size.min(MOST_READ) as usize, next, *inode, *mode, name.as_bytes()) {
                break;
            }
        }
        Ok(body)
    }

    /// Whether the guest is to see it. Links are followed by the guest, so that each of its paths comes by here.
    fn shows(&self, path: &Path) -> bool {
        let View::Programs(given) = &self.view else { return true };
        let programs = PROGRAMS.iter().chain(&EMPTY).chain(&OWN_TO_GUEST).map(Path::new);
        let mut shown = programs.chain(given.iter().map(PathBuf::as_path));
        let is_empty_here = |shown: &Path| EMPTY.iter().any(|empty| shown == Path::new(empty)) && path != shown;
        shown.any(|shown| shown.starts_with(path) || path.starts_with(shown) && !is_empty_here(shown))
    }
}

fn is_own_to_guest(folder: &Path) -> bool {
    OWN_TO_GUEST.iter().any(|own| folder.starts_with(own))
}

/// Whether an open file still is the one at this path.
fn is_current(file: &File, path: &Path) -> bool {
    let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(open), Ok(there)) if same(&open, &there))
}

/// Opens a plain file and follows no link. Opening anything else may do something, such as to wake who waits at a pipe.
fn open_file(path: &Path) -> io::Result<File> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if !kind.is_file() {
        return Err(io::Error::from_raw_os_error(if kind.is_symlink() { libc::ELOOP } else { libc::EINVAL }));
    }
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

#[cfg(test)]
mod tests;

//! [`Beneath`]: opens files below a directory by paths that are not trusted, and follows no link on the way.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A directory that no path leads out of.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
    resolver: Resolver,
}

/// How a path is walked. Both ways refuse a link in any place of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    /// The kernel walks it.
    Openat2,
    /// Directory by directory, for hosts whose kernel (before 5.6) or container does not allow `openat2`.
    Walk,
}

impl Beneath {
    /// What is below this directory, which may be a link itself.
    ///
    /// # Errors
    /// What opening it said.
    pub fn new(folder: &Path) -> io::Result<Beneath> {
        let root = openat(CWD, folder, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        let resolver = match openat2(&root, ".", FOLDER, Mode::empty(), BENEATH) {
            Ok(_) => Resolver::Openat2,
            Err(_) => Resolver::Walk,
        };
        Ok(Beneath { root, resolver })
    }

    /// A handle on what is at a path, a link itself included. It cannot be read from, and opening it does nothing. A leading `/` is the
    /// directory.
    ///
    /// # Errors
    /// What opening it said: `ELOOP` for a link on the way.
    pub fn find(&self, path: &Path) -> io::Result<File> {
        Ok(File::from(self.resolve(path, OFlags::PATH)?))
    }

    /// What is at a path.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.find(path)?.metadata()
    }

    /// Opens a plain file. Opening anything else may do something, such as to wake who waits at a pipe.
    ///
    /// # Errors
    /// As [`find`](Self::find); `EINVAL` for what is no plain file.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let kind = self.metadata(path)?.file_type();
        if !kind.is_file() {
            return Err(io::Error::from_raw_os_error(if kind.is_symlink() { libc::ELOOP } else { libc::EINVAL }));
        }
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        // It may have been replaced in between.
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// Opens a directory to list it.
    ///
    /// # Errors
    /// As [`find`](Self::find); `ENOTDIR` for what is no directory.
    pub fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let below = path.strip_prefix("/").unwrap_or(path);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match self.resolver {
            Resolver::Openat2 => Ok(openat2(&self.root, below, flags, Mode::empty(), BENEATH)?),
            Resolver::Walk => self.walk(below, flags),
        }
    }

    fn walk(&self, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let (parents, last) = match below.file_name() {
            Some(last) => (below.parent().unwrap_or(Path::new("")), Path::new(last)),
            None => (Path::new(""), below),
        };
        let mut folder: Option<OwnedFd> = None;
        for part in parents.components() {
            let Component::Normal(name) = part else { return Err(io::Error::from_raw_os_error(libc::EXDEV)) };
            folder = Some(openat(folder.as_ref().unwrap_or(&self.root), name, FOLDER, Mode::empty())?);
        }
        Ok(openat(folder.as_ref().unwrap_or(&self.root), last, flags, Mode::empty())?)
    }
}

/// A directory on the way: with these flags a link to one is not a directory.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// No path leads out of the root, and none through a link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_in_any_place_of_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let (view, secret) = (folder.path().join("view"), folder.path().join("secret"));
        fs::create_dir_all(view.join("deep")).unwrap();
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("key"), "secret").unwrap();
        fs::write(view.join("deep/file"), "shown").unwrap();
        symlink(&secret, view.join("absolute")).unwrap();
        symlink("../secret", view.join("relative")).unwrap();
        symlink("deep", view.join("inside")).unwrap();
        let root = Beneath::new(&view).unwrap();
        for resolver in [root.resolver, Resolver::Walk] {
            let root = Beneath { root: root.root.try_clone().unwrap(), resolver };
            for path in ["/absolute/key", "/relative/key", "/inside/file", "/deep/../../secret/key", "/deep/file/x"] {
                assert!(root.metadata(Path::new(path)).is_err(), "{resolver:?} {path}");
                assert!(root.open_file(Path::new(path)).is_err(), "{resolver:?} {path}");
            }
            for link in ["/absolute", "/relative", "/inside"] {
                assert!(root.metadata(Path::new(link)).unwrap().is_symlink(), "{resolver:?} {link}");
                assert!(root.open_folder(Path::new(link)).is_err(), "{resolver:?} {link}");
                let error = root.open_file(Path::new(link)).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ELOOP), "{resolver:?} {link}");
            }
            let mut text = String::new();
            root.open_file(Path::new("/deep/file")).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "shown");
            assert!(root.metadata(Path::new("/")).unwrap().is_dir());
            assert!(root.open_folder(Path::new("/")).is_ok());
        }
    }
}

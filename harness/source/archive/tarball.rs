//! [`unpack`]: takes files out of a tar archive, into a tree that they cannot leave.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::source::archive::bounded::{HeaderRoom, UnpackRoom};

/// The error for an archive that is not what it claims to be.
pub(in crate::source) fn damaged(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

/// Unpacks the files of a tar archive whose path (without the leading `./`) is wanted, and returns how many there were.
///
/// Directories are made as needed; links are made only where they stay in the tree; everything else is left out. A file that
/// is there already is replaced.
///
/// # Errors
/// `InvalidData` for a damaged or hostile archive or one for which there is no room, anything else for failures of `into`.
pub(in crate::source) fn unpack(
    data: impl Read,
    into: &Path,
    wanted: &dyn Fn(&str) -> bool,
    room: &mut UnpackRoom,
) -> io::Result<usize> {
    let mut count = 0;
    let (headers, data) = HeaderRoom::of(data);
    let mut tar = tar::Archive::new(data);
    let mut entries = tar.entries().map_err(damaged)?;
    loop {
        headers.headers();
        let Some(entry) = entries.next() else { return Ok(count) };
        headers.content();
        let mut entry = entry.map_err(damaged)?;
        count += usize::from(unpack_one(&mut entry, into, wanted, room)?);
        // Or else the reader passes over it with the next header.
        io::copy(&mut entry, &mut io::sink()).map_err(damaged)?;
    }
}

/// Unpacks a file if it is wanted, and says whether it was.
fn unpack_one(
    entry: &mut tar::Entry<'_, impl Read>,
    into: &Path,
    wanted: &dyn Fn(&str) -> bool,
    room: &mut UnpackRoom,
) -> io::Result<bool> {
    let path = entry.path().map_err(damaged)?.into_owned();
    let inside =
        inside(&path).ok_or_else(|| damaged(format!("the path `{}` points outside the package", path.display())))?;
    if !inside.to_str().is_some_and(wanted) {
        return Ok(false);
    }
    let target = into.join(&inside);
    let kind = entry.header().entry_type();
    match kind {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let length = entry.size();
            let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
            room.take(length)?;
            if write(&target, entry, executable)? != length {
                return Err(damaged(format!("`{}` is truncated", inside.display())));
            }
        }
        tar::EntryType::Symlink | tar::EntryType::Link => {
            let Some(link) = entry.link_name().map_err(damaged)? else { return Ok(false) };
            let source = match kind {
                tar::EntryType::Link => link.into_owned(),
                _ => inside.parent().unwrap_or(Path::new("")).join(link),
            };
            let Some(source) = resolved(&source).map(|source| into.join(source)) else { return Ok(false) };
            // A copy instead of a link: nothing can be redirected later.
            if let Ok(found) = fs::symlink_metadata(&source)
                && found.is_file()
            {
                create_parent(&target)?;
                if source != target {
                    room.take(found.len())?;
                    fs::copy(&source, &target)?;
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes a file of an archive to its place, and returns how many bytes it had.
pub(in crate::source) fn write(target: &Path, content: &mut impl Read, executable: bool) -> io::Result<u64> {
    create_parent(target)?;
    if let Err(error) = fs::remove_file(target)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = File::options().write(true).create_new(true).open(target)?;
    let length = io::copy(content, &mut file)?;
    fs::set_permissions(target, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(length)
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// The path without `./`; `None` if it is absolute or goes up.
pub(in crate::source) fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// The path with `..` followed by name; `None` if it leaves the tree.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn header(kind: tar::EntryType, name: &str, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    fn unpacked(archive: impl Read, room: &mut UnpackRoom) -> io::Result<usize> {
        let folder = tempfile::tempdir().unwrap();
        unpack(archive, folder.path(), &|_| true, room)
    }

    #[test]
    fn files_and_copies_of_them_share_the_room() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |mut header: tar::Header, bytes: &[u8]| {
            header.set_cksum();
            tar.append(&header, bytes).unwrap();
        };
        add(header(tar::EntryType::Regular, "a", 1000), &[7; 1000]);
        for number in 0..10 {
            let mut link = header(tar::EntryType::Symlink, &format!("link{number}"), 0);
            link.set_link_name("a").unwrap();
            add(link, b"");
        }
        let tar = tar.into_inner().unwrap();
        assert_eq!(unpacked(&tar[..], &mut UnpackRoom::of(11_000, 11)).unwrap(), 11);
        for (bytes, files) in [(10_999, 11), (11_000, 10), (999, 11)] {
            let error = unpacked(&tar[..], &mut UnpackRoom::of(bytes, files)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("it unpacks to more than"), "{error}");
        }
        // Layers of one image share it.
        let mut room = UnpackRoom::of(12_000, 100);
        assert!(unpacked(&tar[..], &mut room).is_ok());
        assert!(unpacked(&tar[..], &mut room).is_err());
    }

    /// A name of 64 GiB, of which the packed archive has some megabytes.
    #[test]
    fn name_without_an_end_is_refused_before_it_fills_the_memory() {
        for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
            let mut header = header(kind, "x", 64 << 30);
            header.set_cksum();
            let endless = header.as_bytes().chain(io::repeat(b'x').take(64 << 30));
            let error = unpacked(endless, &mut UnpackRoom::default()).unwrap_err();
            assert!(error.to_string().contains("a name of more than"), "{error}");
        }
    }

    #[test]
    fn what_is_not_wanted_may_be_large() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            let mut header = header(tar::EntryType::Regular, name, 3 << 20);
            header.set_cksum();
            tar.append(&header, &vec![1; 3 << 20][..]).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unpack(&tar[..], folder.path(), &|name| name == "b", &mut UnpackRoom::default()).unwrap(), 1);
    }
}

//! [`unpack`]: takes files out of a tar archive, into a tree that they cannot leave.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// The error for an archive that is not what it claims to be.
pub(super) fn damaged(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

/// Unpacks the files of a tar archive whose path (without the leading `./`) is wanted, and returns how many there were.
///
/// Folders are made as needed; links are made only where they stay in the tree; everything else is left out. A file that
/// is there already is replaced.
///
/// # Errors
/// `InvalidData` for a damaged or hostile archive, anything else for trouble with `into`.
pub(super) fn unpack(data: impl Read, into: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<usize> {
    let mut count = 0;
    let mut tar = tar::Archive::new(data);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let inside = inside(&path).ok_or_else(|| damaged(format!("`{}` leaves the package", path.display())))?;
        if !inside.to_str().is_some_and(wanted) {
            continue;
        }
        let target = into.join(&inside);
        let kind = entry.header().entry_type();
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let length = entry.size();
                let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
                if write(&target, &mut entry, executable)? != length {
                    return Err(damaged(format!("`{}` is cut short", inside.display())));
                }
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let Some(link) = entry.link_name().map_err(damaged)? else {
                    continue;
                };
                let source = match kind {
                    tar::EntryType::Link => link.into_owned(),
                    _ => inside.parent().unwrap_or(Path::new("")).join(link),
                };
                let Some(source) = resolved(&source).map(|source| into.join(source)) else {
                    continue;
                };
                // A copy instead of a link: nothing can be redirected later.
                if fs::symlink_metadata(&source).is_ok_and(|found| found.is_file()) {
                    create_parent(&target)?;
                    if source != target {
                        fs::copy(&source, &target)?;
                    }
                }
            }
            _ => continue,
        }
        count += 1;
    }
    Ok(count)
}

/// Writes a file of an archive to its place, and returns how many bytes it had.
pub(super) fn write(target: &Path, content: &mut impl Read, executable: bool) -> io::Result<u64> {
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
pub(super) fn inside(path: &Path) -> Option<PathBuf> {
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

//! [`unpack`]: takes files out of a `.deb`, without dpkg.
//!
//! A `.deb` is an `ar` archive whose member `data.tar`, packed in one of several ways, holds the files.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use crate::source::archive::bounded::UnpackRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::{self, damaged};

/// Unpacks the files of `deb` whose path (without the leading `./`) is wanted, and returns how many there were.
///
/// Directories are made as needed; links are made only where they stay in the tree; everything else is left out.
///
/// # Errors
/// `InvalidData` for a damaged or hostile package, anything else for failures of `into`.
pub(in crate::source) fn unpack(deb: &Path, into: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<usize> {
    let mut archive = ar::Archive::new(BufReader::new(File::open(deb)?));
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(damaged)?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        if matches!(name.trim_end_matches('/'), "data.tar" | "data.tar.xz" | "data.tar.zst" | "data.tar.gz") {
            return tarball::unpack(unpacked(BufReader::new(member))?, into, wanted, &mut UnpackRoom::default());
        }
    }
    Err(damaged("it has no data member"))
}

#[cfg(test)]
pub(in crate::source) mod tests {
    use std::fs;
    use std::io::Read;

    use super::*;

    /// A `.deb` with the given files; a content of `-> X` makes a symbolic link.
    pub(crate) fn deb(member: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            // Written by hand, because the crate rightly refuses to make hostile paths.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            match content.strip_prefix(b"-> ") {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
                    header.set_size(0);
                    header.set_cksum();
                    tar.append(&header, io::empty()).unwrap();
                }
                None => {
                    header.set_size(content.len() as u64);
                    header.set_cksum();
                    tar.append(&header, *content).unwrap();
                }
            }
        }
        let tar = tar.into_inner().unwrap();
        let mut data = Vec::new();
        match member.rsplit('.').next().unwrap() {
            "xz" => drop(liblzma::read::XzEncoder::new(&tar[..], 1).read_to_end(&mut data).unwrap()),
            "zst" => data = zstd::encode_all(&tar[..], 1).unwrap(),
            "gz" => drop(
                flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast()).read_to_end(&mut data).unwrap(),
            ),
            _ => data = tar,
        }
        let mut out = ar::Builder::new(Vec::new());
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", b""), (member, &data)] {
            out.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes).unwrap();
        }
        out.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8], wanted: &dyn Fn(&str) -> bool) -> (tempfile::TempDir, io::Result<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.deb");
        fs::write(&path, bytes).unwrap();
        let into = folder.path().join("into");
        fs::create_dir(&into).unwrap();
        let result = unpack(&path, &into, wanted);
        (folder, result)
    }

    #[test]
    fn takes_what_is_wanted_from_every_packing() {
        for member in ["data.tar.xz", "data.tar.zst", "data.tar.gz", "data.tar"] {
            let bytes = deb(member, &[("./boot/vmlinuz-1", b"kernel"), ("./usr/share/doc/x", b"no")]);
            let (folder, count) = unpacked(&bytes, &|path| path.starts_with("boot/"));
            assert_eq!(count.unwrap(), 1, "{member}");
            assert_eq!(fs::read(folder.path().join("into/boot/vmlinuz-1")).unwrap(), b"kernel");
            assert!(!folder.path().join("into/usr").exists());
        }
    }

    #[test]
    fn nothing_leaves_the_tree() {
        for path in ["../out", "./a/../../out", "/out"] {
            let (folder, result) = unpacked(&deb("data.tar", &[(path, b"x")]), &|_| true);
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{path}");
            assert!(!folder.path().join("out").exists());
        }
        let hostile = deb("data.tar", &[("./a", b"-> .."), ("./a/out", b"x"), ("./b", b"-> /etc/passwd")]);
        let (folder, _) = unpacked(&hostile, &|_| true);
        assert!(!folder.path().join("out").exists());
        assert!(!folder.path().join("into/b").exists());
    }

    #[test]
    fn links_within_become_copies() {
        let files: [(&str, &[u8]); 2] = [("./usr/sbin/a", b"tool"), ("./usr/bin/b", b"-> ../sbin/a")];
        let (folder, count) = unpacked(&deb("data.tar.xz", &files), &|_| true);
        assert_eq!(count.unwrap(), 2);
        assert_eq!(fs::read(folder.path().join("into/usr/bin/b")).unwrap(), b"tool");
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = deb("data.tar.xz", &[("./boot/vmlinuz-1", &[7; 5000])]);
        for end in [0, 10, 100, bytes.len() - 100] {
            assert!(unpacked(&bytes[..end], &|_| true).1.is_err(), "cut at {end}");
        }
    }
}

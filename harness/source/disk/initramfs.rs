//! [`unpack`]: what an initial RAM disk has of a kernel's modules: themselves, or file systems that hold them, as Talos has it.
//!
//! One is a row of cpio archives of the format `newc`, each of which may be compressed, described in the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::source::archive::bounded::UnpackRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::{self, damaged, inside};
use crate::source::kernel_files::is_kernel_file;

const HEADER: usize = 110;
const MOST_OF_NAME: u64 = 4096;
const MOST_ENTRIES: usize = 200_000;
const REGULAR: u64 = 0o100_000;
const KIND: u64 = 0o170_000;

/// Whether a file is one of those that hold the root of a system.
pub(super) fn is_file_system(name: &str) -> bool {
    [".sqsh", ".squashfs", ".sqfs", ".erofs"].iter().any(|end| name.ends_with(end))
}

/// Unpacks what matters of an initial RAM disk.
///
/// # Errors
/// `InvalidData` for a damaged or hostile one, anything else for failures of `into`.
pub(super) fn unpack(file: &Path, into: &Path, room: &mut UnpackRoom) -> io::Result<()> {
    let mut data = BufReader::new(File::open(file)?);
    archives(&mut data, into, room)?;
    if skip_zeros(&mut data)? {
        // Compressed, it is the last one: what follows cannot be distinguished from it.
        archives(&mut BufReader::new(unpacked(data)?), into, room)?;
    }
    Ok(())
}

/// Passes over padding, and says whether something follows.
fn skip_zeros(data: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = data.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match (bytes.len(), zeros) {
            (0, _) => return Ok(false),
            (all, zeros) if zeros < all => {
                data.consume(zeros);
                return Ok(true);
            }
            (_, zeros) => data.consume(zeros),
        }
    }
}

/// Unpacks archives up to something else.
fn archives(data: &mut impl BufRead, into: &Path, room: &mut UnpackRoom) -> io::Result<()> {
    let mut entries = 0;
    while skip_zeros(data)? && data.fill_buf()?.starts_with(b"0") {
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(damaged(format!("it holds more than {MOST_ENTRIES} files")));
        }
        entry(data, into, room)?;
    }
    Ok(())
}

fn entry(data: &mut impl BufRead, into: &Path, room: &mut UnpackRoom) -> io::Result<()> {
    let mut header = [0; HEADER];
    data.read_exact(&mut header).map_err(damaged)?;
    if !(header.starts_with(b"070701") || header.starts_with(b"070702")) {
        return Err(damaged("it is not a cpio archive in `newc` format"));
    }
    let field = |at: usize| {
        let text = std::str::from_utf8(&header[6 + 8 * at..14 + 8 * at]).map_err(damaged)?;
        u64::from_str_radix(text, 16).map_err(damaged)
    };
    let (mode, size, length) = (field(1)?, field(6)?, field(11)?);
    if length > MOST_OF_NAME {
        return Err(damaged("a file in it has a name of more than 4096 bytes"));
    }
    let mut name = Vec::new();
    // The name ends with a zero; header and name together are padded, and so is the content.
    let padded = (HEADER as u64 + length).next_multiple_of(4) - HEADER as u64;
    data.take(padded).read_to_end(&mut name)?;
    name.truncate(usize::try_from(length.saturating_sub(1)).unwrap_or(0).min(name.len()));
    let name = String::from_utf8_lossy(&name).into_owned();
    let clean = name.trim_start_matches("./").trim_start_matches('/');
    let mut content = data.take(size);
    if mode & KIND == REGULAR && (is_kernel_file(clean) || is_file_system(clean)) {
        let path = inside(Path::new(clean)).ok_or_else(|| {
            damaged(format!(
                "the path `{name}` points outside the \
    archive"
            ))
        })?;
        room.take(size)?;
        if tarball::write(&into.join(path), &mut content, false)? != size {
            return Err(damaged("it is truncated"));
        }
    }
    io::copy(&mut content, &mut io::sink())?;
    io::copy(&mut data.take(size.next_multiple_of(4) - size), &mut io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::fuzz::fuzz;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in files {
            let builder = cpio::NewcBuilder::new(name).mode(0o100_644);
            let mut writer = builder.write(out, u32::try_from(content.len()).unwrap());
            writer.write_all(content).unwrap();
            out = writer.finish().unwrap();
        }
        cpio::newc::trailer(out).unwrap()
    }

    /// What [`unpack`] makes of these bytes: paths and contents.
    fn unpacked_files(bytes: &[u8], paths: &[&str]) -> io::Result<Vec<Option<Vec<u8>>>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disk");
        fs::write(&file, bytes).unwrap();
        let into = folder.path().join("into");
        unpack(&file, &into, &mut UnpackRoom::of(1 << 20, 100))?;
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + usize::from(into.exists()));
        Ok(paths.iter().map(|path| fs::read(into.join(path)).ok()).collect())
    }

    #[test]
    fn archives_in_a_row_give_modules_and_file_systems() {
        let module = "lib/modules/6.1.0/kernel/x.ko";
        let first = archive(&[("kernel/x86/microcode/x.bin", b"odd")]);
        let second = archive(&[("./init", b"#!"), (module, b"module"), ("/rootfs.sqsh", b"hsqs")]);
        let mut row = first;
        row.extend([0; 300]);
        for packed in [second.clone(), zstd::encode_all(&second[..], 1).unwrap()] {
            let all = [row.clone(), packed].concat();
            let found = unpacked_files(&all, &[module, "rootfs.sqsh", "init"]).unwrap();
            assert_eq!(found, [Some(b"module".to_vec()), Some(b"hsqs".to_vec()), None]);
        }
    }

    #[test]
    fn hostile_archives_are_refused() {
        let error = |bytes: &[u8]| unpacked_files(bytes, &[]).unwrap_err().to_string();
        let leaves = archive(&[("lib/../../x.sqsh", b"x")]);
        assert_eq!(error(&leaves), "the path `lib/../../x.sqsh` points outside the archive");
        let large = archive(&[("x.sqsh", &vec![0; 2 << 20])]);
        assert!(error(&large).contains("it unpacks to more than"));
        let mut long = archive(&[("x", b"x")]);
        long[6 + 8 * 11..14 + 8 * 11].copy_from_slice(b"FFFFFFFF");
        assert_eq!(error(&long), "a file in it has a name of more than 4096 bytes");
        assert_eq!(error(b"0something else"), "failed to fill whole buffer");
        assert_eq!(error(&archive(&[("x.sqsh", b"0123456789")])[..120]), "it is truncated");
    }

    #[test]
    fn fuzz_initramfs() {
        let seed = archive(&[("lib/modules/6.1.0/kernel/x.ko", b"module"), ("rootfs.sqsh", b"hsqs")]);
        fuzz("initramfs", &[seed], |bytes| drop(unpacked_files(bytes, &[])));
    }
}

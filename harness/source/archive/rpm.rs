//! [`unpack`]: takes files out of a `.rpm`, without rpm.
//!
//! A `.rpm` is a lead of 96 bytes, two headers (signature, metadata) whose lengths are given, and a compressed cpio archive.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::source::archive::bounded::{HeaderRoom, UnpackRoom};
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball::{self, damaged};

pub(super) const LEAD: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
pub(super) const LEAD_SIZE: u64 = 96;
pub(super) const HEADER: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
/// No header is larger; more is damage.
const HEADER_LIMIT: u64 = 256 << 20;
/// The bits of a mode with the type of a file, and those of a regular one.
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Unpacks the files of `rpm` whose path (without the leading `./`) is wanted, and returns how many there were.
///
/// # Errors
/// `InvalidData` for a damaged or hostile package, anything else for failures of `into`.
pub(in crate::source) fn unpack(rpm: &Path, into: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<usize> {
    let mut file = BufReader::new(File::open(rpm)?);
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(damaged)?;
    if magic != LEAD {
        return Err(damaged("it does not start with an RPM header"));
    }
    skip(&mut file, LEAD_SIZE - 4)?;
    let signature = header(&mut file)?;
    skip(&mut file, signature.next_multiple_of(8) - signature)?;
    header(&mut file)?;
    let (headers, mut archive) = HeaderRoom::of(unpacked(file)?);
    let (mut count, mut room) = (0, UnpackRoom::default());
    loop {
        headers.headers();
        let mut entry = cpio::newc::Reader::new(archive).map_err(damaged)?;
        headers.content();
        if entry.entry().is_trailer() {
            return Ok(count);
        }
        let (name, mode, size) = (entry.entry().name().to_owned(), entry.entry().mode(), entry.entry().file_size());
        let path = tarball::inside(Path::new(name.trim_start_matches("./")));
        let path = path.ok_or_else(|| damaged(format!("the path `{name}` points outside the package")))?;
        if mode & FILE_TYPE == REGULAR && size > 0 && path.to_str().is_some_and(wanted) {
            room.take(size.into())?;
            let length = tarball::write(&into.join(&path), &mut entry, mode & 0o100 != 0)?;
            if length != u64::from(size) {
                return Err(damaged(format!("`{name}` is truncated")));
            }
            count += 1;
        }
        archive = entry.finish().map_err(damaged)?;
    }
}

/// Passes over a header, and returns its length in bytes.
fn header(file: &mut impl BufRead) -> io::Result<u64> {
    let mut intro = [0; 16];
    file.read_exact(&mut intro).map_err(damaged)?;
    let number = |at: usize| u64::from(u32::from_be_bytes([intro[at], intro[at + 1], intro[at + 2], intro[at + 3]]));
    let rest = 16 * number(8) + number(12);
    if intro[..4] != HEADER || rest > HEADER_LIMIT {
        return Err(damaged("a header is damaged"));
    }
    skip(file, rest)?;
    Ok(16 + rest)
}

fn skip(file: &mut impl Read, length: u64) -> io::Result<()> {
    match io::copy(&mut file.take(length), &mut io::sink())? {
        skipped if skipped == length => Ok(()),
        _ => Err(damaged("it is truncated")),
    }
}

#[cfg(test)]
pub(in crate::source) mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// A `.rpm` with the given files.
    pub(crate) fn rpm(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = LEAD.to_vec();
        out.resize(96, 0);
        for (entries, size) in [(1u32, 5u32), (2, 8)] {
            out.extend(HEADER);
            out.extend([0; 4]);
            out.extend(entries.to_be_bytes());
            out.extend(size.to_be_bytes());
            out.resize(out.len() + (16 * entries + size) as usize, 7);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        let mut archive = Vec::new();
        for (name, content) in files {
            let mut writer = cpio::newc::Builder::new(name).mode(0o100_644).write(&mut archive, content.len() as u32);
            writer.write_all(content).unwrap();
            writer.finish().unwrap();
        }
        cpio::newc::trailer(&mut archive).unwrap();
        out.extend(zstd::encode_all(&archive[..], 1).unwrap());
        out
    }

    fn try_unpack(bytes: &[u8]) -> (tempfile::TempDir, io::Result<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.rpm");
        fs::write(&file, bytes).unwrap();
        let result = unpack(&file, &folder.path().join("into"), &|path| path.contains("vmlinuz"));
        (folder, result)
    }

    #[test]
    fn wanted_files_are_unpacked() {
        let bytes = rpm(&[("./lib/modules/6.1/vmlinuz", b"kernel"), ("./usr/share/doc/x", b"no")]);
        let (folder, count) = try_unpack(&bytes);
        assert_eq!(count.unwrap(), 1);
        assert_eq!(fs::read(folder.path().join("into/lib/modules/6.1/vmlinuz")).unwrap(), b"kernel");
    }

    #[test]
    fn nothing_leaves_the_tree() {
        for name in ["../vmlinuz", "./a/../../vmlinuz", "/vmlinuz"] {
            let (folder, result) = try_unpack(&rpm(&[(name, b"x")]));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
            assert!(!folder.path().join("vmlinuz").exists());
        }
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = rpm(&[("./boot/vmlinuz-1", &[7; 5000])]);
        for end in [0, 3, 50, 100, 140, bytes.len() - 20] {
            assert!(try_unpack(&bytes[..end]).1.is_err(), "cut at {end}");
        }
    }

    #[test]
    fn file_whose_name_has_no_end_is_refused() {
        let mut bytes = rpm(&[]);
        let packed = bytes.windows(4).position(|four| four == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
        bytes.truncate(packed);
        let mut archive = b"070701".to_vec();
        for field in 0..13 {
            archive.extend(format!("{:08x}", if field == 11 { 64u32 << 20 } else { 0 }).into_bytes());
        }
        archive.resize(100 << 20, b'x');
        bytes.extend(zstd::encode_all(&archive[..], 1).unwrap());
        let error = try_unpack(&bytes).1.unwrap_err();
        assert!(error.to_string().contains("a name of more than"), "{error}");
    }
}

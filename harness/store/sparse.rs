//! [`Seal`]: sparse files, written without their zero pages and recognised by a checksum that does not depend on holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

const PAGE: usize = 4096;
const CHUNK: usize = 1 << 20;

/// How a file is recognised. The checksum guards against accidents, not against attackers: who can write the store can replace
/// the kernels in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The file's length in bytes, holes included.
    pub bytes: u64,
    /// XXH3 (128 bits, hex) over all pages that are not zero, each with its place.
    pub xxh3: String,
}

impl Seal {
    /// Seals a file as it is.
    pub fn of(path: &Path) -> io::Result<Seal> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Seal { bytes, xxh3: fold_pages(&file, bytes, |_, _| Ok(()))? })
    }

    /// Copies the first `bytes` of `from` to the new file `to`, with holes where there is nothing but zeroes.
    pub fn copy(from: &File, bytes: u64, to: &Path) -> io::Result<Seal> {
        let file = File::create_new(to)?;
        file.set_len(bytes)?;
        let xxh3 = fold_pages(from, bytes, |at, page| file.write_all_at(page, at))?;
        Ok(Seal { bytes, xxh3 })
    }
}

/// Gives all pages that are not zero to `each`, and returns their checksum. Holes are skipped without being read.
fn fold_pages(file: &File, bytes: u64, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<String> {
    let mut hash = XxHash3_128::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at < bytes {
        at = match seek(file, SeekFrom::Data(at)) {
            Ok(data) => data - data % PAGE as u64,
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(at))?.min(bytes);
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            file.read_exact_at(&mut chunk[..length], at)?;
            for page in chunk[..length].chunks(PAGE) {
                if page.iter().any(|byte| *byte != 0) {
                    hash.write(&at.to_le_bytes());
                    hash.write(page);
                    each(at, page)?;
                }
                at += page.len() as u64;
            }
        }
    }
    Ok(format!("{:032x}", hash.finish_128()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::*;

    fn saved() -> (tempfile::TempDir, PathBuf, Seal) {
        let folder = tempfile::tempdir().expect("a folder");
        let source = tempfile::tempfile().expect("a file");
        source.set_len(8 << 20).expect("grows");
        source.write_all_at(b"kernel", 3 * PAGE as u64 + 17).expect("writes");
        source.write_all_at(&[0; PAGE], 5 << 20).expect("writes");
        source.write_all_at(b"end", (8 << 20) - 3).expect("writes");
        let path = folder.path().join("ram");
        let seal = Seal::copy(&source, 8 << 20, &path).expect("copies");
        (folder, path, seal)
    }

    #[test]
    fn copy_is_sparse_and_equal() {
        let (_folder, path, seal) = saved();
        assert_eq!(seal, Seal::of(&path).expect("reads"));
        let bytes = std::fs::read(&path).expect("reads");
        assert_eq!((bytes.len(), &bytes[3 * PAGE + 17..][..6]), (8 << 20, b"kernel".as_slice()));
        assert!(bytes.ends_with(b"end"));
        let blocks = std::fs::metadata(&path).expect("is there").blocks();
        assert!(blocks * 512 < 1 << 20, "{blocks} blocks");
    }

    #[test]
    fn checksum_does_not_depend_on_holes() {
        let (folder, path, seal) = saved();
        let dense = folder.path().join("dense");
        std::fs::write(&dense, std::fs::read(&path).expect("reads")).expect("writes");
        assert_eq!(Seal::of(&dense).expect("reads"), seal);
    }

    #[test]
    fn every_accident_breaks_the_seal() {
        let (_folder, path, seal) = saved();
        let file = File::options().write(true).open(&path).expect("opens");
        file.write_all_at(b"K", 3 * PAGE as u64 + 17).expect("writes");
        assert_ne!(Seal::of(&path).expect("reads"), seal, "a flipped bit");
        file.write_all_at(b"k", 3 * PAGE as u64 + 17).expect("writes");
        assert_eq!(Seal::of(&path).expect("reads"), seal);
        file.write_all_at(b"x", 6 << 20).expect("writes");
        assert_ne!(Seal::of(&path).expect("reads"), seal, "something in a hole");
        file.set_len(7 << 20).expect("shortens");
        assert_ne!(Seal::of(&path).expect("reads"), seal, "cut short");
    }
}

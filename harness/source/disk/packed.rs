//! [`unpack`]: a disk image out of the gzip, bzip2, xz, zstd or lz4 that it was published in.
//!
//! Images are mostly empty, so what is zero becomes a hole in the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::source::archive::tarball::damaged;

/// A disk image has at most so many bytes, holes included.
const LARGEST: u64 = 128 << 30;
/// And so many that are no holes: images of distributions have a few gigabytes.
const MOST_DATA: u64 = 16 << 30;
/// What a zstd window may need, as a power of two.
const ZSTD_WINDOW: u32 = 30;
const BLOCK: usize = 64 << 10;

/// Unpacks `image` to the file `to`; `false`, and no file, if it is not packed.
///
/// # Errors
/// `InvalidData` if it is damaged or too large, others of reading and writing.
pub(super) fn unpack(image: &Path, to: &Path) -> io::Result<bool> {
    let mut packed = BufReader::with_capacity(BLOCK, File::open(image)?);
    let mut reader: Box<dyn Read> = match packed.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(liblzma::read::XzDecoder::new_multi_decoder(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        _ => return Ok(false),
    };
    copy_with_holes(&mut reader, to, MOST_DATA)?;
    Ok(true)
}

fn copy_with_holes(reader: &mut dyn Read, to: &Path, most_data: u64) -> io::Result<()> {
    let mut out = File::create(to)?;
    let (mut length, mut data) = (0, 0);
    let mut block = vec![0; BLOCK];
    loop {
        let mut filled = 0;
        while filled < BLOCK {
            match reader.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What decoders say of a stream that is cut off or damaged has many kinds.
                Err(error) => return Err(damaged(error)),
            }
        }
        if filled == 0 {
            return out.set_len(length);
        }
        length += filled as u64;
        if block[..filled].iter().any(|byte| *byte != 0) {
            data += filled as u64;
            out.seek(SeekFrom::Start(length - filled as u64))?;
            out.write_all(&block[..filled])?;
        }
        if length > LARGEST || data > most_data {
            let limit = if length > LARGEST { LARGEST } else { most_data };
            return Err(damaged(format!("it unpacks to more than {} MiB", limit >> 20)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(plain).unwrap();
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(plain, 1).read_to_end(&mut xz).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(plain).unwrap();
        vec![
            ("gz", gzip.finish().unwrap()),
            ("bz2", bzip2.finish().unwrap()),
            ("xz", xz),
            ("zst", zstd::encode_all(plain, 1).unwrap()),
            ("lz4", lz4.finish().unwrap()),
        ]
    }

    #[test]
    fn each_packing_gives_the_image_with_holes() {
        let folder = tempfile::tempdir().unwrap();
        let mut plain = vec![0; 4 << 20];
        plain[3 << 20..][..5].copy_from_slice(b"hello");
        let (image, to) = (folder.path().join("image"), folder.path().join("raw"));
        for (kind, bytes) in packed(&plain) {
            fs::write(&image, &bytes).unwrap();
            assert!(unpack(&image, &to).unwrap(), "{kind}");
            assert_eq!(fs::read(&to).unwrap(), plain, "{kind}");
            assert!(fs::metadata(&to).unwrap().blocks() * 512 < 1 << 20, "{kind}");
            fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
            assert_eq!(unpack(&image, &to).unwrap_err().kind(), io::ErrorKind::InvalidData, "{kind}");
        }
        fs::remove_file(&to).unwrap();
        fs::write(&image, &plain).unwrap();
        assert!(!unpack(&image, &to).unwrap() && !to.exists());
    }

    #[test]
    fn a_bomb_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let error = copy_with_holes(&mut io::repeat(1), &folder.path().join("raw"), 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 1 MiB");
    }
}

//! [`unpacked`]: the bytes without their compression, detected by their first bytes.

use std::io::{self, BufRead, Read};

use crate::source::archive::bounded::Bounded;

/// The most that one archive may unpack to: a kernel with all modules and debug information stays below.
pub(in crate::source) const UNPACKED_LIMIT: u64 = 4 << 30;

/// Reads what `packed` holds: xz, lzma's container, zstd, gzip, or plain bytes; more than [`UNPACKED_LIMIT`] of it is an error.
pub(in crate::source) fn unpacked<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let begin = packed.fill_buf()?;
    let reader: Box<dyn Read + 'a> = if begin.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::read::XzDecoder::new_multi_decoder(packed))
    } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::Decoder::with_buffer(packed)?;
        decoder.window_log_max(30)?;
        Box::new(decoder)
    } else if begin.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(packed))
    } else {
        Box::new(packed)
    };
    Ok(Box::new(Bounded::new(reader, UNPACKED_LIMIT)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_unpacks_to_too_much_is_an_error_that_says_so() {
        let error = io::copy(&mut unpacked(io::BufReader::new(io::repeat(1))).unwrap(), &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 4096 MiB");
    }

    #[test]
    fn every_packing_is_seen_through() {
        let plain = b"hello ".repeat(1000);
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&plain[..], 1).read_to_end(&mut xz).unwrap();
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
        for packed in [plain.clone(), xz, gzip, zstd::encode_all(&plain[..], 1).unwrap()] {
            let mut found = Vec::new();
            unpacked(Cursor::new(packed)).unwrap().read_to_end(&mut found).unwrap();
            assert_eq!(found, plain);
        }
        let mut nothing = Vec::new();
        unpacked(Cursor::new(Vec::new())).unwrap().read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty());
    }
}

//! [`Packing`]: how file systems compress the blocks of their files.

use std::io::{self, Read};

use liblzma::stream::Stream;

use crate::source::archive::tarball::damaged;

/// For a block of a file system; dictionaries have a few megabytes.
const LZMA_MEMORY: u64 = 64 << 20;
/// What a zstd window may need, as a power of two.
const ZSTD_WINDOW: u32 = 27;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Zlib,
    Deflate,
    Zstd,
    Xz,
    /// LZMA with the header of 13 bytes.
    Lzma,
    /// LZMA whose first byte holds the properties, inverted, and nothing else in front.
    MicroLzma,
    Lz4,
    Lzo,
}

impl Packing {
    /// Unpacks one block into at most `limit` bytes. What follows a whole stream is padding; what is cut short is damage.
    pub fn unpack(self, packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        match self {
            Packing::Zlib => read(flate2::read::ZlibDecoder::new(packed), limit),
            Packing::Deflate => read(flate2::read::DeflateDecoder::new(packed), limit),
            Packing::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed).map_err(damaged)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW).map_err(damaged)?;
                read(decoder, limit)
            }
            Packing::Xz => {
                let stream = Stream::new_stream_decoder(LZMA_MEMORY, 0).map_err(damaged)?;
                read(liblzma::read::XzDecoder::new_stream(packed, stream), limit)
            }
            Packing::Lzma => lzma(packed, limit),
            Packing::MicroLzma => {
                let [properties, rest @ ..] = packed else { return Err(damaged("a packed block is empty")) };
                let mut whole = vec![!properties];
                whole.extend(u32::try_from(LZMA_MEMORY / 4).unwrap_or(u32::MAX).to_le_bytes());
                whole.extend((limit as u64).to_le_bytes());
                whole.push(0);
                whole.extend(rest);
                lzma(&whole, limit)
            }
            Packing::Lz4 => {
                let mut out = vec![0; limit];
                let length = lz4_flex::block::decompress_into(packed, &mut out).map_err(damaged)?;
                out.truncate(length);
                Ok(out)
            }
            Packing::Lzo => {
                let mut out = vec![0; limit];
                let length = lzokay::decompress::decompress(packed, &mut out);
                let length = length.map_err(|error| damaged(format!("a block in lzo: {error:?}")))?;
                out.truncate(length);
                Ok(out)
            }
        }
    }
}

fn lzma(packed: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let stream = Stream::new_lzma_decoder(LZMA_MEMORY).map_err(damaged)?;
    read(liblzma::read::XzDecoder::new_stream(packed, stream), limit)
}

fn read(decoder: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(limit as u64).read_to_end(&mut out).map_err(damaged)?;
    Ok(out)
}

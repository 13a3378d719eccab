//! [`RpmHeaders`]: what an `.rpm` says of itself, and its signatures.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::source::archive::rpm::{HEADER, LEAD, LEAD_SIZE};
use crate::source::archive::tarball::damaged;

/// No header of a kernel is as large.
const LARGEST: u64 = 64 << 20;
/// Signatures of one package that are looked at.
const MOST_SIGNATURES: usize = 16;

/// Tags of the header with signatures.
mod signature_tag {
    /// Of the header alone, one for each kind of key; of rpm 6 any kind, as base64.
    pub const OF_HEADER: [u32; 2] = [267, 268];
    pub const OPENPGP: u32 = 278;
    /// Of header and payload.
    pub const OF_ALL: [u32; 2] = [1002, 1005];
}

/// Tags of the header.
mod tag {
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const ARCH: u32 = 1022;
    pub const PAYLOAD_SHA256: u32 = 5092;
}

/// Who a package says it is, and what is signed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct RpmHeaders {
    pub name: String,
    /// `VERSION-RELEASE`.
    pub version: String,
    pub arch: String,
    /// Where the header lies in the file; the payload follows.
    pub header: Range<u64>,
    /// SHA-256 of the payload, which the header vouches for.
    pub payload_sha256: Option<String>,
    /// OpenPGP signatures of the header.
    pub of_header: Vec<Vec<u8>>,
    /// OpenPGP signatures of header and payload.
    pub of_all: Vec<Vec<u8>>,
}

/// One header: its index of tags and its data.
struct Header {
    bytes: Vec<u8>,
    entries: usize,
}

impl RpmHeaders {
    /// Reads them.
    ///
    /// # Errors
    /// `InvalidData` for a damaged package.
    pub fn read(rpm: &Path) -> io::Result<RpmHeaders> {
        let mut file = BufReader::new(File::open(rpm)?);
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(damaged)?;
        if magic != LEAD {
            return Err(damaged("it does not start with an RPM header"));
        }
        file.seek(SeekFrom::Start(LEAD_SIZE))?;
        let signatures = Header::read(&mut file)?;
        let begin = (LEAD_SIZE + signatures.bytes.len() as u64).next_multiple_of(8);
        file.seek(SeekFrom::Start(begin))?;
        let header = Header::read(&mut file)?;
        let text = |tag: u32, what: &str| {
            header.texts(tag).into_iter().next().ok_or_else(|| damaged(format!("its header has no {what}")))
        };
        let mut of_header: Vec<Vec<u8>> =
            signature_tag::OF_HEADER.iter().filter_map(|tag| Some(signatures.binary(*tag)?.to_vec())).collect();
        for text in signatures.texts(signature_tag::OPENPGP) {
            of_header.push(BASE64_STANDARD.decode(text).map_err(damaged)?);
        }
        let of_all: Vec<Vec<u8>> =
            signature_tag::OF_ALL.iter().filter_map(|tag| Some(signatures.binary(*tag)?.to_vec())).collect();
        of_header.truncate(MOST_SIGNATURES);
        Ok(RpmHeaders {
            name: text(tag::NAME, "name")?,
            version: format!("{}-{}", text(tag::VERSION, "version")?, text(tag::RELEASE, "release")?),
            arch: text(tag::ARCH, "architecture")?,
            header: begin..begin + header.bytes.len() as u64,
            payload_sha256: header.texts(tag::PAYLOAD_SHA256).into_iter().next().filter(|text| text.len() == 64),
            of_header,
            of_all,
        })
    }
}

impl Header {
    fn read(file: &mut impl Read) -> io::Result<Header> {
        let mut bytes = vec![0; 16];
        file.read_exact(&mut bytes).map_err(damaged)?;
        let (entries, size) = (u32_be(&bytes, 8).unwrap_or(0), u32_be(&bytes, 12).unwrap_or(0));
        let rest = 16 * u64::from(entries) + u64::from(size);
        if bytes[..4] != HEADER || rest > LARGEST {
            return Err(damaged("a header is damaged"));
        }
        let read = file.take(rest).read_to_end(&mut bytes)?;
        if read as u64 != rest {
            return Err(damaged("it is truncated"));
        }
        Ok(Header { bytes, entries: entries as usize })
    }

    /// Type, count and data of a tag.
    fn entry(&self, wanted: u32) -> Option<(u32, usize, &[u8])> {
        let index = self.bytes.get(16..16 + 16 * self.entries)?;
        let entry = index.chunks_exact(16).find(|entry| u32_be(entry, 0) == Some(wanted))?;
        let data = self.bytes.get(16 + 16 * self.entries..)?.get(u32_be(entry, 8)? as usize..)?;
        Some((u32_be(entry, 4)?, u32_be(entry, 12)? as usize, data))
    }

    fn binary(&self, tag: u32) -> Option<&[u8]> {
        match self.entry(tag)? {
            (7, count, data) => data.get(..count),
            _ => None,
        }
    }

    /// The strings of a tag: one, or an array of them.
    fn texts(&self, tag: u32) -> Vec<String> {
        let Some((kind @ (6 | 8 | 9), count, data)) = self.entry(tag) else { return Vec::new() };
        let count = if kind == 6 { 1 } else { count.min(MOST_SIGNATURES) };
        let texts = data.split(|byte| *byte == 0).take(count);
        texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

//! [`pack`] and [`unpack`]: the files of a bundle as one tar archive, compressed by zstd. Unpacking goes into memory, has bounds for
//! everything, and takes nothing but plain files with names that a bundle may have.

use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use super::companions::{MODULES, TARGETS};
use super::error::BundleError;
use crate::file_name::is_file_name;

/// A file of a bundle: its name, and what is in it.
pub(super) type ArchiveMember = (String, Vec<u8>);

/// Objects are small, and reports of one row are small.
const LEVEL: i32 = 6;
/// Bytes of all members together.
const MOST_IN_ALL: u64 = 256 << 20;
/// More programs than any object has.
const MOST_MEMBERS: usize = 4096;
/// tar ends with two blocks of zeros, filled up to a record of 10 KiB.
const PADDING: u64 = 10 << 10;

/// The most bytes that a file of this name may have; `None` if a bundle has no such file.
pub(super) fn limit(name: &str) -> Option<u64> {
    match name {
        "bundle.json" | "kernels.toml" | "kernels.lock" | "suite.toml" => Some(1 << 20),
        "report.json" => Some(64 << 20),
        _ => of_folder(name),
    }
}

fn of_folder(name: &str) -> Option<u64> {
    if let Some(log) = name.strip_prefix("logs/") {
        let number = log.strip_suffix(".log.zst")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then_some(16 << 20);
    }
    if let Some(module) = name.strip_prefix(MODULES) {
        let is_module = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| module.ends_with(end));
        return (is_module && is_file_name(module)).then_some(64 << 20);
    }
    let object = name.strip_prefix(TARGETS).unwrap_or(name).strip_suffix(".bpf.o")?;
    is_file_name(object).then_some(64 << 20)
}

/// Writes the archive. The same members give the same bytes.
pub(super) fn pack(members: &[ArchiveMember], out: impl Write) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut tar = Builder::new(encoder);
    for (name, bytes) in members {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice())?;
    }
    tar.into_inner()?.finish()?.flush()
}

/// Reads an archive; `path` is for messages.
pub(super) fn unpack(file: impl Read, path: &Path) -> Result<Vec<ArchiveMember>, BundleError> {
    let damaged = |reason: String| BundleError::Damaged { path: path.to_owned(), reason };
    let refused = |reason: String| BundleError::Refused { path: path.to_owned(), reason };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let decoder = zstd::Decoder::new(file).map_err(unreadable)?;
    // Headers and padding come on top; regardless of the sizes that the archive states, no more than this is unpacked.
    let bound = MOST_IN_ALL + MOST_MEMBERS as u64 * 1024 + PADDING;
    let mut archive = Archive::new(decoder.take(bound));
    let mut members: Vec<ArchiveMember> = Vec::new();
    let mut total = 0;
    // Raw: a header that renames or resizes the next file is an entry like any other, and refused.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let entry = entry.map_err(unreadable)?;
        let name = String::from_utf8(entry.path_bytes().into_owned());
        let name = name.map_err(|_| refused("a name in it is not UTF-8".to_owned()))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refused(format!("`{}` is not a plain file", name.escape_debug())));
        }
        let Some(limit) = limit(&name) else {
            return Err(refused(format!("unexpected file `{}`", name.escape_debug())));
        };
        if members.iter().any(|(known, _)| *known == name) {
            return Err(refused(format!("`{name}` occurs twice")));
        }
        let size = entry.size();
        total += size.min(MOST_IN_ALL + 1);
        if size > limit || total > MOST_IN_ALL || members.len() == MOST_MEMBERS {
            return Err(refused(format!("`{name}` exceeds the size limit")));
        }
        let mut bytes = Vec::new();
        entry.take(size).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 != size {
            return Err(damaged(format!("`{name}` is truncated")));
        }
        members.push((name, bytes));
    }
    // The checksum stands at the very end.
    let rest = io::copy(&mut archive.into_inner().take(2 * PADDING), &mut io::sink()).map_err(unreadable)?;
    if rest >= 2 * PADDING {
        return Err(refused("data after the end of the archive".to_owned()));
    }
    Ok(members)
}

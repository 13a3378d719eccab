//! [`save`] and [`read`]: whole logs on disk, compressed by zstd.

use crate::whole_file;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// The ending of a compressed log's name.
pub const SUFFIX: &str = ".log.zst";

/// Logs repeat themselves: the fastest level already shrinks them twenty times and more.
const LEVEL: i32 = 1;
/// No kernel gives a log longer than this; a longer file was not written by corematrix.
const MAX_LOG: u64 = 1 << 30;

/// Writes `log` to `path`, in full or not at all.
pub fn save(path: &Path, log: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let written = whole_file::replace(path, |out| {
        let mut encoder = zstd::Encoder::new(out, LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(log)?;
        encoder.finish().map(drop)
    });
    written.map_err(|error| error.source)
}

/// Reads a log that [`save`] wrote, or a plain file of another name. Bytes that are no UTF-8 come back as U+FFFD.
pub fn read(path: &Path) -> io::Result<String> {
    read_from(File::open(path)?, &path.to_string_lossy())
}

/// Reads likewise a file that has this name.
pub fn read_from(file: File, name: &str) -> io::Result<String> {
    // What commands say is kept as it is, for people to read.
    let reader: Box<dyn Read> = match name.ends_with(SUFFIX) {
        true => Box::new(zstd::Decoder::new(file)?),
        false => Box::new(file),
    };
    let mut log = Vec::new();
    reader.take(MAX_LOG + 1).read_to_end(&mut log)?;
    if log.len() as u64 > MAX_LOG {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the log is longer than kernels allow"));
    }
    Ok(String::from_utf8(log).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_come_back_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("6.1/object/program.log.zst");
        let log = "4: (85) call bpf_get_prandom_u32#7\n".repeat(10_000);
        save(&path, log.as_bytes()).expect("saves");
        assert!(std::fs::metadata(&path).expect("exists").len() < 1000);
        assert_eq!(read(&path).expect("reads"), log);
        save(&path, b"x\xffy").expect("saves again");
        assert_eq!(read(&path).expect("reads"), "x\u{fffd}y");
    }

    #[test]
    fn broken_files_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log.zst");
        save(&path, "a log ".repeat(1000).as_bytes()).expect("saves");
        let bytes = std::fs::read(&path).expect("reads");
        for cut in 1..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("writes");
            assert!(read(&path).is_err(), "cut at {cut}");
        }
    }
}

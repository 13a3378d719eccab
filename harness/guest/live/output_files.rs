//! What is left when a command has ended: the files that it put out, and what the kernel logged.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::folder;
use corematrix_protocol::live::{LeftKind, LiveReport};

/// Files are sent in pieces of this size.
const PIECE: usize = 1 << 20;
/// More of the kernel's log is not kept.
const MOST_LOG: usize = 1 << 20;

/// Sends what lies in `$OUT`, directories before what is in them.
pub fn send(mut report: impl FnMut(LiveReport, &[u8]) -> Result<(), String>) -> Result<(), String> {
    let out = PathBuf::from(folder("out"));
    let mut folders = vec![out.clone()];
    while let Some(next) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&next).into_iter().flatten().flatten().map(|one| one.path()).collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(&out).unwrap_or(&path).to_string_lossy().into_owned();
            let kind = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => LeftKind::Folder,
                Ok(found) if found.is_file() => LeftKind::File,
                _ => LeftKind::Other,
            };
            match kind {
                LeftKind::File => send_file(&path, &name, &mut report)?,
                _ => report(LiveReport::Left { path: name, kind }, &[])?,
            }
            if kind == LeftKind::Folder {
                folders.push(path);
            }
        }
    }
    Ok(())
}

fn send_file(
    path: &Path,
    name: &str,
    report: &mut impl FnMut(LiveReport, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("cannot read `{name}`: {error}");
    let mut file = File::open(path).map_err(broken)?;
    let mut kind = LeftKind::File;
    loop {
        let mut piece = Vec::new();
        file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(broken)?;
        if piece.is_empty() && kind == LeftKind::More {
            return Ok(());
        }
        report(LiveReport::Left { path: name.to_owned(), kind }, &piece)?;
        kind = LeftKind::More;
    }
}

/// The kernel's log from a point in time on.
pub struct LogSinceStart(Option<File>);

impl LogSinceStart {
    /// What comes from now on.
    pub fn from_now_on() -> LogSinceStart {
        let log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok();
        LogSinceStart(log.and_then(|mut log| log.seek(SeekFrom::End(0)).map(|_| log).ok()))
    }

    /// What has come, as lines.
    pub fn text(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let Some(log) = &mut self.0 else { return text };
        let mut record = [0; 8192];
        while text.len() < MOST_LOG {
            match log.read(&mut record) {
                Ok(0) => break,
                // `6,339,5140900,-;text`, and lines that begin with a blank for those who want to know more.
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    let (head, rest) = record.split_once(';').unwrap_or(("", &record));
                    let time: u64 = head.split(',').nth(2).and_then(|time| time.parse().ok()).unwrap_or(0);
                    let line = rest.lines().next().unwrap_or_default();
                    text.extend(format!("[{:5}.{:06}] {line}\n", time / 1_000_000, time % 1_000_000).into_bytes());
                }
                // Older records were overwritten.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => break,
            }
        }
        text
    }
}

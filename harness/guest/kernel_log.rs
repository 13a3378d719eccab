//! [`KernelLog`]: what the guest's kernel writes into its log from some time on.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use corematrix_protocol::GuestMessage;

const TAINTED: &str = "/proc/sys/kernel/tainted";
/// The kernel never gives a longer record.
const RECORD: usize = 8192;
/// Bytes that are passed on at a time. A program that makes its kernel say more has said enough.
const MOST: usize = 256 << 10;

/// Reads the log from the place where it was when this was opened. Forked copies share that place, so that each line is read once.
pub struct KernelLog {
    records: Result<File, String>,
    /// Bits of the taint mask at the beginning.
    tainted: u64,
}

impl KernelLog {
    /// From now on.
    pub fn open() -> KernelLog {
        let open = || {
            let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let records = open().map_err(|error: std::io::Error| format!("/dev/kmsg: {error}"));
        KernelLog { records, tainted: tainted() }
    }

    /// What was written since the last time, for the host; `None` if nothing was.
    pub fn take(&mut self, program: Option<&str>) -> Option<(GuestMessage, Vec<u8>)> {
        let (lines, missing) = self.read();
        let message = GuestMessage::KernelLog { program: program.map(str::to_owned), missing, tainted: 0 };
        let says_something = !lines.is_empty() || matches!(&message, GuestMessage::KernelLog { missing: Some(_), .. });
        says_something.then(|| (message, lines.into_bytes()))
    }

    /// The lines that were written since the last time.
    pub fn lines(&mut self) -> String {
        self.read().0
    }

    /// As [`KernelLog::take`] at the end of an object, with the taints that are new.
    pub fn take_last(&mut self) -> Option<(GuestMessage, Vec<u8>)> {
        let (lines, mut missing) = self.read();
        if let Err(reason) = &self.records {
            missing = Some(reason.clone());
        }
        let tainted = tainted() & !self.tainted;
        let says_something = !lines.is_empty() || missing.is_some() || tainted != 0;
        says_something.then(|| (GuestMessage::KernelLog { program: None, missing, tainted }, lines.into_bytes()))
    }

    /// Lines, and why some are missing.
    fn read(&mut self) -> (String, Option<String>) {
        let (mut lines, mut missing) = (String::new(), None);
        let Ok(file) = &mut self.records else { return (lines, missing) };
        let mut record = [0; RECORD];
        while lines.len() < MOST {
            match file.read(&mut record) {
                Ok(0) => return (lines, missing),
                Ok(length) => add(&mut lines, &record[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (lines, missing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The next read gives the oldest that is left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    missing = Some("it was written faster than read".to_owned());
                }
                Err(error) => return (lines, Some(error.to_string())),
            }
        }
        let _ = file.seek(SeekFrom::End(0));
        (lines, Some(format!("it had more than {} KiB at once", MOST >> 10)))
    }
}

fn tainted() -> u64 {
    fs::read_to_string(TAINTED).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Adds the text of a record: `priority,number,time,flags;text`, and below it lines that begin with a blank and are about the device.
fn add(lines: &mut String, record: &[u8]) {
    let record = String::from_utf8_lossy(record);
    let Some((_, text)) = record.split_once(';') else { return };
    *lines += &unescaped(text.lines().next().unwrap_or_default());
    lines.push('\n');
}

/// The kernel writes what is not printable as `\x0a`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(char::from(code));
                plain += &part[2..];
            }
            Some(_) => {
                plain.push('?');
                plain += &part[2..];
            }
            None => {
                plain += "\\x";
                plain += part;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_lines() {
        let mut lines = String::new();
        add(&mut lines, b"4,339,5140900,-;WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\n SUBSYSTEM=pci\n DEVICE=+pci:1\n");
        add(&mut lines, b"6,340,5140901,-,caller=T1;a \\x5cb\\x0ac \\xff\\x1\n");
        add(&mut lines, b"no record");
        assert_eq!(lines, "WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2\na \\b\nc ?\\x1\n");
    }
}

//! [`write_executable`]: programs that tests make.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable by another process. What this process has open for writing is open in each process that another test is just
/// starting, too, and Linux starts no program that is open for writing anywhere (`ETXTBSY`).
pub fn write_executable(path: &Path, content: &[u8]) {
    let mut writer = Command::new("sh");
    writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    writer.stdin.take().unwrap().write_all(content).unwrap();
    assert!(writer.wait().unwrap().success());
}

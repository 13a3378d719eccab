//! What commands do when no one reads what they print, or it cannot be written. No kernel boots.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

/// Commands that print at once, and their exit code.
fn commands() -> Vec<(Vec<String>, i32)> {
    let object = format!("{}/tests/fixtures/objects/statics.bpf.o", env!("CARGO_MANIFEST_DIR"));
    let object = object.as_str();
    [
        (vec!["list", "programs", object], 0),
        (vec!["init", "-o", "-", object], 0),
        (vec!["kernels", "list"], 0),
        (vec!["store", "list"], 0),
        (vec!["report", "no-such-report"], 3),
    ]
    .into_iter()
    .map(|(words, code)| (words.into_iter().map(str::to_owned).collect(), code))
    .collect()
}

/// The end of a pipe that no one reads.
fn unread() -> OwnedFd {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn command(words: &[String], store: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.args(words).arg("--store").arg(store.path()).stdin(Stdio::null());
    command
}

#[test]
fn reader_that_has_gone_away_is_no_failure() {
    let store = tempfile::tempdir().unwrap();
    for (words, code) in commands() {
        let Output { status, stderr, .. } = command(&words, &store).stdout(unread()).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{words:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{words:?}: {said}");
        // As with `2>&1 | head -1`.
        let status = command(&words, &store).stdout(unread()).stderr(unread()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let store = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (words, _) = &commands()[0];
    let Output { status, stderr, .. } = command(words, &store).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("cannot write to standard output: No space left on device"), "{said}");
}

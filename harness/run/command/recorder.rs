//! [`Recorder`]: keeps what a command prints and what it leaves in `$OUT`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::CommandJob;
use crate::exec::{Attendant, CommandEnding, FinishedCommand, OutputFiles};
use crate::protocol::live::{LeftKind, Stream, TerminalSize};
use crate::record::ProgramRecord;
use crate::test_output::{TestOutput, TestReader};
use crate::vm::GuestLoss;

/// Where outputs go, below the report's directory; a directory for each kernel.
const OUTPUT_FOLDER: &str = "output";
/// The command's output in it.
const OUTPUT: &str = "output.txt";
/// What the kernel logged meanwhile.
const KERNEL_LOG: &str = "kernel.log";
/// More output than this is not kept.
const MOST_OUTPUT: u64 = 64 << 20;
/// How many lines of output the record keeps.
const TAIL: usize = 30;
/// A longer line is cut in the record.
const LONGEST_LINE: usize = 500;

/// Keeps what a command says and leaves.
pub(super) struct Recorder {
    folder: PathBuf,
    output: File,
    written: u64,
    tail: OutputTail,
    left: Option<OutputFiles>,
    tests: Option<TestReader>,
    /// What is not as it should be with the root, which is the same for every command on this kernel.
    pub(super) root_notes: Vec<String>,
    notes: Vec<String>,
    trouble: Option<String>,
}

impl Recorder {
    pub(super) fn new(job: &CommandJob, kernel: &str, attempt: u32) -> Result<Recorder, String> {
        let folder = job.report.join(OUTPUT_FOLDER).join(kernel);
        let output = fs::create_dir_all(&folder).and_then(|()| File::create(folder.join(OUTPUT)));
        let output = output.map_err(|error| format!("cannot keep the output in `{}`: {error}", folder.display()))?;
        let left = job.out.as_ref().map(|out| {
            let out = out.join(kernel);
            if attempt > 1 {
                // It holds what the first try left. If it cannot be removed, the next line says so.
                let _ = fs::remove_dir_all(&out);
            }
            OutputFiles::new(out).map_err(|error| error.to_string())
        });
        let left = left.transpose()?;
        let (root_notes, notes, tail) = (Vec::new(), Vec::new(), OutputTail::default());
        let tests = job.tests.map(TestReader::new);
        Ok(Recorder { folder, output, written: 0, tail, left, tests, root_notes, notes, trouble: None })
    }

    /// Adds what was kept to the record and its notes; returns the tests that were found.
    pub(super) fn finish(
        mut self,
        finished: &FinishedCommand,
        record: &mut ProgramRecord,
        notes: &mut Vec<String>,
    ) -> Option<TestOutput> {
        notes.append(&mut self.notes);
        notes.extend(self.left.iter().flat_map(|left| left.notes().to_vec()));
        notes.extend(self.trouble.take());
        let log = &finished.kernel_log;
        if !log.is_empty() && fs::write(self.folder.join(KERNEL_LOG), log).is_ok() {
            let what = match &finished.ending {
                CommandEnding::Lost(_) => "the end of its console",
                _ => "kernel log of that time",
            };
            notes.push(format!("{what}: {}", relative(&self.folder, KERNEL_LOG)));
        }
        (record.log_tail, record.log_omitted) = self.tail.finish();
        if let CommandEnding::Lost(GuestLoss::Crashed(_)) = finished.ending {
            record.log_tail.extend(log.lines().map(str::to_owned));
        }
        record.log_file = Some(relative(&self.folder, OUTPUT));
        self.tests.and_then(TestReader::finish)
    }
}

/// A file in a kernel's directory, relative to the report's.
fn relative(folder: &Path, file: &str) -> String {
    let kernel = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("{OUTPUT_FOLDER}/{kernel}/{file}")
}

impl Attendant for Recorder {
    fn started(&mut self, notes: &[String]) {
        self.root_notes.extend_from_slice(notes);
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.tail.push(bytes);
        if let (Stream::Out, Some(tests)) = (stream, &mut self.tests) {
            tests.push(bytes);
        }
        self.written += bytes.len() as u64;
        if self.trouble.is_some() {
            return;
        }
        if self.written > MOST_OUTPUT {
            self.trouble = Some(format!("the output is longer than {} MiB; the rest was dropped", MOST_OUTPUT >> 20));
        } else if let Err(error) = self.output.write_all(bytes) {
            self.trouble = Some(format!("the output could not be kept: {error}"));
        }
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn resized(&mut self) -> Option<TerminalSize> {
        None
    }

    fn left(&mut self, path: &str, kind: LeftKind, bytes: &[u8]) {
        match &mut self.left {
            Some(left) => left.take(path, kind, bytes),
            None if kind == LeftKind::More => {}
            None => {
                let note = "the command wrote files to $OUT, but no `--out` directory was given";
                if !self.notes.iter().any(|known| known == note) {
                    self.notes.push(note.to_owned());
                }
            }
        }
    }
}

/// The last lines of an output.
#[derive(Debug, Default)]
struct OutputTail {
    lines: VecDeque<String>,
    omitted: u64,
    open: Vec<u8>,
}

impl OutputTail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.open.len());
            self.open.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim_end().to_owned();
        self.open.clear();
        self.lines.push_back(line);
        if self.lines.len() > TAIL {
            self.lines.pop_front();
            self.omitted += 1;
        }
    }

    fn finish(mut self) -> (Vec<String>, u64) {
        if !self.open.is_empty() {
            self.end_line();
        }
        (self.lines.into(), self.omitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_is_kept() {
        let mut tail = OutputTail::default();
        for number in 0..100 {
            tail.push(format!("line {number}\nhalf of").as_bytes());
            tail.push(b" a line\r\n");
        }
        tail.push(&[b'x'; 2000]);
        let (lines, omitted) = tail.finish();
        assert_eq!((lines.len(), omitted), (TAIL, 171));
        assert_eq!((lines[28].as_str(), lines[29].len()), ("half of a line", LONGEST_LINE));
    }
}

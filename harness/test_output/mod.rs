//! [`TestOutput`]: the tests in what a command printed, as Rust's libtest and Go's `testing` write it.
//!
//! Only standard output is read, a line at a time: both harnesses write their results there. What a test itself prints may look like a
//! result, so whoever reads this holds it against how the process ended.

mod go;
mod libtest;
mod line;

use go::GoReader;
use libtest::LibtestReader;
use line::Lines;

/// More tests of one command are not reported.
const MOST_TESTS: usize = 20_000;
/// A longer name is none.
const LONGEST_NAME: usize = 1000;
/// Lines that are kept of what a failed test said.
const MOST_SAID: usize = 30;

/// Who runs the tests of an executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestHarness {
    /// Rust's.
    Libtest,
    /// Go's.
    Go,
}

/// The tests in what a command printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestOutput {
    /// The tests, in the order in which they were first named.
    pub tests: Vec<TestResult>,
    /// Whether the harness came to its end and said so.
    pub is_complete: bool,
    /// What does not fit together, as lowercase fragments.
    pub troubles: Vec<String>,
}

/// A test that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name, as the harness has it.
    pub name: String,
    /// What became of it.
    pub outcome: TestOutcome,
    /// Why it failed or was skipped, as one line, if that was said.
    pub reason: Option<String>,
    /// What it said if it failed: the last lines.
    pub said: Vec<String>,
    /// How long it took, if that was said.
    pub took_ms: Option<u64>,
}

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOutcome {
    /// It began, and nothing was said of its end.
    Unfinished,
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was ignored, or skipped itself.
    Skipped,
}

impl TestResult {
    fn new(name: &str, outcome: TestOutcome) -> TestResult {
        TestResult { name: name.to_owned(), outcome, reason: None, said: Vec::new(), took_ms: None }
    }
}

/// Finds the tests in what a command prints while it does.
#[derive(Debug)]
pub struct TestReader {
    lines: Lines,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Libtest(LibtestReader),
    Go(GoReader),
}

impl TestReader {
    /// Reads what this harness prints.
    pub fn new(harness: TestHarness) -> TestReader {
        let reader = match harness {
            TestHarness::Libtest => Reader::Libtest(LibtestReader::default()),
            TestHarness::Go => Reader::Go(GoReader::default()),
        };
        TestReader { lines: Lines::default(), reader }
    }

    /// Takes more of the output.
    pub fn push(&mut self, bytes: &[u8]) {
        let reader = &mut self.reader;
        self.lines.push(bytes, &mut |line| reader.line(line));
    }

    /// The tests; `None` if the output is none of the harness.
    pub fn finish(mut self) -> Option<TestOutput> {
        let reader = &mut self.reader;
        self.lines.end(&mut |line| reader.line(line));
        match self.reader {
            Reader::Libtest(reader) => reader.finish(),
            Reader::Go(reader) => reader.finish(),
        }
    }
}

impl Reader {
    fn line(&mut self, line: &str) {
        match self {
            Reader::Libtest(reader) => reader.line(line),
            Reader::Go(reader) => reader.line(line),
        }
    }
}

/// The tests while they are read.
#[derive(Debug, Default)]
struct Tests {
    list: Vec<TestResult>,
    places: std::collections::HashMap<String, usize>,
    left_out: usize,
}

impl Tests {
    /// The test of this name, which is new or not; `None` if it is one too many, or no name.
    fn get(&mut self, name: &str) -> Option<&mut TestResult> {
        let known = self.places.get(name).copied();
        let place = match known {
            Some(place) => place,
            None if name.is_empty() || name.len() > LONGEST_NAME => return None,
            None if self.list.len() >= MOST_TESTS => {
                self.left_out += 1;
                return None;
            }
            None => {
                self.places.insert(name.to_owned(), self.list.len());
                self.list.push(TestResult::new(name, TestOutcome::Unfinished));
                self.list.len() - 1
            }
        };
        self.list.get_mut(place)
    }

    /// Whether a test of this name began.
    fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn into_output(self, is_complete: bool, mut troubles: Vec<String>) -> TestOutput {
        if self.left_out > 0 {
            troubles.push(format!("more than {MOST_TESTS} tests: {} results are left out", self.left_out));
        }
        TestOutput { tests: self.list, is_complete, troubles }
    }
}

/// Keeps a line of what a test said, and drops the first one if there are too many.
fn keep(said: &mut Vec<String>, line: &str) {
    if said.len() >= MOST_SAID {
        said.remove(0);
    }
    said.push(line.to_owned());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

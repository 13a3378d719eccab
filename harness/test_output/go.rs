//! [`GoReader`]: the tests in what Go's `testing` prints with `-test.v`, and in the form for `test2json`.

use std::collections::HashSet;

use super::{TestOutcome, TestOutput, Tests, keep};

/// Stands before each of the harness' own lines with `-test.v=test2json`, also where a line was begun.
const MARK: char = '\u{16}';

/// Reads what Go's tests print.
#[derive(Debug, Default)]
pub(super) struct GoReader {
    tests: Tests,
    /// The test that what follows is said by.
    current: Option<String>,
    is_go: bool,
    is_complete: bool,
    has_failures: bool,
}

impl GoReader {
    pub fn line(&mut self, line: &str) {
        let mut pieces = line.split(MARK);
        let first = pieces.next().unwrap_or_default();
        if !first.is_empty() {
            self.piece(first);
        }
        pieces.for_each(|piece| self.piece(piece));
    }

    fn piece(&mut self, line: &str) {
        if let Some((word, name)) = line.strip_prefix("=== ").and_then(|rest| rest.split_once(' ')) {
            let name = name.trim();
            match word {
                "RUN" => {
                    self.is_go = true;
                    self.current = self.tests.get(name).map(|test| test.name.clone());
                    return;
                }
                "CONT" | "NAME" if self.tests.knows(name) => return self.current = Some(name.to_owned()),
                "PAUSE" if self.tests.knows(name) => return self.current = None,
                _ => {}
            }
        }
        if self.result(line) {
            return;
        }
        match line {
            "PASS" | "FAIL" => {
                (self.is_go, self.is_complete) = (true, true);
                self.has_failures |= line == "FAIL";
            }
            "testing: warning: no tests to run" => self.is_go = true,
            _ => {
                if let Some(test) = self.current.as_deref().and_then(|name| self.tests.get(name)) {
                    keep(&mut test.said, line);
                    if test.reason.is_none() {
                        test.reason = reason(line);
                    }
                }
            }
        }
    }

    /// `    --- PASS: TestX/sub (0.01s)`; `false` if it is no such line.
    fn result(&mut self, line: &str) -> bool {
        // A test that prints no end of its last line has its result on the same one.
        let Some((before, rest)) = line.split_once("--- ") else { return false };
        let Some((word, rest)) = rest.split_once(": ") else { return false };
        let outcome = match word {
            "PASS" => TestOutcome::Passed,
            "FAIL" => TestOutcome::Failed,
            "SKIP" => TestOutcome::Skipped,
            _ => return false,
        };
        let Some((name, took)) = rest.rsplit_once(" (") else { return false };
        let Some(seconds) = took.strip_suffix("s)").and_then(|seconds| seconds.parse::<f64>().ok()) else {
            return false;
        };
        if !before.trim().is_empty() && !self.tests.knows(name) {
            return false;
        }
        self.is_go = true;
        let Some(test) = self.tests.get(name) else { return true };
        if test.outcome != TestOutcome::Failed {
            test.outcome = outcome;
        }
        // Bounded by the conversion, which saturates.
        test.took_ms = Some((seconds.max(0.0) * 1000.0) as u64);
        if outcome == TestOutcome::Passed {
            (test.reason, test.said) = (None, Vec::new());
        }
        // Without `-test.v` what it said stands after its result.
        self.current = Some(name.to_owned());
        true
    }

    pub fn finish(mut self) -> Option<TestOutput> {
        if !self.is_go {
            return None;
        }
        // A test fails with any part of it, and its result stands before theirs.
        let failed = self.tests.list.iter().filter(|test| test.outcome == TestOutcome::Failed);
        let wholes: HashSet<String> =
            failed.filter_map(|test| Some(test.name.rsplit_once('/')?.0.to_owned())).collect();
        for test in self.tests.list.iter_mut().filter(|test| test.outcome == TestOutcome::Failed) {
            if test.reason.is_none() && wholes.contains(&test.name) {
                test.reason = Some("a part of it failed".to_owned());
            }
        }
        let mut troubles = Vec::new();
        let failed = self.tests.list.iter().any(|test| test.outcome == TestOutcome::Failed);
        if self.has_failures && !failed && !self.tests.list.is_empty() {
            troubles.push("`FAIL` was printed, and no test failed".to_owned());
        }
        Some(self.tests.into_output(self.is_complete, troubles))
    }
}

/// What a test logged, without its place and its indent: `x_test.go:10: no such field`.
fn reason(line: &str) -> Option<String> {
    let line = line.trim();
    let (place, words) = line.split_once(": ")?;
    let is_place = place.rsplit_once(':').is_some_and(|(file, number)| {
        file.ends_with(".go") && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    (is_place && !words.is_empty()).then(|| line.to_owned())
}

//! [`LibtestReader`]: the tests in what Rust's libtest prints, and the harnesses that print like it.
//!
//! With several threads a test is one line, `test NAME ... ok`. With one thread, `test NAME ... ` stands before what the test prints, and
//! `ok` on a separate line after it. The names of those that failed, and what they said, come once more at the end.

use super::{TestOutcome, TestOutput, Tests, keep};

/// Reads what libtest prints.
#[derive(Debug, Default)]
pub(super) struct LibtestReader {
    tests: Tests,
    /// How many tests it is going to run, if it said so.
    announced: Option<usize>,
    /// The test that has begun and not ended, where one runs after the other.
    open: Option<String>,
    /// The test whose words follow.
    said_by: Option<String>,
    /// Whether the list of failed tests follows.
    lists_failures: bool,
    summary: Option<Summary>,
}

/// What libtest counts at the end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Summary {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl LibtestReader {
    pub fn line(&mut self, line: &str) {
        if let Some(count) = announced(line) {
            *self.announced.get_or_insert(0) += count;
        } else if self.announced.is_none() {
            // Something that runs before the tests do.
        } else if let Some(summary) = Summary::parse(line) {
            let known = self.summary.get_or_insert_default();
            known.passed += summary.passed;
            known.failed += summary.failed;
            known.ignored += summary.ignored;
            (self.said_by, self.lists_failures) = (None, false);
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
            let name = name.strip_suffix(" stdout").unwrap_or(name);
            self.said_by = self.tests.knows(name).then(|| name.to_owned());
        } else if line == "failures:" {
            (self.said_by, self.lists_failures) = (None, true);
        } else if let Some(rest) = line.strip_prefix("test ") {
            self.test(rest);
        } else if let Some(name) = &self.said_by {
            if let Some(test) = self.tests.get(name) {
                keep(&mut test.said, line);
                if test.reason.is_none() || is_place(test.reason.as_deref()) {
                    test.reason = reason(line).or(test.reason.take());
                }
            }
        } else if let Some(name) = line.strip_prefix("    ").filter(|_| self.lists_failures) {
            if self.tests.knows(name)
                && let Some(test) = self.tests.get(name)
            {
                test.outcome = TestOutcome::Failed;
            }
        } else if let Some(name) = &self.open
            && let Some((outcome, _)) = outcome(line)
        {
            let name = name.clone();
            self.end(&name, outcome, None);
        }
    }

    /// `NAME ... ok`, `NAME ... ` with more or less behind it.
    fn test(&mut self, rest: &str) {
        // Names of documentation tests have blanks, and what a test prints may have dots.
        let Some((name, result)) = rest.split_once(" ... ").or_else(|| Some((rest.strip_suffix(" ...")?, ""))) else {
            return;
        };
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        match outcome(result) {
            Some((outcome, reason)) => self.end(name, outcome, reason),
            None if self.tests.get(name).is_some() => self.open = Some(name.to_owned()),
            None => {}
        }
    }

    fn end(&mut self, name: &str, outcome: TestOutcome, reason: Option<&str>) {
        self.open.take_if(|open| open == name);
        if let Some(test) = self.tests.get(name) {
            // What a test prints may look like a result: a failure is never taken back.
            if test.outcome != TestOutcome::Failed {
                test.outcome = outcome;
            }
            test.reason = reason.map(str::to_owned);
        }
    }

    pub fn finish(mut self) -> Option<TestOutput> {
        let announced = self.announced?;
        let mut troubles = Vec::new();
        if let Some(summary) = self.summary {
            // What printed no line of its own end has passed if it is not among those that failed.
            let counted = self.count(TestOutcome::Passed) + self.count(TestOutcome::Unfinished);
            if counted == summary.passed {
                let unfinished = self.tests.list.iter_mut().filter(|test| test.outcome == TestOutcome::Unfinished);
                unfinished.for_each(|test| test.outcome = TestOutcome::Passed);
            }
            let seen = Summary {
                passed: self.count(TestOutcome::Passed),
                failed: self.count(TestOutcome::Failed),
                ignored: self.count(TestOutcome::Skipped),
            };
            if seen != summary {
                troubles.push(format!("libtest counts {summary}, and printed results of {seen}"));
            }
        } else if self.tests.list.len() < announced {
            troubles.push(format!(
                "{announced} tests were to run, and the output names {} before it ends",
                self.tests.list.len()
            ));
        }
        let is_complete = self.summary.is_some() && troubles.is_empty();
        Some(self.tests.into_output(is_complete, troubles))
    }

    fn count(&self, outcome: TestOutcome) -> usize {
        self.tests.list.iter().filter(|test| test.outcome == outcome).count()
    }
}

impl Summary {
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn parse(line: &str) -> Option<Summary> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut summary = Summary::default();
        for count in counts.split("; ") {
            match count.split_once(' ') {
                // A benchmark that ran has passed.
                Some((number, "passed" | "measured")) => summary.passed += number.parse::<usize>().ok()?,
                Some((number, "failed")) => summary.failed = number.parse().ok()?,
                Some((number, "ignored")) => summary.ignored = number.parse().ok()?,
                _ => {}
            }
        }
        Some(summary)
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

/// `running 3 tests`.
fn announced(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("running ")?;
    rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?.parse().ok()
}

/// What stands behind a test's name, with a reason.
fn outcome(result: &str) -> Option<(TestOutcome, Option<&str>)> {
    // `ok <0.001s>`, `FAILED (time limit exceeded)`.
    let (word, rest) = result.split_once(' ').unwrap_or((result, ""));
    let has_only = |start: &str| rest.is_empty() || rest.starts_with(start);
    match word {
        "ok" if has_only("<") => Some((TestOutcome::Passed, None)),
        "bench:" => Some((TestOutcome::Passed, None)),
        "FAILED" if rest.is_empty() || rest.starts_with(['<', '(']) => {
            let reason = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
            Some((TestOutcome::Failed, reason.map(|(reason, _)| reason)))
        }
        "ignored" if rest.is_empty() => Some((TestOutcome::Skipped, None)),
        "ignored," => Some((TestOutcome::Skipped, Some(rest))),
        _ => None,
    }
}

/// The line of a failed test's words that says why: what a panic says stands on the line after its place.
fn reason(line: &str) -> Option<String> {
    let line = line.trim();
    let is_noise = line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE");
    (!is_noise).then(|| line.to_owned())
}

/// Whether a reason is but the place of a panic.
fn is_place(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason.starts_with("thread '") && reason.contains("panicked at"))
}

//! [`Expectations`]: failures and kernel warnings that are known, out of a TOML file such as a suite. [`Expectations::read`]
//! takes nothing else from the file; a suite takes the tables in with its own, see [`WrittenExpectation`].
//!
//! ```toml
//! [[expect]]
//! object = "biosnoop"                   # globs; all by default
//! program = "block_rq_*"
//! kernel = "<6.1"                       # a selector as `--kernel` takes it, or a list of them; all by default
//! verdict = "verifier_rejected"         # as in report.json; any by default
//! cause = "context_argument_changed"
//! reason = "the tracepoint lost an argument in 5.11"   # required
//! link = "https://example.org/issue/1"
//! expires = 2027-06-30                  # the last day on which it counts
//!
//! [[allow-warning]]
//! contains = "kernel/bpf/verifier.c"    # words of the warning; `object`, `program`, `kernel`, `link`, `expires` as above
//! reason = "its verifier stumbles over our loop, and loads the program all the same"
//! ```

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use time::Date;
use toml::Spanned;

use super::scope::{Scope, Selectors, TableError, WrittenScope};
use super::written_name::WrittenName;
use crate::record::Cause;
use crate::record::KernelWarning;
use crate::record::RunRecord;
use crate::record::Verdict;
use crate::record::WHOLE_OBJECT;

/// A failure that someone knows of.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What it is about.
    pub scope: Scope,
    /// How it fails; any failure if `None`.
    pub verdict: Option<Verdict>,
    /// Why it fails; any cause if `None`.
    pub cause: Option<Cause>,
}

impl Deref for Expectation {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl Expectation {
    /// Whether it says that a program ends so.
    pub fn foresees(&self, verdict: Verdict, cause: Option<Cause>) -> bool {
        self.verdict.is_none_or(|known| known == verdict) && self.cause.is_none_or(|known| Some(known) == cause)
    }

    /// Whether it covers an object that does not load as a whole: that is no verdict and has no cause.
    pub fn foresees_whole(&self) -> bool {
        self.program.matches(WHOLE_OBJECT) && self.verdict.is_none() && self.cause.is_none()
    }

    /// Its reason, with the link.
    fn words(&self) -> String {
        match &self.link {
            Some(link) => format!("{} ({link})", self.reason),
            None => self.reason.clone(),
        }
    }
}

/// A warning of kernels that someone knows of.
#[derive(Debug, Clone)]
pub struct WarningAllowance {
    /// What it is about. A warning that came with no program is all programs'.
    pub scope: Scope,
    /// Words of the warning.
    pub contains: String,
}

impl Deref for WarningAllowance {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl WarningAllowance {
    /// Whether it allows a warning of the object that it is about.
    pub fn allows(&self, warning: &KernelWarning) -> bool {
        (warning.headline.contains(&self.contains) || warning.text.contains(&self.contains))
            && warning.program.as_ref().is_none_or(|program| self.program.matches(program))
    }
}

/// Everything that someone knows of.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Failures.
    pub failures: Vec<Expectation>,
    /// Warnings of kernels.
    pub warnings: Vec<WarningAllowance>,
}

/// Why the expectations of a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpectationError {
    /// The file cannot be read.
    #[error("expectations `{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is no TOML, or a table of it is wrong.
    #[error("expectations `{}`, line {line}: {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// A lowercase fragment.
        message: String,
        /// What the user can do.
        hint: Option<String>,
    },
}

impl ExpectationError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ExpectationError::Unreadable { .. } => {
                Some("name a TOML file with `[[expect]]` or `[[allow-warning]]` tables".to_owned())
            }
            ExpectationError::Invalid { hint, .. } => hint.clone(),
        }
    }
}

/// An `[[expect]]` table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenExpectation {
    object: Option<Spanned<String>>,
    program: Option<Spanned<String>>,
    kernel: Option<Spanned<Selectors>>,
    verdict: Option<Spanned<String>>,
    cause: Option<Spanned<String>>,
    reason: Spanned<String>,
    link: Option<String>,
    expires: Option<toml::Value>,
}

impl WrittenExpectation {
    /// The keys of the table.
    pub const KEYS: &[&str] = &["object", "program", "kernel", "verdict", "cause", "reason", "link", "expires"];

    /// Checks the table; `origin` is where it stands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, origin: String) -> Result<Expectation, TableError> {
        let verdict = self.verdict.as_ref().map(|written| {
            let verdict = Verdict::find(written)?;
            if verdict.is_pass() || matches!(verdict, Verdict::NotRun | Verdict::Skipped) {
                let message = format!("`verdict` is `{verdict}`, which is not a failure");
                return Err(TableError::new(message, "name the verdict of a failure").at(written.span().start));
            }
            Ok(verdict)
        });
        let verdict = verdict.transpose()?;
        let scope = WrittenScope {
            object: self.object.as_ref(),
            program: self.program.as_ref(),
            kernel: self.kernel.as_ref(),
            reason: &self.reason,
            link: self.link.as_ref(),
            expires: self.expires.as_ref(),
        };
        let cause = self.cause.as_ref().map(Cause::find).transpose()?;
        Ok(Expectation { scope: scope.check(origin)?, verdict, cause })
    }

    /// Where `object` and `program` stand in the file, in bytes.
    pub fn places(&self) -> [Option<usize>; 2] {
        [&self.object, &self.program].map(|text| text.as_ref().map(|text| text.span().start))
    }
}

/// An `[[allow-warning]]` table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenAllowance {
    object: Option<Spanned<String>>,
    program: Option<Spanned<String>>,
    kernel: Option<Spanned<Selectors>>,
    contains: Spanned<String>,
    reason: Spanned<String>,
    link: Option<String>,
    expires: Option<toml::Value>,
}

impl WrittenAllowance {
    /// The keys of the table.
    pub const KEYS: &[&str] = &["contains", "object", "program", "kernel", "reason", "link", "expires"];

    /// Checks the table; `origin` is where it stands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, origin: String) -> Result<WarningAllowance, TableError> {
        if self.contains.get_ref().trim().is_empty() {
            let refusal =
                TableError::new("`contains` is empty", "name the function that warns, or words of the warning");
            return Err(refusal.at(self.contains.span().start));
        }
        let scope = WrittenScope {
            object: self.object.as_ref(),
            program: self.program.as_ref(),
            kernel: self.kernel.as_ref(),
            reason: &self.reason,
            link: self.link.as_ref(),
            expires: self.expires.as_ref(),
        };
        Ok(WarningAllowance { scope: scope.check(origin)?, contains: self.contains.get_ref().clone() })
    }

    /// Where `object` and `program` stand in the file, in bytes.
    pub fn places(&self) -> [Option<usize>; 2] {
        [&self.object, &self.program].map(|text| text.as_ref().map(|text| text.span().start))
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    expect: Vec<Spanned<WrittenExpectation>>,
    #[serde(default, rename = "allow-warning")]
    allow_warning: Vec<Spanned<WrittenAllowance>>,
}

impl Expectations {
    /// What a file says, in its order.
    ///
    /// # Errors
    /// See [`ExpectationError`]; the first one ends the reading.
    pub fn read(path: &Path) -> Result<Expectations, ExpectationError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ExpectationError::Unreadable { path: path.to_owned(), error })?;
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
        let invalid = |refusal: TableError, table: usize| ExpectationError::Invalid {
            path: path.to_owned(),
            line: line(refusal.at.unwrap_or(table)),
            message: refusal.message,
            hint: refusal.hint,
        };
        let file: File = toml::from_str(&text).map_err(|error| {
            let refusal = TableError { at: None, message: error.message().to_owned(), hint: None };
            invalid(refusal, error.span().map_or(0, |span| span.start))
        })?;
        let origin = |start: usize| format!("{}:{}", path.display(), line(start));
        let mut read = Expectations::default();
        for written in &file.expect {
            let start = written.span().start;
            read.failures.push(written.get_ref().check(origin(start)).map_err(|refusal| invalid(refusal, start))?);
        }
        for written in &file.allow_warning {
            let start = written.span().start;
            read.warnings.push(written.get_ref().check(origin(start)).map_err(|refusal| invalid(refusal, start))?);
        }
        Ok(read)
    }

    /// Writes into a record which failures are expected on this day, and why, for reports and the exit code.
    pub fn mark(&self, record: &mut RunRecord, today: Date) {
        for object in 0..record.objects.len() {
            for kernel in 0..record.kernels.len() {
                self.mark_cell(record, (object, kernel), today);
            }
        }
    }

    /// The same for one cell: the index of its object and of its kernel.
    pub fn mark_cell(&self, record: &mut RunRecord, (object, kernel): (usize, usize), today: Date) {
        let current = self.failures.iter().filter(|known| !known.has_expired(today));
        let here: Vec<&Expectation> = current.filter(|known| known.is_about(record, object, kernel)).collect();
        let Some(cell) = record.cells.get_mut(object * record.kernels.len() + kernel) else { return };
        for program in &mut cell.programs {
            let (verdict, cause) = (program.verdict, program.cause);
            // A failure of the machine is nothing that anyone expects.
            let can_be = verdict.is_finding() && verdict != Verdict::HarnessError;
            let mut mine = here.iter().filter(|known| known.program.matches(&program.name));
            let known = mine.find(|known| can_be && known.foresees(verdict, cause));
            program.expected = known.map(|known| known.words());
        }
        if let Some(whole) = &mut cell.whole {
            let known = here.iter().find(|known| !whole.prepared && known.foresees_whole());
            whole.expected = known.map(|known| known.words());
        }
    }

    /// The same in the record of an earlier run, which has what was expected then: what is expected now takes its place, if anything is.
    pub fn mark_saved(&self, record: &mut RunRecord, today: Date) {
        if !self.failures.is_empty() {
            self.mark(record, today);
        }
    }

    /// Adds those of another file.
    pub fn extend(&mut self, other: Expectations) {
        self.failures.extend(other.failures);
        self.warnings.extend(other.warnings);
    }
}

//! [`Expectation`]: a failure that somebody knows of, out of the `[[expect]]` tables of a TOML file such as a suite. [`read`] takes
//! nothing else from the file.
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
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use time::{Date, Month};
use toml::Spanned;

use crate::cause::Cause;
use crate::manifest::KernelSelector;
use crate::record::RunRecord;
use crate::verdict::Verdict;

/// A failure that somebody knows of.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// The file and line of its table, for messages: `suite.toml:12`.
    pub origin: String,
    /// Which objects.
    pub object: glob::Pattern,
    /// Which programs.
    pub program: glob::Pattern,
    /// Which kernels: those that any of them chooses; all if there is none.
    pub kernels: Vec<KernelSelector>,
    /// How they fail; any failure if `None`.
    pub verdict: Option<Verdict>,
    /// Why they fail; any cause if `None`.
    pub cause: Option<Cause>,
    /// Why that is known and well.
    pub reason: String,
    /// Where somebody wrote about it.
    pub link: Option<String>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
}

impl Expectation {
    /// Whether it is about programs of the object on the kernel.
    pub fn is_about(&self, record: &RunRecord, object: usize, kernel: usize) -> bool {
        let names: Vec<&str> = record.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let chosen = |selector: &KernelSelector| selector.chooses(names[kernel], &names);
        self.object.matches(&record.objects[object].name)
            && (self.kernels.is_empty() || self.kernels.iter().any(chosen))
    }

    /// Whether it says that a program ends so.
    pub fn foresees(&self, verdict: Verdict, cause: Option<Cause>) -> bool {
        self.verdict.is_none_or(|known| known == verdict) && self.cause.is_none_or(|known| Some(known) == cause)
    }

    /// Whether it counts no more.
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| today > last)
    }
}

/// Why the expectations of a file cannot be used.
#[derive(Debug, thiserror::Error)]
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
    },
}

impl ExpectationError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ExpectationError::Unreadable { .. } => Some("name a TOML file with `[[expect]]` tables".to_owned()),
            ExpectationError::Invalid { .. } => Some(
                "an `[[expect]]` has `reason`, and may have `object`, `program`, `kernel`, `verdict`, `cause`, `link` and `expires`"
                    .to_owned(),
            ),
        }
    }
}

/// An `[[expect]]` table as it is written; a reader of suites can take it in as it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    object: Option<String>,
    program: Option<String>,
    kernel: Option<Selectors>,
    verdict: Option<Verdict>,
    cause: Option<Cause>,
    reason: String,
    link: Option<String>,
    expires: Option<toml::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Selectors {
    One(String),
    Several(Vec<String>),
}

impl Written {
    /// Checks the table; `origin` is where it stands.
    ///
    /// # Errors
    /// What is wrong with it, as a lowercase fragment.
    pub fn check(self, origin: String) -> Result<Expectation, String> {
        let pattern = |key: &str, text: Option<String>| {
            let text = text.unwrap_or_else(|| "*".to_owned());
            glob::Pattern::new(&text).map_err(|error| format!("`{key}` `{text}` is not a glob: {error}"))
        };
        let kernels = match self.kernel {
            None => Vec::new(),
            Some(Selectors::One(selector)) => vec![selector],
            Some(Selectors::Several(selectors)) if selectors.is_empty() => return Err("`kernel` is empty".to_owned()),
            Some(Selectors::Several(selectors)) => selectors,
        };
        let kernels: Result<_, _> = kernels.iter().map(|text| KernelSelector::parse(text)).collect();
        if self.reason.trim().is_empty() {
            return Err("`reason` is empty: who reads it later has to know why the failure is well".to_owned());
        }
        if let Some(verdict) = self.verdict.filter(|verdict| verdict.is_pass() || *verdict == Verdict::NotRun) {
            return Err(format!("`verdict` is `{verdict}`, which is no failure"));
        }
        Ok(Expectation {
            origin,
            object: pattern("object", self.object)?,
            program: pattern("program", self.program)?,
            kernels: kernels.map_err(|error| error.to_string())?,
            verdict: self.verdict,
            cause: self.cause,
            reason: self.reason,
            link: self.link,
            expires: self.expires.map(|value| date(&value)).transpose()?,
        })
    }
}

/// `2027-06-30`, with or without quotes.
fn date(value: &toml::Value) -> Result<Date, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let read = || {
        let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
    };
    read().ok_or_else(|| format!("`expires` is `{text}`, which is no date such as 2027-06-30"))
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    expect: Vec<Spanned<Written>>,
}

/// The expectations of a file, in its order.
///
/// # Errors
/// See [`ExpectationError`]; the first one ends the reading.
pub fn read(path: &Path) -> Result<Vec<Expectation>, ExpectationError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| ExpectationError::Unreadable { path: path.to_owned(), error })?;
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
    let invalid = |offset: usize, message: String| ExpectationError::Invalid {
        path: path.to_owned(),
        line: line(offset),
        message,
    };
    let file: File = toml::from_str(&text)
        .map_err(|error| invalid(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let check = |written: Spanned<Written>| {
        let start = written.span().start;
        written.into_inner().check(format!("{}:{}", path.display(), line(start))).map_err(|why| invalid(start, why))
    };
    file.expect.into_iter().map(check).collect()
}

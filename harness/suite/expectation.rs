//! [`Expectation`]: an `[[expect]]` table: a failure that is known.

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use super::part::Objects;
use crate::cause::Cause;
use crate::verdict::Verdict;

/// A failure that is known, and why it is put up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// A glob of object names.
    pub object: String,
    /// A glob of program names; `None` for every program.
    pub program: Option<String>,
    /// Selectors of kernels, as on the command line; none for every kernel.
    pub kernels: Vec<String>,
    /// What is expected; `None` for any failure.
    pub verdict: Option<Verdict>,
    /// The cause that is expected; `None` for any.
    pub cause: Option<Cause>,
    /// Why it is put up with.
    pub reason: String,
    /// Where more is told of it.
    pub link: Option<String>,
    /// The last day it holds, as `2027-01-31`.
    pub expires: Option<String>,
    /// Its line in the suite file, counted from 1.
    pub line: usize,
}

/// The table as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenExpectation {
    object: Spanned<String>,
    program: Option<Spanned<String>>,
    kernel: Option<OneOrMany>,
    verdict: Option<Verdict>,
    cause: Option<Cause>,
    reason: String,
    link: Option<String>,
    expires: Option<Expires>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A date of TOML, or one in a string.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Expires {
    Date(toml::value::Datetime),
    Text(String),
}

impl WrittenExpectation {
    /// Checks that it is about something. `Err` has the place in the file if it is not the table's.
    pub fn checked(&self, all: Objects<'_>, line: usize) -> Result<Expectation, (Option<usize>, Mistake)> {
        let glob = |name: &Spanned<String>| {
            let bad = |error: glob::PatternError| Mistake::new(format!("`{}` is not a glob: {error}", name.get_ref()));
            glob::Pattern::new(name.get_ref()).map_err(|error| (Some(name.span().start), bad(error)))
        };
        let pattern = glob(&self.object)?;
        let objects: Vec<usize> = (0..all.0.len())
            .filter(|&object| {
                let name = &all.0[object].name;
                pattern.matches(name) || name.rsplit('/').next().is_some_and(|last| pattern.matches(last))
            })
            .collect();
        if objects.is_empty() {
            let name = self.object.get_ref();
            let known = all.0.iter().map(|object| object.name.as_str());
            let mistake = Mistake::new(format!("there is no object `{name}`")).known(name, known);
            return Err((Some(self.object.span().start), mistake));
        }
        if let Some(program) = &self.program {
            let pattern = glob(program)?;
            let inventories = objects.iter().filter_map(|&object| all.inventory(object));
            let known: Vec<&str> =
                inventories.flat_map(|all| &all.programs).map(|program| program.name.as_str()).collect();
            if !known.iter().any(|name| pattern.matches(name)) {
                let message = format!("`{}` has no program `{}`", self.object.get_ref(), program.get_ref());
                return Err((Some(program.span().start), Mistake::new(message).known(program.get_ref(), known)));
            }
        }
        if self.reason.trim().is_empty() {
            return Err((None, Mistake::new("`reason` is empty").hint("say why the failure is put up with")));
        }
        let expires = match &self.expires {
            None => None,
            Some(Expires::Date(date)) => Some(date.to_string()),
            Some(Expires::Text(text)) => Some(text.clone()),
        };
        let is_date = |text: &String| {
            text.parse::<toml::value::Datetime>().is_ok_and(|date| date.date.is_some() && date.time.is_none())
        };
        if let Some(text) = expires.as_ref().filter(|text| !is_date(text)) {
            return Err((None, Mistake::new(format!("`{text}` is no date")).hint("write it as 2027-01-31")));
        }
        Ok(Expectation {
            object: self.object.get_ref().clone(),
            program: self.program.as_ref().map(|program| program.get_ref().clone()),
            kernels: match &self.kernel {
                None => Vec::new(),
                Some(OneOrMany::One(kernel)) => vec![kernel.clone()],
                Some(OneOrMany::Many(kernels)) => kernels.clone(),
            },
            verdict: self.verdict,
            cause: self.cause,
            reason: self.reason.clone(),
            link: self.link.clone(),
            expires,
            line,
        })
    }
}

//! [`Scope`]: what an entry of a suite is about, why it is there and until when.

use serde::Deserialize;
use time::{Date, Month};
use toml::Spanned;

use crate::manifest::KernelSelector;
use crate::record::RunRecord;

/// What an `[[expect]]` or `[[allow-warning]]` is about.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The file and line of its table, for messages: `suite.toml:12`.
    pub origin: String,
    /// Which objects: by their names, or what stands behind the last `/` of them.
    pub object: glob::Pattern,
    /// Which programs.
    pub program: glob::Pattern,
    /// Which kernels: those that any of them chooses; all if there is none.
    pub kernels: Vec<KernelSelector>,
    /// Why that is known and well.
    pub reason: String,
    /// Where someone wrote about it.
    pub link: Option<String>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
}

impl Scope {
    /// Whether it is about programs of the object on the kernel.
    pub fn is_about(&self, record: &RunRecord, object: usize, kernel: usize) -> bool {
        let names: Vec<&str> = record.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let release = record.kernels[kernel].release();
        let chosen = |selector: &KernelSelector| selector.chooses(names[kernel], release, &names);
        self.is_about_object(&record.objects[object].name)
            && (self.kernels.is_empty() || self.kernels.iter().any(chosen))
    }

    /// Whether it is about an object of this name. A name that had to be made unique in a run is found without what was put in front.
    pub fn is_about_object(&self, name: &str) -> bool {
        self.object.matches(name) || name.rsplit('/').next().is_some_and(|last| self.object.matches(last))
    }

    /// Whether it counts no more.
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| today > last)
    }
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// Where in the file, in bytes; `None` for the table as a whole.
    pub at: Option<usize>,
    /// A lowercase fragment.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl TableError {
    pub(super) fn new(message: impl Into<String>, hint: &str) -> TableError {
        TableError { at: None, message: message.into(), hint: Some(hint.to_owned()) }
    }

    pub(super) fn at(self, start: usize) -> TableError {
        TableError { at: Some(start), ..self }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Selectors {
    One(String),
    Several(Vec<String>),
}

/// The keys of a table that make its [`Scope`], as they are written.
pub(super) struct WrittenScope<'a> {
    pub object: Option<&'a Spanned<String>>,
    pub program: Option<&'a Spanned<String>>,
    pub kernel: Option<&'a Spanned<Selectors>>,
    pub reason: &'a Spanned<String>,
    pub link: Option<&'a String>,
    pub expires: Option<&'a toml::Value>,
}

impl WrittenScope<'_> {
    /// Checks the keys; `origin` is where the table stands.
    pub fn check(self, origin: String) -> Result<Scope, TableError> {
        if self.reason.get_ref().trim().is_empty() {
            let refusal = TableError::new("`reason` is empty", "state why the failure or warning is accepted");
            return Err(refusal.at(self.reason.span().start));
        }
        Ok(Scope {
            origin,
            object: pattern("object", self.object)?,
            program: pattern("program", self.program)?,
            kernels: self.kernel.map(selectors).transpose()?.unwrap_or_default(),
            reason: self.reason.get_ref().clone(),
            link: self.link.cloned(),
            expires: self.expires.map(date).transpose()?,
        })
    }
}

fn pattern(key: &str, text: Option<&Spanned<String>>) -> Result<glob::Pattern, TableError> {
    let Some(text) = text else { return Ok(everything()) };
    glob::Pattern::new(text.get_ref()).map_err(|error| {
        let message = format!("`{key}` `{}` is not a glob: {error}", text.get_ref());
        TableError { at: Some(text.span().start), message, hint: None }
    })
}

#[expect(clippy::expect_used, reason = "a fixed pattern")]
fn everything() -> glob::Pattern {
    glob::Pattern::new("*").expect("is a glob")
}

fn selectors(written: &Spanned<Selectors>) -> Result<Vec<KernelSelector>, TableError> {
    let start = written.span().start;
    let texts = match written.get_ref() {
        Selectors::One(selector) => std::slice::from_ref(selector),
        Selectors::Several(selectors) => selectors,
    };
    if texts.is_empty() {
        return Err(TableError::new("`kernel` is empty", "omit it to match every kernel").at(start));
    }
    let read = |text: &String| {
        KernelSelector::parse(text).map_err(|error| TableError {
            at: Some(start),
            message: error.to_string(),
            hint: None,
        })
    };
    texts.iter().map(read).collect()
}

/// `2027-06-30`, with or without quotes.
fn date(value: &toml::Value) -> Result<Date, TableError> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let read = || {
        let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
    };
    read()
        .ok_or_else(|| TableError::new(format!("`expires` is `{text}`, which is not a date"), "write it as 2027-06-30"))
}

//! [`TableReader`]: takes typed values out of parsed TOML and collects every problem on the way.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use crate::nearest::nearest;

/// Where in the text something stands, in bytes.
pub type TextSpan = Range<usize>;

/// A TOML table with the words that problems call it by.
pub struct TomlSection<'t> {
    /// Such as ``kernel `5.10` ``.
    pub title: String,
    /// Where problems that are about the whole table point to.
    pub start: usize,
    /// What is in it.
    pub table: &'t DeTable<'t>,
}

/// Collects problems; every getter returns `None` after it has noted what is wrong.
pub struct TableReader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> TableReader<'t> {
    /// A reader of values that were parsed from `text`.
    pub fn new(text: &'t str) -> Self {
        TableReader { text, problems: Vec::new() }
    }

    /// Notes a problem at byte `at` of the text.
    pub fn problem(&mut self, at: usize, message: impl Into<String>, hint: Option<String>) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        self.problems.push(Problem { line, message: message.into(), hint });
    }

    /// All problems so far, in the order of their lines.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }

    /// The value of `key`, if the table has it.
    pub fn get(&self, section: &TomlSection<'t>, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        section.table.get(key)
    }

    /// A string that is not empty and has no control characters.
    pub fn string(&mut self, section: &TomlSection<'t>, key: &str) -> Option<(&'t str, TextSpan)> {
        let value = self.get(section, key)?;
        self.text_of(&section.title, &format!("`{key}`"), value)
    }

    /// A list of such strings; the list is not empty.
    pub fn strings(&mut self, section: &TomlSection<'t>, key: &str) -> Option<Vec<(&'t str, TextSpan)>> {
        let value = self.get(section, key)?;
        let Some(array) = value.get_ref().as_array() else {
            let found = value.get_ref().type_str();
            let hint = match value.get_ref().as_str() {
                Some(text) => format!("write `{key} = [\"{text}\"]`"),
                None => format!("write `{key} = [\"...\"]`"),
            };
            let message = format!("{}: `{key}` must be a list of strings, found {found}", section.title);
            self.problem(value.span().start, message, Some(hint));
            return None;
        };
        if array.is_empty() {
            self.problem(value.span().start, format!("{}: `{key}` is an empty list", section.title), None);
            return None;
        }
        let mut texts = Vec::new();
        for item in array.iter() {
            texts.extend(self.text_of(&section.title, &format!("an entry of `{key}`"), item));
        }
        // A wrong entry is noted; the others are still worth checking.
        Some(texts)
    }

    /// A whole number.
    pub fn integer(&mut self, section: &TomlSection<'t>, key: &str) -> Option<(i64, TextSpan)> {
        let value = self.get(section, key)?;
        let place = value.span();
        let number = value.get_ref().as_integer().and_then(|number| number.to_string().parse().ok());
        if number.is_none() {
            let found = value.get_ref().type_str();
            let message = format!("{}: `{key}` must be a whole number, found {found}", section.title);
            self.problem(place.start, message, Some(format!("write `{key} = 1`")));
        }
        Some((number?, place))
    }

    /// A string or a list of strings, as a list.
    pub fn one_or_more(&mut self, section: &TomlSection<'t>, key: &str) -> Vec<(&'t str, TextSpan)> {
        match self.get(section, key) {
            Some(value) if value.get_ref().as_str().is_some() => self.string(section, key).into_iter().collect(),
            Some(_) => self.strings(section, key).unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Words of a kernel's command line, none of which has a space.
    pub fn words(&mut self, section: &TomlSection<'t>, key: &str) -> Vec<String> {
        let words = self.strings(section, key).unwrap_or_default();
        for (word, place) in &words {
            if word.contains(char::is_whitespace) {
                let message = format!("{}: `{key}` has `{word}`, which is more than one word", section.title);
                self.problem(place.start, message, Some("make each word an entry of its own".to_owned()));
            }
        }
        words.into_iter().map(|(word, _)| word.to_owned()).collect()
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, section: &TomlSection<'t>, key: &str) -> Option<bool> {
        let value = self.get(section, key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            let found = value.get_ref().type_str();
            let message = format!("{}: `{key}` must be `true` or `false`, found {found}", section.title);
            self.problem(value.span().start, message, Some(format!("write `{key} = true`")));
        }
        boolean
    }

    /// A table inside `section`.
    pub fn table(&mut self, section: &TomlSection<'t>, key: &'t str) -> Option<TomlSection<'t>> {
        let (spanned_key, value) = section.table.get_key_value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(TomlSection { title: key.to_owned(), start: spanned_key.span().start, table }),
            None => {
                let found = value.get_ref().type_str();
                let message = format!("`{key}` must be a table, found {found}");
                self.problem(spanned_key.span().start, message, Some(format!("write `[{key}]` on a line of its own")));
                None
            }
        }
    }

    /// Refuses every key that is not `known`, naming the known key that is nearest.
    pub fn refuse_unknown(&mut self, section: &TomlSection<'t>, known: &[&str]) {
        for (key, _) in section.table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied(), 1).first() {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("valid keys: {}", listed(known)),
            };
            let message = match section.title.as_str() {
                "" => format!("unknown key `{}`", name.escape_debug()),
                title => format!("{title}: unknown key `{}`", name.escape_debug()),
            };
            self.problem(key.span().start, message, Some(hint));
        }
    }

    fn text_of(&mut self, title: &str, what: &str, value: &'t Spanned<DeValue<'t>>) -> Option<(&'t str, TextSpan)> {
        let place = value.span();
        let Some(text) = value.get_ref().as_str() else {
            let found = value.get_ref().type_str();
            let hint = "put it in quotes".to_owned();
            let message = format!("{title}: {what} must be a string, found {found}");
            self.problem(place.start, message, Some(hint));
            return None;
        };
        if text.trim().is_empty() || text.contains(char::is_control) {
            let message = format!("{title}: {what} is empty or has control characters");
            self.problem(place.start, message, None);
            return None;
        }
        Some((text, place))
    }
}

/// The words in backticks with commas between.
pub fn listed<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

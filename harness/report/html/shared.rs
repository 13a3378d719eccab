//! [`Shared`]: what repeats over cells, kept once and referred to by number.

use std::collections::HashMap;

use serde_json::{Value, json};

/// Things by number, each once.
pub(super) struct Numbered<T> {
    known: HashMap<T, usize>,
    /// By number.
    pub list: Vec<T>,
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    fn new() -> Self {
        Numbered { known: HashMap::new(), list: Vec::new() }
    }

    /// The number of `value`, a new one if it is new.
    pub fn number(&mut self, value: T) -> usize {
        let list = &mut self.list;
        *self.known.entry(value).or_insert_with_key(|value| {
            list.push(value.clone());
            list.len() - 1
        })
    }
}

/// Everything that repeats.
pub(super) struct Shared {
    pub texts: Numbered<String>,
    pub outcomes: Numbered<(u8, usize, usize)>,
    pub rows: Numbered<Vec<i64>>,
}

impl Shared {
    pub fn new() -> Self {
        Shared { texts: Numbered::new(), outcomes: Numbered::new(), rows: Numbered::new() }
    }

    /// The number of a text.
    pub fn text(&mut self, text: impl Into<String>) -> usize {
        self.texts.number(text.into())
    }

    /// The same of what may be missing.
    pub fn maybe(&mut self, text: Option<&str>) -> Value {
        text.map_or(Value::Null, |text| json!(self.text(text)))
    }
}

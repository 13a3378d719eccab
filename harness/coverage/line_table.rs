//! [`IndexedLines`]: the source lines that an object's instructions came from.

use std::collections::BTreeMap;

use super::code::{Code, LineRecord};
use crate::record::{LineTable, SourceLine};

/// A line table, and which place in it each line record of the object means.
#[derive(Debug, Default)]
pub(super) struct IndexedLines {
    pub table: LineTable,
    places: BTreeMap<(u32, u32), usize>,
}

impl IndexedLines {
    pub fn of(code: &Code) -> IndexedLines {
        let Some(btf) = &code.btf else { return IndexedLines::default() };
        let records = || code.functions.iter().flat_map(|function| &function.lines).filter(|record| record.line() > 0);
        let text = |offset| btf.string(offset).unwrap_or_default();
        let mut files: Vec<String> = records().map(|record| text(record.words[0])).collect();
        files.sort();
        files.dedup();
        let mut lines: BTreeMap<(usize, u32), String> = BTreeMap::new();
        let file_of = |record: &LineRecord| files.binary_search(&text(record.words[0])).unwrap_or_default();
        for record in records() {
            lines.entry((file_of(record), record.line())).or_insert_with(|| text(record.words[1]));
        }
        let numbers: BTreeMap<(usize, u32), usize> = lines.keys().copied().zip(0..).collect();
        let places =
            records().map(|record| ((record.words[0], record.line()), numbers[&(file_of(record), record.line())]));
        let places = places.collect();
        let lines = lines.into_iter().map(|((file, line), text)| SourceLine { file, line, text }).collect();
        IndexedLines { table: LineTable { files, lines }, places }
    }

    /// The place of a line.
    pub fn at(&self, file: &str, line: u32) -> Option<usize> {
        let file = self.table.files.binary_search_by(|known| known.as_str().cmp(file)).ok()?;
        self.table.lines.binary_search_by_key(&(file, line), |known| (known.file, known.line)).ok()
    }

    /// The place of a record's line; `None` for code that belongs to no line.
    pub fn place(&self, record: &LineRecord) -> Option<usize> {
        self.places.get(&(record.words[0], record.line())).copied()
    }
}

//! [`render`]: findings as GitHub's workflow commands, which become annotations when a step prints them.

use std::fmt::Write as _;
use std::path::Path;

use super::SourceRoot;
use super::finding::{Finding, FindingLevel, findings};
use crate::record::RunRecord;

/// GitHub shows no more of each sort from one step, and drops the rest silently.
const MOST_OF_A_SORT: usize = 10;

/// A line for each finding, the last of each sort saying how many more there are. Files that are not in the repository are not
/// named: an annotation there would lead nowhere.
pub fn render(record: &RunRecord, sources: &SourceRoot) -> String {
    let all = findings(record);
    let mut text = String::new();
    for (level, command) in
        [(FindingLevel::Error, "error"), (FindingLevel::Warning, "warning"), (FindingLevel::Note, "notice")]
    {
        let mine: Vec<&Finding> = all.iter().filter(|finding| finding.level == level).collect();
        let kept = if mine.len() > MOST_OF_A_SORT { MOST_OF_A_SORT - 1 } else { mine.len() };
        for finding in &mine[..kept] {
            let mut properties = Vec::new();
            if let Some(place) = &finding.place
                && let Some(file) = sources.find(Path::new(&place.file))
            {
                properties.push(format!("file={}", property(&file)));
                properties.push(format!("line={}", place.line));
                properties.extend(place.column.map(|column| format!("col={column}")));
            }
            properties.push(format!("title={}", property(&format!("corematrix: {}", finding.rule_label()))));
            let _ = writeln!(text, "::{command} {}::{}", properties.join(","), data(&finding.message(record)));
        }
        if kept < mine.len() {
            let more = format!("{} more of this kind are in the report", mine.len() - kept);
            let _ = writeln!(text, "::{command} title={}::{}", property("corematrix"), data(&more));
        }
    }
    text
}

/// Text behind the second `::`.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        assert_eq!(data("100% a\r\nb::c,d"), "100%25 a%0D%0Ab::c,d");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}

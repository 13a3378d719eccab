//! Findings as compilers write theirs, for problem matchers and editors: `FILE:LINE:COLUMN: SEVERITY: TEXT [RULE]`.

use std::path::Path;

use super::SourceRoot;
use super::finding::{FindingLevel, findings, object_file};
use super::text::one_line;
use crate::record::RunRecord;

/// One finding in a line, and below it what to do about it.
pub fn diagnostic(place: &str, severity: &str, text: &str, rule: &str, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!("    hint: {hint}\n")).unwrap_or_default();
    format!("{place}: {severity}: {text} [{rule}]\n{hint}")
}

/// `FILE:LINE`, with the column if it is known.
pub fn place_of(file: &str, line: u32, column: Option<u32>) -> String {
    let column = column.map(|column| format!(":{column}")).unwrap_or_default();
    format!("{file}:{line}{column}")
}

/// All findings. One without a place in the source stands at its object's file, and a kernel's at the kernel.
pub fn render(record: &RunRecord, sources: &SourceRoot) -> String {
    let line = |finding: &super::finding::Finding| {
        let in_source = finding.place.as_ref().map(|place| {
            let file = sources.find(Path::new(&place.file)).unwrap_or_else(|| place.file.clone());
            place_of(&file, place.line, place.column)
        });
        let at_object = || {
            let file = object_file(record, finding)?;
            Some(sources.find(file).unwrap_or_else(|| file.display().to_string()))
        };
        let place = in_source.or_else(at_object).unwrap_or_else(|| "corematrix".to_owned());
        let severity = match finding.level {
            FindingLevel::Error => "error",
            FindingLevel::Warning => "warning",
            FindingLevel::Note => "note",
        };
        diagnostic(&one_line(&place), severity, &finding.message(record), &finding.rule(), None)
    };
    findings(record).iter().map(line).collect()
}

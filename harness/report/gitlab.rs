//! [`render`]: findings as a GitLab code quality report.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::SourceRoot;
use super::finding::{Finding, FindingKind, FindingLevel, findings, object_file};
use crate::record::RunRecord;

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

/// The findings about objects as a JSON array. A finding without a place in the repository stands at the first line of the
/// file that comes nearest: GitLab takes none without.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord, sources: &SourceRoot) -> io::Result<Vec<u8>> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut issues = Vec::new();
    // What is reused says so itself.
    let is_issue = |finding: &&Finding| !matches!(finding.kind, FindingKind::Kernel | FindingKind::Reused);
    for finding in findings(record).iter().filter(is_issue) {
        let placed = finding.place.as_ref().and_then(|place| Some((sources.find(Path::new(&place.file))?, place.line)));
        let (path, begin) = placed.unwrap_or_else(|| {
            let file = object_file(record, finding).unwrap_or(Path::new("unknown"));
            let name = || file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (sources.find(file).unwrap_or_else(name), 1)
        });
        let fingerprint = finding.fingerprint(record);
        // GitLab drops an issue whose fingerprint it has seen.
        let again = seen.entry(fingerprint.clone()).or_default();
        *again += 1;
        let fingerprint = if *again == 1 { fingerprint } else { format!("{fingerprint}-{again}") };
        issues.push(Issue {
            description: finding.message(record),
            check_name: finding.rule(),
            fingerprint,
            severity: match finding.level {
                FindingLevel::Error => "major",
                FindingLevel::Warning => "minor",
                FindingLevel::Note => "info",
            },
            location: Location { path, lines: Lines { begin } },
        });
    }
    let mut out = serde_json::to_vec_pretty(&issues)?;
    out.push(b'\n');
    Ok(out)
}

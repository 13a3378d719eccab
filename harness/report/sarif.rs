//! [`render`]: findings as SARIF 2.1.0, at the line of the C source.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::SourceRoot;
use super::finding::{Finding, Kind, Level, findings, object_file};
use crate::record::RunRecord;

/// The findings as a SARIF log of one run. Paths in the repository are relative to its root, others are as the compiler saw
/// them; kernels that could not be used are notifications, since they are no result about the code.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord, sources: &SourceRoot) -> io::Result<Vec<u8>> {
    let all = findings(record);
    let (about_kernels, results): (Vec<&Finding>, Vec<&Finding>) =
        all.iter().partition(|finding| finding.kind == Kind::Kernel);
    let mut rules: Vec<(String, &str)> = Vec::new();
    for finding in &results {
        let rule = (finding.rule(), finding.rule_label());
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let result = |finding: &&Finding| {
        let rule = finding.rule();
        let index = rules.iter().position(|(known, _)| *known == rule);
        let kernels: Vec<&str> = finding.kernels.iter().map(|&k| record.kernels[k].name.as_str()).collect();
        json!({
            "ruleId": rule,
            "ruleIndex": index,
            "level": level(finding.level),
            "message": { "text": finding.message(record) },
            "locations": [location(record, sources, finding)],
            "partialFingerprints": { "corematrix/v1": finding.fingerprint(record) },
            "properties": { "kernels": kernels, "programs": finding.programs },
        })
    };
    let results: Vec<Value> = results.iter().map(result).collect();
    let rule = |(id, label): &(String, &str)| json!({ "id": id, "shortDescription": { "text": label } });
    let notification = |finding: &&Finding| {
        json!({
            "level": level(finding.level),
            "message": { "text": finding.story },
            "descriptor": { "id": finding.rule() },
        })
    };
    let mut invocation = json!({
        "executionSuccessful": !record.interrupted && record.finished.is_some(),
        "startTimeUtc": record.started,
        "toolExecutionNotifications": about_kernels.iter().map(notification).collect::<Vec<_>>(),
    });
    if let Some(finished) = &record.finished {
        invocation["endTimeUtc"] = json!(finished);
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "corematrix",
                "version": record.tool.corematrix,
                "rules": rules.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "utf16CodeUnits",
            "invocations": [invocation],
            "results": results,
        }],
    });
    let mut out = serde_json::to_vec_pretty(&log)?;
    out.push(b'\n');
    Ok(out)
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

fn location(record: &RunRecord, sources: &SourceRoot, finding: &Finding) -> Value {
    let file = match (&finding.place, object_file(record, finding)) {
        (Some(place), _) => Path::new(&place.file),
        (None, Some(file)) => file,
        (None, None) => Path::new("unknown"),
    };
    let artifact = match sources.find(file) {
        Some(path) => json!({ "uri": uri(&path), "uriBaseId": "%SRCROOT%" }),
        None if file.is_absolute() => json!({ "uri": format!("file://{}", uri(&file.to_string_lossy())) }),
        None => json!({ "uri": uri(&file.to_string_lossy()) }),
    };
    let mut physical = json!({ "artifactLocation": artifact });
    if let Some(place) = &finding.place {
        physical["region"] = json!({ "startLine": place.line.max(1) });
        if let Some(column) = place.column {
            physical["region"]["startColumn"] = json!(column);
        }
        if !place.text.is_empty() {
            physical["region"]["snippet"] = json!({ "text": place.text });
        }
    }
    let object = finding.object.map_or("", |o| record.objects[o].name.as_str());
    let logical = |program: &String| {
        json!({
            "name": program,
            "fullyQualifiedName": format!("{object}/{program}"),
            "kind": "function",
        })
    };
    let mut location = json!({ "physicalLocation": physical });
    if !finding.programs.is_empty() {
        location["logicalLocations"] = finding.programs.iter().map(logical).collect();
    }
    location
}

/// A path as part of a URI.
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a b/ü#?%.c"), "a%20b/%C3%BC%23%3F%25.c");
    }
}

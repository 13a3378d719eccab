//! [`render`]: findings as SARIF 2.1.0, at the line of the C source.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::SourceRoot;
use super::finding::{Finding, FindingKind, FindingLevel, findings, object_file};
use super::text::one_line;
use crate::compare::Place;
use crate::gate::{Decision, Excuse, GateReport, Rule, Weight};
use crate::record::RunRecord;

/// The findings as a SARIF log of one run. If the gate was asked, what it excuses is suppressed with the reason, and what is red and no
/// finding is a separate result. Paths in the repository are relative to its root, others are as the compiler saw
/// them; kernels that could not be used are notifications, since they are no result about the code.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord, sources: &SourceRoot, gate: Option<&GateReport>) -> io::Result<Vec<u8>> {
    let all = findings(record);
    let (about_kernels, results): (Vec<&Finding>, Vec<&Finding>) =
        all.iter().partition(|finding| matches!(finding.kind, FindingKind::Kernel | FindingKind::Reused));
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
        let mut result = json!({
            "ruleId": rule,
            "ruleIndex": index,
            "level": level(finding.level),
            "message": { "text": finding.message(record) },
            "locations": [location(record, sources, finding)],
            "partialFingerprints": { "corematrix/v1": finding.fingerprint(record) },
            "properties": { "kernels": kernels, "programs": finding.programs },
        });
        if let Some(gate) = gate {
            result["suppressions"] = suppressions(record, gate, finding);
        }
        result
    };
    let mut results: Vec<Value> = results.iter().map(result).collect();
    for decision in gate.iter().flat_map(|gate| gate.of_weight(Weight::Red)).filter(|decision| is_no_finding(decision))
    {
        let rule = (format!("gate_{}", decision.rule.name()), decision.rule.label());
        let index = rules.iter().position(|known| *known == rule).unwrap_or_else(|| {
            rules.push(rule.clone());
            rules.len() - 1
        });
        results.push(decided(record, sources, decision, (&rule.0, index)));
    }
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

/// Whether no finding says it.
fn is_no_finding(decision: &Decision) -> bool {
    !matches!(
        decision.rule,
        Rule::Failure
            | Rule::VerdictWorse
            | Rule::CauseChanged
            | Rule::NotWhole
            | Rule::NewDanger
            | Rule::KernelWarning
    )
}

/// A decision of the gate as a result, at the object's file.
fn decided(record: &RunRecord, sources: &SourceRoot, decision: &Decision, (rule, index): (&str, usize)) -> Value {
    let object = record.objects.iter().position(|object| Some(&object.name) == decision.place.object.as_ref());
    let finding = Finding {
        level: FindingLevel::Error,
        kind: FindingKind::Object,
        object,
        programs: decision.place.program.iter().filter(|_| object.is_some()).cloned().collect(),
        kernels: Vec::new(),
        subject: Some(decision.message.clone()),
        story: decision.message.clone(),
        place: None,
    };
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": "error",
        "message": { "text": decision.message },
        "locations": [location(record, sources, &finding)],
        "partialFingerprints": { "corematrix/v1": finding.fingerprint(record) },
        "suppressions": [],
    })
}

/// Why the gate lets a finding pass on all of its kernels and programs; empty if it does not.
fn suppressions(record: &RunRecord, gate: &GateReport, finding: &Finding) -> Value {
    let rule = match finding.kind {
        FindingKind::Program(..) => Rule::Failure,
        FindingKind::Object => Rule::NotWhole,
        FindingKind::KernelWarning => Rule::KernelWarning,
        FindingKind::Danger
        | FindingKind::CannotAttach
        | FindingKind::NearLimit
        | FindingKind::Loaders
        | FindingKind::Prediction
        | FindingKind::PredictedFailure
        | FindingKind::Module
        | FindingKind::Reused
        | FindingKind::Kernel => return json!([]),
    };
    let Some(o) = finding.object else { return json!([]) };
    let programs: Vec<Option<&String>> = match finding.programs.is_empty() {
        true => vec![None],
        false => finding.programs.iter().map(Some).collect(),
    };
    let mut reasons: Vec<String> = Vec::new();
    for &k in &finding.kernels {
        for program in &programs {
            let place = Place::cell(&record.objects[o].name, &record.kernels[k].name);
            let is_it = |excuse: &&Excuse| {
                // A finding has names that are fit to print.
                let named = excuse.place.program.as_deref().map(one_line);
                excuse.rule == rule
                    && (&excuse.place.object, &excuse.place.kernel) == (&place.object, &place.kernel)
                    && named.as_ref() == *program
            };
            let Some(excuse) = gate.excused.iter().find(is_it) else { return json!([]) };
            let words = excuse.words();
            if !reasons.contains(&words) {
                reasons.push(words);
            }
        }
    }
    json!([{ "kind": "external", "status": "accepted", "justification": reasons.join("; ") }])
}

fn level(level: FindingLevel) -> &'static str {
    match level {
        FindingLevel::Error => "error",
        FindingLevel::Warning => "warning",
        FindingLevel::Note => "note",
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a b/ü#?%.c"), "a%20b/%C3%BC%23%3F%25.c");
    }

    #[test]
    fn what_the_gate_excuses_is_suppressed_and_what_is_red_is_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("suite.toml");
        let expect = "[[expect]]\nobject = \"execsnoop\"\nprogram = \"vfs_*\"\nreason = \"renamed\"\n\
                      [[expect]]\nobject = \"execsnoop\"\nreason = \"old\"\nexpires = 2020-01-01\nkernel = \"6.1\"";
        std::fs::write(&path, expect).unwrap();
        let expectations = crate::gate::Expectations::read(&path).unwrap();
        let record = crate::record::sample::record();
        let report = crate::gate::decide(&record, None, &expectations, &crate::gate::GateLimits::now());
        let sarif = render(&record, &SourceRoot::around(folder.path()), Some(&report)).unwrap();
        let sarif: Value = serde_json::from_slice(&sarif).unwrap();
        let run = &sarif["runs"][0];
        let results = run["results"].as_array().unwrap();
        let suppressed: Vec<&Value> = results
            .iter()
            .filter(|result| result["suppressions"].as_array().is_some_and(|all| !all.is_empty()))
            .collect();
        assert_eq!(suppressed.len(), 1, "{results:#?}");
        assert_eq!(suppressed[0]["properties"]["programs"], json!(["vfs_read_entry", "vfs_read_exit"]));
        let expected = json!([{ "kind": "external", "status": "accepted", "justification": "renamed" }]);
        assert_eq!(suppressed[0]["suppressions"], expected);
        let expired = results.iter().find(|result| result["ruleId"] == "gate_expectation_expired").unwrap();
        let rule = &run["tool"]["driver"]["rules"][usize::try_from(expired["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], "gate_expectation_expired");
        assert!(results.iter().all(|result| result["suppressions"].is_array()));
    }
}

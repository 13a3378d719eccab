//! The published JSON Schemas of `report.json` and of a line of `report.jsonl`, in `schema/`. They are made from the types,
//! doc comments included, and kept current by the tests here.

use std::path::PathBuf;

use schemars::schema_for;
use serde_json::Value;

use super::jsonl;
use super::jsonl::Line;
use crate::record::{SCHEMA_VERSION, json, sample, schema};

/// Compares a schema with the committed one; `UPDATE_SCHEMA=1` writes it.
fn check(name: &str, schema: Value) -> Value {
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "`schema/{name}` is not current: run the tests once with UPDATE_SCHEMA=1");
    schema
}

fn of_line() -> Value {
    let mut schema = schema_for!(Line<'static>).to_value();
    schema["title"] = "a line of report.jsonl of corematrix".into();
    schema
}

/// Whether `value` has what `schema` asks for: no validator, but enough to see a schema that fits nothing.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(path.trim_start_matches('#')).unwrap();
        if !fits(target, root, value) {
            return false;
        }
    }
    let all = |key: &str| schema.get(key).and_then(Value::as_array);
    let required =
        all("required").is_none_or(|names| names.iter().all(|name| value.get(name.as_str().unwrap()).is_some()));
    let constant = schema.get("const").is_none_or(|wanted| wanted == value);
    let listed = all("enum").is_none_or(|values| values.contains(value));
    let one = ["oneOf", "anyOf"].iter().all(|key| all(key).is_none_or(|any| any.iter().any(|s| fits(s, root, value))));
    let members = schema.get("properties").and_then(Value::as_object).is_none_or(|properties| {
        let present = properties.iter().filter_map(|(name, schema)| Some((schema, value.get(name)?)));
        present.into_iter().all(|(schema, value)| fits(schema, root, value))
    });
    let items = match (schema.get("items"), value.as_array()) {
        (Some(items), Some(values)) => values.iter().all(|value| fits(items, root, value)),
        _ => true,
    };
    required && constant && listed && one && members && items
}

#[test]
fn the_schema_of_the_record_is_current_and_fits() {
    let name = format!("report-{SCHEMA_VERSION}.schema.json");
    let schema = check(&name, schema::report());
    for record in [sample::record(), sample::large(30, 3)] {
        let value: Value = serde_json::from_slice(&json::render(&record).unwrap()).unwrap();
        assert!(fits(&schema, &schema, &value));
        let mut other = value.clone();
        other["cells"][0]["programs"][0]["verdict"] = "fine".into();
        assert!(!fits(&schema, &schema, &other));
        other = value.clone();
        other["kernels"][0].as_object_mut().unwrap().remove("state");
        assert!(!fits(&schema, &schema, &other));
    }
}

#[test]
fn the_schema_of_a_line_is_current_and_fits() {
    let name = format!("report-line-{SCHEMA_VERSION}.schema.json");
    let schema = check(&name, of_line());
    let text = String::from_utf8(jsonl::render(&sample::record()).unwrap()).unwrap();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(fits(&schema, &schema, &value), "{line}");
    }
}

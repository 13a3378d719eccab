//! The published JSON Schemas of `report.json` and of a line of `report.jsonl`, in `schema/`. They are made from the types,
//! doc comments included, and kept current by the tests here.

use schemars::schema_for;
use serde_json::Value;

use super::jsonl;
use super::jsonl::Line;
use crate::record::{SCHEMA_VERSION, json, sample, schema};
use crate::schema::{check, fits};

fn of_line() -> Value {
    let mut schema = schema_for!(Line<'static>).to_value();
    schema["title"] = "a line of report.jsonl of corematrix".into();
    schema
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

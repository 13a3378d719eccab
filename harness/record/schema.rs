//! [`report`]: the JSON Schema of `report.json`, made from the types, doc comments included.

use schemars::schema_for;
use serde_json::Value;

use crate::RunRecord;

/// The schema of `report.json`.
pub fn report() -> Value {
    let mut schema = schema_for!(RunRecord).to_value();
    schema["title"] = "report.json of corematrix".into();
    schema
}

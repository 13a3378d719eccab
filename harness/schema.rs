//! The published JSON Schemas in `schema/`: made from the types, kept current, and held against what is really written.

use std::path::PathBuf;

use serde_json::Value;

/// Compares a schema with the committed one; `UPDATE_SCHEMA=1` writes it.
pub fn check(name: &str, schema: Value) -> Value {
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "`schema/{name}` is not current: run the tests once with UPDATE_SCHEMA=1");
    schema
}

/// Whether `value` has what `schema` asks for: not all of the standard, but enough to see a schema that fits nothing or anything.
pub fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    if let Some(allowed) = schema.as_bool() {
        return allowed;
    }
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(path.trim_start_matches('#')).unwrap();
        if !fits(target, root, value) {
            return false;
        }
    }
    let all = |key: &str| schema.get(key).and_then(Value::as_array);
    let types = match schema.get("type") {
        None => true,
        Some(Value::Array(types)) => types.iter().any(|name| has_type(value, name.as_str().unwrap())),
        Some(name) => has_type(value, name.as_str().unwrap()),
    };
    let required =
        all("required").is_none_or(|names| names.iter().all(|name| value.get(name.as_str().unwrap()).is_some()));
    let constant = schema.get("const").is_none_or(|wanted| wanted == value);
    let listed = all("enum").is_none_or(|values| values.contains(value));
    let one = ["oneOf", "anyOf"].iter().all(|key| all(key).is_none_or(|any| any.iter().any(|s| fits(s, root, value))));
    let every = all("allOf").is_none_or(|all| all.iter().all(|schema| fits(schema, root, value)));
    let properties = schema.get("properties").and_then(Value::as_object);
    let members = value.as_object().is_none_or(|members| {
        members.iter().all(|(name, value)| match properties.and_then(|known| known.get(name)) {
            Some(schema) => fits(schema, root, value),
            None => schema.get("additionalProperties").is_none_or(|others| fits(others, root, value)),
        })
    });
    let items = match (schema.get("items"), value.as_array()) {
        (Some(items), Some(values)) => values.iter().all(|value| fits(items, root, value)),
        _ => true,
    };
    types && required && constant && listed && one && every && members && items
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("type `{other}`"),
    }
}

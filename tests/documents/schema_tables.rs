//! Tables of keys and fields, from the JSON Schemas.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn schema(root: &Path, name: &str) -> Value {
    let text = fs::read_to_string(root.join("schema").join(format!("{name}.schema.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Each value of an enumeration with what it means.
pub fn meanings(root: &Path, name: &str) -> BTreeMap<String, String> {
    let schema = schema(root, "report-1");
    let variants = schema["$defs"][name]["oneOf"].as_array().unwrap();
    variants.iter().map(|variant| (variant["const"].as_str().unwrap().to_owned(), described(variant))).collect()
}

/// The keys of a suite: those at its top, then a table for each kind of table in it.
pub fn suite(root: &Path) -> String {
    let schema = schema(root, "suite-1");
    let is_table = |value: &Value| value["type"] == "array" && value["items"].get("properties").is_some();
    let mut text = String::from("### At the top\n");
    let mut top = schema.clone();
    top["properties"].as_object_mut().unwrap().retain(|_, value| !is_table(value));
    table(&mut text, &top);
    for (name, value) in schema["properties"].as_object().unwrap().iter().filter(|(_, value)| is_table(value)) {
        let _ = write!(text, "\n### `[[{name}]]`\n\n{}\n", described(value));
        table(&mut text, &value["items"]);
    }
    text
}

/// The keys of `kernels.toml`: those of all kernels, then those of each source.
pub fn kernels(root: &Path) -> String {
    let schema = schema(root, "kernels-1");
    let mut text = String::new();
    for (name, value) in
        schema["properties"].as_object().unwrap().iter().filter(|(_, value)| value.get("properties").is_some())
    {
        let _ = write!(text, "### `[{name}]`\n\n{}\n", described(value));
        table(&mut text, value);
        text.push('\n');
    }
    let kernels = schema["$defs"]["kernel"]["oneOf"].as_array().unwrap();
    let has_everywhere = |key: &str| kernels.iter().all(|kernel| kernel["properties"].get(key).is_some());
    let mut common = kernels[0].clone();
    common["properties"].as_object_mut().unwrap().retain(|key, _| key != "source" && has_everywhere(key));
    text.push_str("### `[kernel.\"NAME\"]`\n\nEvery kernel may have these keys:\n");
    table(&mut text, &common);
    for kernel in kernels {
        let source = kernel["properties"]["source"]["const"].as_str().unwrap();
        let mut own = kernel.clone();
        own["properties"].as_object_mut().unwrap().retain(|key, _| key != "source" && !has_everywhere(key));
        let _ = write!(text, "\n### `source = \"{source}\"`\n");
        match own["properties"].as_object().unwrap().is_empty() {
            true => text.push_str("\nNo further keys.\n"),
            false => table(&mut text, &own),
        }
    }
    text
}

/// The fields of `report.json`, type by type.
pub fn report(root: &Path) -> String {
    let schema = schema(root, "report-1");
    let mut text = format!("### {}\n\n{}\n", schema["title"].as_str().unwrap(), described(&schema));
    table(&mut text, &schema);
    for (name, value) in schema["$defs"].as_object().unwrap() {
        let _ = write!(text, "\n### {name}\n\n{}\n", described(value));
        if value.get("properties").is_some() {
            table(&mut text, value);
        }
        for (index, variant) in value["oneOf"].as_array().into_iter().flatten().enumerate() {
            let gap = if index == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}* {}: {}", form(variant), described(variant));
        }
    }
    text
}

fn table(text: &mut String, object: &Value) {
    let required: Vec<&str> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    text.push_str("\n| key | type | meaning |\n|---|---|---|\n");
    rows(text, object, "", &required);
}

fn rows(text: &mut String, object: &Value, before: &str, required: &[&str]) {
    for (key, value) in object["properties"].as_object().into_iter().flatten() {
        let needed = if before.is_empty() && required.contains(&key.as_str()) { ", required" } else { "" };
        let _ = writeln!(text, "| `{before}{key}` | {}{needed} | {} |", form(value), described(value));
        let inner = if value["type"] == "array" { &value["items"] } else { value };
        rows(text, inner, &format!("{before}{key}."), &[]);
    }
}

/// The type, in words.
fn form(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        // Types of the record begin with a capital, and have a separate heading.
        let has_heading = name.starts_with(|c: char| c.is_ascii_uppercase());
        return if has_heading { format!("[{name}](#{})", name.to_ascii_lowercase()) } else { name.to_owned() };
    }
    if let Some(text) = value["const"].as_str() {
        return format!("`{text}`");
    }
    if let Some(values) = value["enum"].as_array() {
        return values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    for kind in ["anyOf", "oneOf"] {
        if let Some(forms) = value[kind].as_array() {
            let forms: Vec<String> = forms.iter().filter(|form| form["type"] != "null").map(form).collect();
            return forms.join(" or ");
        }
    }
    match &value["type"] {
        Value::String(kind) if kind == "array" => match value.get("items") {
            Some(items) if items.is_object() => format!("list of {}", form(items)),
            _ => "list".to_owned(),
        },
        Value::String(kind) if kind == "object" => match value["properties"].as_object() {
            // The record of a variant: what it holds distinguishes it from others.
            Some(properties) if value.get("description").is_none() || value.get("required").is_some() => {
                format!(
                    "object with {}",
                    properties.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
                )
            }
            _ => "object".to_owned(),
        },
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn described(value: &Value) -> String {
    let text = value["description"].as_str().unwrap_or_default();
    // Links of the source's documentation lead nowhere here.
    let text = text.replace("[`", "`").replace("`]", "`");
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

//! [`render`]: one page for a browser that needs nothing else: no network, no server, no other file.
//!
//! The page's words and looks are in `html/`. Everything that comes from the record travels as JSON and reaches the page as text
//! only, so that no name can become markup.

mod alternatives;
mod changes;
mod coverage;
mod data;
mod log;
mod machines;
mod privileges;
mod shared;

use std::io;

use super::Material;
use super::summary::{RunAnswer, Summary};
use super::text::one_line;

const PAGE: &str = include_str!("html/page.html");
const STYLE: [&str; 3] =
    [include_str!("html/page.css"), include_str!("html/detail.css"), include_str!("html/coverage.css")];
const SCRIPT: [&str; 10] = [
    include_str!("html/model.js"),
    include_str!("html/grid.js"),
    include_str!("html/detail.js"),
    include_str!("html/lists.js"),
    include_str!("html/alternatives.js"),
    include_str!("html/machines.js"),
    include_str!("html/privileges.js"),
    include_str!("html/changes.js"),
    include_str!("html/coverage.js"),
    include_str!("html/main.js"),
];

/// The page.
///
/// # Errors
/// None that comes from the record.
pub fn render(material: &Material<'_>) -> io::Result<String> {
    let summary = Summary::of(material.record);
    let (sign, answer) = match summary.answer {
        RunAnswer::Everywhere => ("✓", "everywhere"),
        RunAnswer::Broken => ("✗", "broken"),
        RunAnswer::NotProven => ("?", "unproven"),
    };
    let details: String = summary.details.iter().map(|detail| format!("<li>{}</li>", with_code(detail))).collect();
    let json = serde_json::to_string(&data::data(material))?;
    let mut page = String::with_capacity(json.len() + 100_000);
    // Piece by piece and never twice over the same text: what is put in is not searched for marks again.
    for piece in PAGE.split("{{") {
        let Some((name, rest)) = piece.split_once("}}") else {
            page += piece;
            continue;
        };
        match name {
            "style" => STYLE.iter().for_each(|part| page += part),
            "script" => SCRIPT.iter().for_each(|part| page += part),
            "data" => page += &embedded(&json),
            "sentence" => page += &escaped(&summary.sentence),
            "details" => page += &details,
            "sign" => page += sign,
            "answer" => page += answer,
            _ => {}
        }
        page += rest;
    }
    Ok(page)
}

/// JSON that cannot end the element it stands in, nor begin a comment there.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

fn escaped(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The same, with names in backticks as code.
fn with_code(text: &str) -> String {
    let text = escaped(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text;
    }
    let part =
        |(at, part): (usize, &&str)| if at % 2 == 1 { format!("<code>{part}</code>") } else { (*part).to_owned() };
    parts.iter().enumerate().map(part).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod browser;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

//! [`render`]: one page for a browser that needs nothing else: no network, no server, no other file.
//!
//! The page's words and looks are in `html/`. Everything that comes from the record travels as packed JSON and reaches the page as text
//! only, so that no name can become markup.

mod alternatives;
mod changes;
mod coverage;
mod data;
mod log;
mod machines;
mod privileges;
mod shared;

use std::io::{self, BufWriter};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use flate2::Compression;
use flate2::write::GzEncoder;

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

/// How hard to pack. More makes a page of 20,000 cells a tenth smaller, and takes twice the time.
const PACKED: u32 = 4;

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
    let data = packed(&data::data(material))?;
    let mut page = String::with_capacity(data.len() + 100_000);
    // Piece by piece and never twice over the same text: what is put in is not searched for marks again.
    for piece in PAGE.split("{{") {
        let Some((name, rest)) = piece.split_once("}}") else {
            page += piece;
            continue;
        };
        match name {
            "style" => STYLE.iter().for_each(|part| page += part),
            "script" => SCRIPT.iter().for_each(|part| page += part),
            "data" => page += &data,
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

/// JSON by gzip and base64: what thousands of cells have in common takes room once, and nothing in it can end the element it stands in.
fn packed(data: &data::Data) -> io::Result<String> {
    let packer = GzEncoder::new(EncoderStringWriter::new(&STANDARD), Compression::new(PACKED));
    let mut out = BufWriter::with_capacity(1 << 16, packer);
    serde_json::to_writer(&mut out, data)?;
    Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?.into_inner())
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
#[cfg(test)]
pub(crate) use tests::data_of;

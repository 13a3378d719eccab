//! [`table`]: every message that has a hint, with the hint.

use std::fmt::Write as _;

pub fn table(mut rows: Vec<(String, String)>) -> String {
    rows.sort_by_key(|(message, _)| message.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
    rows.dedup();
    assert!(rows.len() > 200, "{}", rows.len());
    let mut table = String::from("| message | what to do |\n|---|---|\n");
    for (message, hint) in rows {
        let _ = writeln!(table, "| {} | {} |", cell(&message), cell(&hint));
    }
    table
}

/// A text for a table: what is filled in becomes `…`.
fn cell(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => out.extend(chars.next()),
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                out.push('…');
            }
            '\n' => out.push(' '),
            '|' if depth == 0 => out.push_str("\\|"),
            '<' if depth == 0 => out.push_str("&lt;"),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim().to_owned()
}

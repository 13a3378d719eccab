//! Parts of pages that follow from the code: they stand between `<!-- generated: NAME -->` and `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use corematrix::record::{Blame, Cause, Verdict, exit_code};

use super::catalogue::Catalogue;
use super::page::Page;
use super::{commands, hint_table, schema_tables};

const BEGIN: &str = "\n<!-- generated: ";
const END: &str = "<!-- end -->";

/// Says which parts are not what the code makes of them; with `update` they are written again instead.
pub fn differences(root: &Path, page: &Page, update: bool) -> Vec<String> {
    let mut rest = page.text.as_str();
    let (mut text, mut wrong) = (String::new(), Vec::new());
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) =
            after.split_once(" -->\n").unwrap_or_else(|| panic!("{}: a mark does not end", page.path.display()));
        let (old, after) = after.split_once(END).unwrap_or_else(|| panic!("{}: no `{END}`", page.path.display()));
        let new = format!("\n{}\n\n", part(root, name).trim());
        if old != new {
            wrong.push(format!(
                "{}: `{name}` is not what the code says: `UPDATE_DOCS=1` writes it",
                page.path.display()
            ));
        }
        let _ = write!(text, "{before}{BEGIN}{name} -->\n{new}{END}");
        rest = after;
    }
    if update && !wrong.is_empty() {
        text.push_str(rest);
        fs::write(root.join(&page.path), text).unwrap();
        wrong.clear();
    }
    wrong
}

fn part(root: &Path, name: &str) -> String {
    match name {
        "commands" => commands::reference(),
        "hints" => hint_table::table(Catalogue::read(root).hints()),
        "verdicts" => verdicts(root),
        "causes" => causes(root),
        "exit codes" => format!("```text\n{}\n```", exit_code::HELP),
        "suite" => schema_tables::suite(root),
        "kernels.toml" => schema_tables::kernels(root),
        "report.json" => schema_tables::report(root),
        "lint rules" => said(&["lint", "--rules"]),
        "schemas" => said(&["schema"]),
        name => panic!("no part is called `{name}`"),
    }
}

fn verdicts(root: &Path) -> String {
    let meanings = schema_tables::meanings(root, "Verdict");
    let mut text =
        String::from("| verdict | table | `report.json` | what happened | who has to act |\n|---|---|---|---|---|\n");
    for verdict in Verdict::ALL {
        let key = serde_json::to_value(verdict).unwrap().as_str().unwrap().to_owned();
        let who = match verdict.blame() {
            Blame::Nobody => "no one",
            Blame::Object => "object",
            Blame::Kernel => "kernel",
            Blame::Harness => "corematrix or the machine",
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | `{key}` | {} | {who} |",
            verdict.label(),
            verdict.short(),
            meaning(&meanings, &key)
        );
    }
    text
}

fn causes(root: &Path) -> String {
    let meanings = schema_tables::meanings(root, "Cause");
    let mut text = String::from("| cause | `report.json` | the program |\n|---|---|---|\n");
    for cause in Cause::ALL {
        let key = serde_json::to_value(cause).unwrap().as_str().unwrap().to_owned();
        let _ = writeln!(text, "| {} | `{key}` | {} |", cause.label(), meaning(&meanings, &key));
    }
    text
}

/// Nothing for what the schema does not have yet; its own test says so.
fn meaning<'a>(meanings: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    meanings.get(key).map_or("", String::as_str)
}

/// What a command prints.
fn said(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).args(args).output().unwrap();
    format!("```text\n{}\n```", String::from_utf8_lossy(&output.stdout).trim_end())
}

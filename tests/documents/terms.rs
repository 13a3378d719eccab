//! The words that are not used: a table in `docs/reference/terms.md`.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use corematrix::cli::Cli;

use super::catalogue::sources;
use super::page::Page;

/// The page with the table.
pub const PAGE: &str = "docs/reference/terms.md";

/// A turn that is not used, and what to write.
pub struct Banned {
    turn: String,
    instead: String,
}

pub fn banned(page: &Page) -> Vec<Banned> {
    let rows = page.text.lines().skip_while(|line| *line != "| not | but |").skip(2);
    let mut all = Vec::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let turns = cells[1].split('`').skip(1).step_by(2);
        all.extend(turns.map(|turn| Banned { turn: turn.to_owned(), instead: cells[2].to_owned() }));
    }
    all
}

/// What stands in a text and should not. Code in backticks is of others.
pub fn wrong(banned: &[Banned], place: &str, text: &str) -> Vec<String> {
    let prose = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
    // What is filled in stands in braces.
    let prose: String = prose.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect();
    let prose = prose.to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    let used = |turn: &str| {
        prose.match_indices(turn).any(|(at, _)| {
            !is_word(prose[..at].chars().next_back()) && !is_word(prose[at + turn.len()..].chars().next())
        })
    };
    let found = banned.iter().filter(|banned| used(&banned.turn));
    found
        .map(|Banned { turn, instead }| format!("{place}: `{turn}` is not used, but {instead}: {}", text.trim()))
        .collect()
}

/// Directories whose comments are checked.
const CHECKED: [&str; 3] = ["harness", "images", "tests"];

/// The comments of the sources, each with its place. Code in doc comments is none.
pub fn comments(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    CHECKED.iter().for_each(|folder| sources(&root.join(folder), &mut files));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap_or(&file);
        let name = path.display();
        let mut is_code = false;
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let Some((before, text)) = line.split_once("//") else {
                is_code = false;
                continue;
            };
            // An address or a text of the program.
            if before.ends_with(':') || before.matches('"').count() % 2 == 1 {
                continue;
            }
            let text = text.trim_start_matches(['/', '!']).trim();
            is_code ^= text.starts_with("```");
            if !is_code {
                found.push((format!("{name}:{}", number + 1), text.to_owned()));
            }
        }
    }
    found
}

/// All help, each text with its command.
pub fn help() -> Vec<(String, String)> {
    fn visit(command: &Command, name: &str, texts: &mut Vec<(String, String)>) {
        let name = format!("{name} {}", command.get_name());
        let about = command.get_long_about().or(command.get_about());
        let after = command.get_after_long_help().or(command.get_after_help());
        texts.extend(about.into_iter().chain(after).map(|text| (name.clone(), text.to_string())));
        for arg in command.get_arguments() {
            let values = arg.get_possible_values();
            let values = values.iter().filter_map(|value| value.get_help());
            let help = arg.get_long_help().or(arg.get_help());
            texts.extend(help.into_iter().chain(values).map(|text| (format!("{name} {arg}"), text.to_string())));
        }
        command.get_subcommands().for_each(|inner| visit(inner, &name, texts));
    }
    let mut texts = Vec::new();
    let mut root = Cli::command();
    root.build();
    visit(&root, "", &mut texts);
    texts
}

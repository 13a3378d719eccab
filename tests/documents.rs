//! What documents say holds: commands that pages mark as run print what stands below them, every other command is one that corematrix
//! knows, links lead somewhere, and tables that follow from the code are those of the code.
//!
//! Marks in the info string of a fenced block:
//!
//! * `console run`: each line that begins with `$ ` is run in the directory of its page, and what it prints is compared. A line `...` stands
//!   for any number of lines. Blanks, times, releases and paths do not count (`redact.rs`).
//! * `file=NAME`: the block is written to this file before the next command runs.
//!
//! `UPDATE_DOCS=1` writes the generated parts of pages again.

#![allow(clippy::unwrap_used)]

#[path = "documents/catalogue.rs"]
mod catalogue;
#[path = "documents/command_line.rs"]
mod command_line;
#[path = "documents/commands.rs"]
mod commands;
#[path = "documents/generated.rs"]
mod generated;
#[path = "documents/hint_table.rs"]
mod hint_table;
#[path = "documents/link.rs"]
mod link;
#[path = "common/need.rs"]
mod need;
#[path = "documents/page.rs"]
mod page;
#[path = "documents/redact.rs"]
mod redact;
#[path = "documents/schema_tables.rs"]
mod schema_tables;
#[path = "documents/session.rs"]
mod session;
#[path = "documents/terms.rs"]
mod terms;

use std::path::Path;

use catalogue::Catalogue;
use need::need;
use page::{Page, pages};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with everything that is wrong at once.
#[track_caller]
fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong in documents:\n  {}", wrong.len(), wrong.join("\n  "));
}

#[test]
fn marked_commands_print_what_pages_show() {
    need!("guests", "programs", "clang", "libbpf headers");
    let marked: Vec<Page> = pages(root()).into_iter().filter(Page::is_run).collect();
    assert!(marked.len() >= 3, "the README, the tutorial and the worked examples are marked");
    let wrong = std::thread::scope(|scope| {
        let sessions: Vec<_> = marked.iter().map(|page| scope.spawn(|| session::differences(root(), page))).collect();
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect::<Vec<_>>()
    });
    expect_none(&wrong);
}

#[test]
fn every_command_is_one_that_corematrix_knows() {
    let pages = pages(root());
    let wrong: Vec<String> = pages.iter().flat_map(command_line::unknown).collect();
    expect_none(&wrong);
    let known: usize = pages.iter().map(|page| command_line::commands(page).len()).sum();
    assert!(known >= 80, "only {known} commands were found");
}

#[test]
fn every_option_has_one_meaning() {
    expect_none(&command_line::ambiguous());
}

#[test]
fn links_lead_somewhere() {
    let wrong: Vec<String> = pages(root()).iter().flat_map(|page| link::broken(root(), page)).collect();
    expect_none(&wrong);
}

#[test]
fn every_page_is_in_the_book() {
    let summary = Page::read(root(), Path::new("docs/SUMMARY.md"));
    let listed: Vec<_> =
        link::targets(&summary).into_iter().map(|(_, target)| Path::new("docs").join(target)).collect();
    let pages = pages(root());
    let missing = pages.iter().map(|page| &page.path).filter(|path| path.starts_with("docs") && !listed.contains(path));
    let wrong: Vec<String> = missing
        .filter(|path| **path != summary.path)
        .map(|path| format!("{}: not in the summary", path.display()))
        .collect();
    expect_none(&wrong);
}

#[test]
fn generated_parts_are_those_of_the_code() {
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let wrong: Vec<String> =
        pages(root()).iter().flat_map(|page| generated::differences(root(), page, update)).collect();
    expect_none(&wrong);
}

#[test]
fn messages_of_the_troubleshooting_page_are_in_the_sources() {
    let page = Page::read(root(), Path::new("docs/troubleshooting.md"));
    let catalogue = Catalogue::read(root());
    let titles: Vec<&str> =
        page.text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert!(titles.len() >= 20, "{titles:?}");
    let missing = titles.iter().filter(|title| !catalogue.texts().any(|(_, text)| text.contains(**title)));
    expect_none(&missing.map(|title| format!("{}: no message has `{title}`", page.path.display())).collect::<Vec<_>>());
}

/// One snapshot of all messages, so that each change of a word is reviewed.
#[test]
fn texts_of_the_sources() {
    insta::assert_snapshot!(Catalogue::read(root()).render());
}

#[test]
fn words_are_those_of_the_terms() {
    let banned = terms::banned(&Page::read(root(), Path::new(terms::PAGE)));
    assert!(banned.len() >= 30, "only {} turns are listed", banned.len());
    let mut wrong = Vec::new();
    for (place, text) in terms::help() {
        wrong.extend(terms::wrong(&banned, &place, &text));
    }
    for (place, text) in Catalogue::read(root()).texts() {
        wrong.extend(terms::wrong(&banned, place, text));
    }
    let comments = terms::comments(root());
    assert!(comments.len() >= 10_000, "only {} lines of comments were found", comments.len());
    for (place, text) in &comments {
        wrong.extend(terms::wrong(&banned, place, text));
    }
    for page in pages(root()).iter().filter(|page| page.path != Path::new(terms::PAGE)) {
        for (line, text) in page.prose() {
            wrong.extend(terms::wrong(&banned, &format!("{}:{line}", page.path.display()), text));
        }
    }
    expect_none(&wrong);
}

#[test]
fn the_readme_is_short() {
    let lines = Page::read(root(), Path::new("README.md")).text.lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}

//! The table of modules in `ARCHITECTURE.md` is what the code does: no module uses one that its row does not name, and rows
//! name only modules of rows above them, so that there is no circle.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Stands in the table for every row above.
const ALL: &str = "all above";
/// The crates, which Cargo keeps apart; what the host calls them.
const CRATES: [&str; 2] = ["record", "protocol"];
/// Directories of other crates.
const OTHER_CRATES: [&str; 3] = ["record", "protocol", "guest"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table: each module with those that it may use.
fn table(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let begin = text.find("| module | noun | uses |").expect("ARCHITECTURE.md has the table of modules");
    let rows = text[begin..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut table: Vec<(String, BTreeSet<String>)> = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        let uses = match cells[2] {
            ALL => table.iter().map(|(name, _)| name.clone()).collect(),
            list => list
                .split(',')
                .map(|one| one.trim().trim_matches('`').to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
        };
        table.push((name, uses));
    }
    table
}

/// Rust files below a directory, without those of tests.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// The code of a file without comments, and without its tests, which stand at its end.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut code = String::new();
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            while lines.next_if(|next| next.trim().starts_with("#[")).is_some() {}
            match lines.next() {
                // A separate file, or one line that only tests use.
                Some(item) if item.trim_end().ends_with(';') => continue,
                _ => break,
            }
        }
        code += line;
        code.push('\n');
    }
    code
}

/// What each module of the library uses: the other module, and a file that does.
fn edges() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let harness = root().join("harness");
    let mut files = Vec::new();
    sources(&harness, &mut files);
    let mut edges: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&harness).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        // Tests that stand in separate files.
        let is_test = ["golden.rs", "schema.rs", "browser.rs"].iter().any(|name| file.ends_with(name));
        if ["lib", "main"].contains(&module.as_str()) || OTHER_CRATES.contains(&module.as_str()) || is_test {
            continue;
        }
        let used = edges.entry(module.clone()).or_default();
        let text = code(&fs::read_to_string(&file).unwrap());
        for piece in text.split("crate::").skip(1) {
            let name: String = piece.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if name != module && !name.is_empty() && !CRATES.contains(&name.as_str()) {
                used.entry(name).or_insert_with(|| inside.to_owned());
            }
        }
    }
    edges
}

#[test]
fn table_has_every_module_and_no_circle() {
    let table = table(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let rows: BTreeSet<&String> = table.iter().map(|(name, _)| name).collect();
    let edges = edges();
    let modules: BTreeSet<&String> = edges.keys().collect();
    assert_eq!(rows, modules, "the table has other modules than `harness/`");
    for (at, (name, uses)) in table.iter().enumerate() {
        let above: BTreeSet<&String> = table[..at].iter().map(|(name, _)| name).collect();
        let wrong: Vec<&String> = uses.iter().filter(|used| !above.contains(used)).collect();
        assert!(wrong.is_empty(), "`{name}` may use only modules of rows above it, and not {wrong:?}");
    }
}

#[test]
fn no_arrow_runs_back_up() {
    let table = table(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let mut wrong = Vec::new();
    for (module, used) in edges() {
        let allowed = table.iter().find(|(name, _)| *name == module).map(|(_, uses)| uses);
        for (other, file) in used {
            if !allowed.is_some_and(|uses| uses.contains(&other)) {
                wrong.push(format!("`{module}` uses `{other}` in harness/{}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md does not allow it:\n{}", wrong.join("\n"));
}

#[test]
fn table_allows_nothing_that_is_not_done() {
    let edges = edges();
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    // The command line may use all.
    for (name, uses) in table(&text).into_iter().filter(|(name, _)| name != "cli") {
        let done: BTreeSet<String> = edges[&name].keys().cloned().collect();
        let idle: Vec<&String> = uses.difference(&done).collect();
        assert!(idle.is_empty(), "`{name}` uses no longer {idle:?}: take it out of ARCHITECTURE.md");
    }
}

#[test]
fn guest_and_records_know_nothing_of_the_host() {
    for (name, forbidden) in [
        ("record", &["corematrix ", "corematrix-protocol", "corematrix-guest", "libbpf"][..]),
        ("protocol", &["corematrix ", "corematrix-guest", "libbpf"]),
        ("guest", &["corematrix ", "clap", "tabled", "rayon"]),
    ] {
        let manifest = fs::read_to_string(root().join("harness").join(name).join("Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        for word in forbidden {
            let found = dependencies.lines().any(|line| line.starts_with(word));
            assert!(!found, "`harness/{name}` depends on `{word}`");
        }
    }
}

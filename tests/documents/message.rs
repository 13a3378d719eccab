//! The texts of messages, which stand in the sources.

use std::fs;
use std::path::Path;

/// All sources in one, with string literals that go on in the next line put together.
pub fn sources(root: &Path) -> String {
    let mut text = String::new();
    collect(&root.join("harness"), &mut text);
    let mut joined = String::with_capacity(text.len());
    let lines = text.lines();
    for line in lines {
        match line.strip_suffix('\\') {
            // The literal goes on behind the blanks of the next line.
            Some(begin) => {
                joined.push_str(if joined.ends_with('\n') { begin } else { begin.trim_start() });
            }
            None => {
                joined.push_str(if joined.ends_with('\n') { line } else { line.trim_start() });
                joined.push('\n');
            }
        }
    }
    joined
}

fn collect(folder: &Path, text: &mut String) {
    for path in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
            text.push('\n');
        }
    }
}

//! Findings as compilers write theirs, which editors read: `FILE:LINE:COLUMN: warning: MESSAGE [RULE]`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use crate::lint::{LintFinding, LintLevel, LintReport, LintedObject};
use crate::report::SourceRoot;
use crate::report::compiler::{diagnostic, place_of};

/// All findings, and a line that counts them.
pub(super) fn whole(report: &LintReport) -> String {
    let sources = std::env::current_dir().ok().map(|folder| SourceRoot::around(&folder));
    let mut text = String::new();
    // Objects that share a header share what is found in it.
    let mut known = BTreeSet::new();
    let (mut warnings, mut notes) = (0, 0);
    for object in &report.objects {
        for finding in &object.findings {
            let lines = lines(object, finding, sources.as_ref());
            if known.contains(&lines) {
                continue;
            }
            text += &lines;
            known.insert(lines);
            match finding.level {
                LintLevel::Warning => warnings += 1,
                LintLevel::Note => notes += 1,
            }
        }
    }
    // Writing to a string cannot fail.
    for unread in &report.unread {
        let release = report.kernels.get(unread.kernel).map_or("", |kernel| kernel.release.as_str());
        let _ = writeln!(text, "kernel `{release}` is skipped: {}", unread.reason);
    }
    let read = report.kernels.len() - report.unread.len();
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let _ = writeln!(
        text,
        "{}, {} in {}; BTF of {}, nothing was booted",
        counted(warnings, "warning"),
        counted(notes, "note"),
        counted(report.objects.len(), "object"),
        counted(read, "kernel")
    );
    text
}

fn lines(object: &LintedObject, finding: &LintFinding, sources: Option<&SourceRoot>) -> String {
    let place = match &finding.source {
        Some(source) => {
            let file = Path::new(&source.file);
            let found = || sources.and_then(|sources| sources.find(file));
            let shown = if file.is_file() { Some(source.file.clone()) } else { found() };
            place_of(&shown.unwrap_or_else(|| simple(file)), source.line, (source.column > 0).then_some(source.column))
        }
        None if finding.function.is_empty() => object.origin.clone(),
        None => format!("{}: in `{}`", object.origin, finding.function),
    };
    let rule = finding.rule.to_string();
    diagnostic(&place, finding.level.word(), &finding.message, &rule, finding.hint.as_deref())
}

/// A path that leads nowhere here, without its detours: `lib/../headers/x.h` is `headers/x.h`.
fn simple(file: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in file.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.components().next_back(), Some(Component::Normal(_))) => {
                _ = parts.pop()
            }
            part => parts.push(part),
        }
    }
    parts.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_detours() {
        assert_eq!(simple(Path::new("./bench/../lib/../headers/x.h")), "headers/x.h");
        assert_eq!(simple(Path::new("../src/./a.c")), "../src/a.c");
        assert_eq!(simple(Path::new("/build/a/../b.c")), "/build/b.c");
    }
}

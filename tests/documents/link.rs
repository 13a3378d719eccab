//! Links between documents: the file is there, and so is the heading.

use std::path::{Component, Path, PathBuf};

use super::page::Page;

/// Where the links of a page lead, with their lines; those that leave the project are not looked at.
pub fn targets(page: &Page) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    for (number, line) in page.prose() {
        let line = without_code(line);
        let inline = line.match_indices("](").filter_map(|(at, mark)| line[at + mark.len()..].split(')').next());
        let defined = line.starts_with('[').then(|| line.split_once("]: ").map(|(_, target)| target)).flatten();
        for target in inline.chain(defined).map(str::trim) {
            if !target.contains("://") && !target.starts_with("mailto:") {
                targets.push((number, target.to_owned()));
            }
        }
    }
    targets
}

pub fn broken(root: &Path, page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, target) in targets(page) {
        let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
        let path = match file {
            "" => page.path.clone(),
            file => plain(&page.path.parent().unwrap().join(file)),
        };
        let mut say = |what: &str| wrong.push(format!("{}:{line}: `{target}`: {what}", page.path.display()));
        if !root.join(&path).exists() {
            say("there is no such file");
        } else if !heading.is_empty() && !headings(&Page::read(root, &path)).iter().any(|known| known == heading) {
            say("there is no such heading");
        }
    }
    wrong
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            component => plain.push(component),
        }
    }
    plain
}

/// What headings are called in links.
fn headings(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let titles =
        prose.iter().filter(|(_, line)| line.starts_with('#')).map(|(_, line)| line.trim_start_matches('#').trim());
    titles.map(anchor).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The line without its code spans, which may look like links.
fn without_code(line: &str) -> String {
    line.split('`')
        .enumerate()
        .filter(|(index, _)| index % 2 == 0)
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join("` `")
}

//! What may differ between two machines that print the same: blanks, times, releases, paths, numbers that the compiler decides.

/// Stands for any number of lines in a document.
const ANYTHING: &str = "...";

/// The lines of a text as they are compared; `folders` are taken out of paths.
pub fn lines(text: &str, folders: &[String]) -> Vec<String> {
    let mut text = text.to_owned();
    for folder in folders {
        text = text.replace(&format!("{folder}/"), "");
    }
    text.lines().map(line).collect()
}

fn line(line: &str) -> String {
    let mut line = line.replace("ms)", " ms)");
    // Comments of generated guards name every kernel that the store happens to have.
    while let (Some(begin), Some(end)) = (line.find("/*"), line.find("*/")) {
        if end < begin {
            break;
        }
        line.replace_range(begin..end + 2, "");
    }
    let line: String = line.chars().map(|c| if c == '─' { '-' } else { c }).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut folded: Vec<String> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied().unwrap_or_default();
        folded.push(word_of(word, next));
    }
    folded.join(" ")
}

fn word_of(word: &str, next: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let bare = word.trim_matches(['(', ')', '`', ',', ':', ';', '.']);
    let units = ["s", "ms", "usec", "MiB", "GiB", "KiB", "instructions)", "insns"];
    if !word.is_empty() && word.chars().all(|c| c == '-') && word.len() > 3 {
        return "---".to_owned();
    }
    if bare.contains("-amd64") {
        return word.replace(bare, "RELEASE");
    }
    if bare.len() > 15 && bare.starts_with("20") && bare.contains('T') && bare.contains('Z') {
        return word.replace(bare, "TIME");
    }
    if bare.strip_suffix('s').is_some_and(is_number)
        || is_number(bare) && units.contains(&next.trim_end_matches([',', ';', '.']))
    {
        return word.replace(bare, "N");
    }
    if word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).is_some_and(is_number) {
        return "[N]".to_owned();
    }
    // Where an object was compiled.
    match (word.find('/'), word.find("/programs/")) {
        (Some(begin), Some(at)) if begin < at || at == begin => format!("{}{}", &word[..begin], &word[at + 1..]),
        _ => word.to_owned(),
    }
}

/// What `shown` has and `said` has not. Between gaps all words have to stand together, from the begin of a line to the end of one; where
/// lines were wrapped depends on how long a path is.
pub fn first_missing(shown: &[String], said: &[String]) -> Option<String> {
    let said: Vec<Word<'_>> = said.iter().flat_map(|line| words(line)).collect();
    let mut rest = said.as_slice();
    let gaps = |line: &String| line == ANYTHING;
    let mut anywhere = false;
    for piece in shown.split_inclusive(gaps) {
        let (piece, gap) = match piece.split_last() {
            Some((last, before)) if gaps(last) => (before, true),
            _ => (piece, false),
        };
        let wanted: Vec<Word<'_>> = piece.iter().flat_map(|line| words(line)).collect();
        if let (Some(first), true) = (piece.iter().find(|line| !line.is_empty()), !wanted.is_empty()) {
            let fits =
                |at: &usize| rest[*at].begins && rest[*at + wanted.len() - 1].ends && is_at(&rest[*at..], &wanted);
            let places = if anywhere { rest.len() } else { 1 }.min((rest.len() + 1).saturating_sub(wanted.len()));
            let Some(at) = (0..places).find(fits) else { return Some(first.clone()) };
            rest = &rest[at + wanted.len()..];
        }
        anywhere = gap;
    }
    (!anywhere && !rest.is_empty()).then(|| "nothing more".to_owned())
}

/// A word, and whether it begins or ends its line.
struct Word<'a> {
    text: &'a str,
    begins: bool,
    ends: bool,
}

fn words(line: &str) -> Vec<Word<'_>> {
    let texts: Vec<&str> = line.split_whitespace().collect();
    let last = texts.len().saturating_sub(1);
    texts.iter().enumerate().map(|(index, text)| Word { text, begins: index == 0, ends: index == last }).collect()
}

fn is_at(place: &[Word<'_>], wanted: &[Word<'_>]) -> bool {
    place.iter().zip(wanted).all(|(one, other)| one.text == other.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        lines(text, &["/tmp/x".to_owned()])
    }

    #[test]
    fn what_differs_between_machines_does_not_count() {
        let here = "[5.10] booted in 1.7s\n  6.1 = 6.1.0-50-cloud-amd64,\nin /tmp/x/a.c:3 at 2026-11-29T16:14:07Z (9 instructions)  ok\n───────";
        let there = "[5.10] booted in 12s\n 6.1 = 6.1.9-cloud-amd64,\nin a.c:3 at 2027-01-01T00:00:00Z (8 instructions) ok\n─────────";
        assert_eq!(of(here), of(there));
        assert_ne!(of("ok  reloc"), of("ok  ok"));
    }

    #[test]
    fn a_gap_stands_for_any_lines_and_nothing_else_does() {
        let said = of("a\nb\nc\nd");
        assert_eq!(first_missing(&of("...\nb\nc\n..."), &said), None);
        assert_eq!(first_missing(&of("a\n...\nd"), &said), None);
        assert_eq!(first_missing(&of("a\nb\nc\nd\n"), &said), None);
        assert_eq!(first_missing(&of("...\nb c\n..."), &said), None, "wrapped in another place");
        assert!(first_missing(&of("...\nb\n..."), &of("a b")).is_some());
        assert!(first_missing(&of("...\nb\nd\n..."), &said).is_some());
        assert!(first_missing(&of("a\nb"), &said).is_some());
        assert!(first_missing(&of("b\n..."), &said).is_some());
    }
}

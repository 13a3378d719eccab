//! [`file_name()`]: a name that anyone may have chosen, as the name of a file.

use crate::checksum;

/// Longer names are cut.
const LONGEST: usize = 80;

/// A name as one harmless component of a path. Two names do not share a file: one that had to be changed gets digits of its checksum.
pub fn file_name(name: &str) -> String {
    let clean: String = name
        .chars()
        .enumerate()
        .map(|(at, c)| if is_harmless(c) && !(at == 0 && c == '.') { c } else { '_' })
        .take(LONGEST)
        .collect();
    if clean == name && !clean.is_empty() {
        return clean;
    }
    let digits = checksum::of_bytes(name.as_bytes());
    format!("{clean}-{}", &digits[..8])
}

/// Whether a name could have come from [`file_name()`].
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_harmless)
}

fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+-#@".contains(c)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_that_differ_have_files_that_differ() {
        let long = "x".repeat(LONGEST);
        let names = [
            "a/b",
            "a_b",
            "a b",
            "a:b",
            "..",
            ".",
            "",
            "_",
            "/",
            ".a",
            "_a",
            "kprobe/x",
            "kprobe_x",
            "å",
            "ä",
            &long,
            &format!("{long}y"),
            &format!("{long}z"),
        ];
        let files: BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        assert!(files.iter().all(|file| is_file_name(file) && file.len() < 100), "{files:?}");
    }

    #[test]
    fn plain_names_stay_what_they_are() {
        for name in ["6.12", "opensnoop@failed", "handle_tp", "a+b#2", "x.bpf.o"] {
            assert_eq!(file_name(name), name);
        }
    }
}

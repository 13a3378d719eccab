//! [`sha256_of`]: the SHA-256 of a file in a list of `sha256sum`, with tags or without, among sums of other kinds.

/// The SHA-256 in lower-case hex, if the list has one of this name, in any directory.
pub(super) fn sha256_of(list: &str, name: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (sum, file) = match line.strip_prefix("SHA256 (") {
            Some(tagged) => tagged.rsplit_once(") = ").map(|(file, sum)| (sum, file))?,
            None => line.split_once(char::is_whitespace)?,
        };
        let file = file.trim_start_matches([' ', '*']);
        let is_it = file.rsplit('/').next() == Some(name);
        let is_sum = sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit());
        (is_it && is_sum).then(|| sum.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_every_form_are_found() {
        let (one, two) = ("a".repeat(64), "B".repeat(64));
        let list = format!(
            "# Checksums-Sha1:\n{short}  x.raw\n\n# Checksums-Sha256:\n{one}  ./x.raw\n{two} *y.raw\nSHA256 (z.raw) = {one}\n00  q.raw\n",
            short = "c".repeat(40)
        );
        assert_eq!(sha256_of(&list, "x.raw"), Some(one.clone()));
        assert_eq!(sha256_of(&list, "y.raw"), Some("b".repeat(64)));
        assert_eq!(sha256_of(&list, "z.raw"), Some(one));
        assert_eq!((sha256_of(&list, "raw"), sha256_of(&list, "q.raw")), (None, None));
    }
}

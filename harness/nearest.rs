//! [`nearest`]: the known words that a mistyped one may have meant.

/// The candidates closest to `word`, closest first, at most `limit`; empty if none is close enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // A third of the letters wrong is a slip; more is another word.
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(word.chars().count()).div_ceil(3))
        .collect();
    // Stable: candidates of equal distance keep their own order.
    scored.sort_by_key(|(distance, _)| *distance);
    scored.into_iter().take(limit).map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_only_slips() {
        let keys = ["suites", "packages", "boot-timeout", "program-timeout", "optional"];
        assert_eq!(nearest("suits", keys, 1), ["suites"]);
        assert_eq!(nearest("boot_timeout", keys, 1), ["boot-timeout"]);
        assert_eq!(nearest("opitonal", keys, 1), ["optional"]);
        assert!(nearest("colour", keys, 1).is_empty());
        assert!(nearest("", keys, 3).is_empty());
    }
}

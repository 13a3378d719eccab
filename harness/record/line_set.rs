//! [`LineSet`]: places in an object's line table, written as `0-4,9`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Numbers in a range beyond this are taken for a damaged report.
const MOST: usize = 10_000_000;

/// A set of places in an object's line table. Serialised as ranges, since lines come in runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
pub struct LineSet(pub BTreeSet<usize>);

impl From<LineSet> for String {
    fn from(set: LineSet) -> String {
        let mut text = String::new();
        let mut numbers = set.0.into_iter().peekable();
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if_eq(&(last + 1)) {
                last = next;
            }
            let comma = if text.is_empty() { "" } else { "," };
            let _ = match last == first {
                true => write!(text, "{comma}{first}"),
                false => write!(text, "{comma}{first}-{last}"),
            };
        }
        text
    }
}

impl TryFrom<String> for LineSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut set = BTreeSet::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let bad = || format!("`{range}` is not a range of lines");
            let (first, last): (usize, usize) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
            if last > MOST {
                return Err(bad());
            }
            set.extend(first..=last);
        }
        Ok(LineSet(set))
    }
}

impl FromIterator<usize> for LineSet {
    fn from_iter<T: IntoIterator<Item = usize>>(numbers: T) -> Self {
        LineSet(numbers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_as_ranges_and_read_back() {
        for (numbers, text) in [(vec![], ""), (vec![3], "3"), (vec![0, 1, 2, 7, 9, 10], "0-2,7,9-10")] {
            let set: LineSet = numbers.into_iter().collect();
            assert_eq!(String::from(set.clone()), text);
            assert_eq!(LineSet::try_from(text.to_owned()), Ok(set));
        }
        assert!(LineSet::try_from("1-x".to_owned()).is_err());
        assert!(LineSet::try_from("0-99999999999".to_owned()).is_err());
    }
}

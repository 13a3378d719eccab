//! [`compare`]: Debian's order of versions, as `deb-version(7)` defines it.

use std::cmp::Ordering;

/// Compares two Debian versions: `epoch:upstream-revision`.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (split(left), split(right));
    left.0.cmp(&right.0).then_with(|| compare_part(left.1, right.1)).then_with(|| compare_part(left.2, right.2))
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Alternately compares a run of non-digits and a run of digits.
fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, right_text) = (take(&mut left, false), take(&mut right, false));
        let (left_digits, right_digits) = (take(&mut left, true), take(&mut right, true));
        let order = compare_text(left_text, right_text).then_with(|| compare_digits(left_digits, right_digits));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn take<'a>(rest: &mut &'a str, digits: bool) -> &'a str {
    let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

/// `~` sorts before everything, even the end; letters before other signs.
fn compare_text(left: &str, right: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i64,
        Some(c) => c as i64 + 0x11_0000,
    };
    let (mut left, mut right) = (left.chars(), right.chars());
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        match weight(a).cmp(&weight(b)) {
            Ordering::Equal => {}
            order => return order,
        }
    }
}

/// Compares numbers of any length.
fn compare_digits(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_dpkg_does() {
        let ascending = [
            "0~~",
            "0~",
            "0",
            "0a",
            "0+",
            "5.10.70-1",
            "5.10.223-1",
            "6.12.94-1~bpo12+1",
            "6.12.94-1",
            "6.12.94-1+b1",
            "6.12.107-1",
            "7.3.4-1~bpo13+1",
            "7.3.4-1",
            "1:0.1-1",
            "1:0.1-1.1",
            "2:0",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
        assert_eq!(compare("1.01-1", "1.1-1"), Ordering::Equal);
        assert_eq!(compare("1", "1-0"), Ordering::Equal);
    }
}

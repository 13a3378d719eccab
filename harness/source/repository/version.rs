//! [`compare`]: versions as rpm and pacman order them: `[EPOCH:]VERSION[-RELEASE]`.

use std::cmp::Ordering;

/// The order of two versions.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, a) = epoch(a);
    let (epoch_b, b) = epoch(b);
    let ((version_a, release_a), (version_b, release_b)) = (split(a), split(b));
    segments(epoch_a, epoch_b)
        .then_with(|| segments(version_a, version_b))
        .then_with(|| segments(release_a, release_b))
        .then_with(|| a.cmp(b))
}

fn epoch(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or(("0", text))
}

fn split(text: &str) -> (&str, &str) {
    text.rsplit_once('-').unwrap_or((text, ""))
}

/// Runs of digits and of letters, one after the other; `~` sorts before the end, `^` after it.
fn segments(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let separator = |c: &u8| !c.is_ascii_alphanumeric() && !matches!(c, b'~' | b'^');
    loop {
        a = &a[a.iter().take_while(|c| separator(c)).count()..];
        b = &b[b.iter().take_while(|c| separator(c)).count()..];
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(first), Some(other)) => {
                let is_number = first.is_ascii_digit();
                if is_number != other.is_ascii_digit() {
                    // A number is newer than a word.
                    return if is_number { Ordering::Greater } else { Ordering::Less };
                }
                let member = |c: &&u8| if is_number { c.is_ascii_digit() } else { c.is_ascii_alphabetic() };
                let (mut x, rest_a) = a.split_at(a.iter().take_while(member).count());
                let (mut y, rest_b) = b.split_at(b.iter().take_while(member).count());
                if is_number {
                    x = &x[x.iter().take_while(|c| **c == b'0').count()..];
                    y = &y[y.iter().take_while(|c| **c == b'0').count()..];
                    match x.len().cmp(&y.len()) {
                        Ordering::Equal => {}
                        other => return other,
                    }
                }
                match x.cmp(y) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    other => return other,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_rpm_orders_them() {
        let ascending = [
            ["4.18.0-477.27.1.el8_8", "4.18.0-553.el8_10"],
            ["5.14.0-70.el9", "5.14.0-427.el9"],
            ["5.14.0-427.el9", "5.14.0-427.13.1.el9_4"],
            ["6.12.9.arch1-1", "6.12.10.arch1-1"],
            ["6.12.31-r0", "6.12.31-r1"],
            ["6.9", "6.10"],
            ["1.0~rc1", "1.0"],
            ["1.0", "1.0^git1"],
            ["1.0^git1", "1.0.1"],
            ["1.0~rc1^git1", "1.0~rc1.1"],
            ["9.9", "1:0.1"],
            ["1.a", "1.1"],
            ["2.0", "2.0.1"],
            ["10.0001", "10.0039"],
        ];
        for [older, newer] in ascending {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
            assert_eq!(compare(older, older), Ordering::Equal);
        }
    }
}

//! [`in_words`]: a number of bytes for people.

/// `512 MiB`, `1.5 GiB`: rounded up, so that a need never looks smaller than it is.
pub fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut unit, mut scale) = (0, 1u64 << 10);
    while unit + 1 < UNITS.len() && bytes >= scale << 10 {
        unit += 1;
        scale <<= 10;
    }
    let tenths = u128::from(bytes).saturating_mul(10).div_ceil(scale.into());
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_rounded_up() {
        let cases = [
            (0, "0 KiB"),
            (1, "0.1 KiB"),
            (4096, "4 KiB"),
            (512 << 20, "512 MiB"),
            (1 << 30, "1 GiB"),
            ((1 << 30) + 1, "1.1 GiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (bytes, words) in cases {
            assert_eq!(in_words(bytes), words);
        }
    }
}

//! Numbers in bytes ([`u32_at`]), bytes as text ([`hex`]), and a number of bytes for people ([`in_words`]).

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The little-endian `u16` at an offset, if it is there.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

/// The little-endian `u32` at an offset, if it is there.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// The little-endian `u64` at an offset, if it is there.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

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
    fn numbers_are_read_where_they_are_whole() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!((u16_at(&bytes, 1), u32_at(&bytes, 5)), (Some(0x0302), Some(0x0908_0706)));
        assert_eq!((u64_at(&bytes, 1), u64_at(&bytes, 2)), (Some(0x0908_0706_0504_0302), None));
        assert_eq!((u32_at(&bytes, 6), u32_at(&bytes, usize::MAX)), (None, None));
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }

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

//! The quantities in `kernels.toml`: [`memory_mib`] for sizes and [`timeout`] for durations.

use std::time::Duration;

/// Below this no kernel of the matrix gets as far as its init.
const LEAST_MEMORY_MIB: u64 = 128;
/// More than this is a slip: such a guest is not going to fit.
const MOST_MEMORY_MIB: u64 = 1024 * 1024;
/// More than this is a slip: nothing corematrix waits for takes a day.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a memory size such as `512MiB` or `1GiB`, in MiB. The error is a fragment that follows the key's name.
pub fn memory_mib(text: &str) -> Result<u64, String> {
    let malformed = || format!("is `{text}`, which is not a whole number of `MiB` or `GiB`");
    let (digits, factor) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1024),
        _ => return Err(malformed()),
    };
    let digits = digits.trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    // Nothing but digits can only fail to parse by being too big, which the bound below says better.
    let mib = digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(factor);
    match mib {
        0..LEAST_MEMORY_MIB => Err(format!("is `{text}`, less than the {LEAST_MEMORY_MIB}MiB that a kernel needs")),
        LEAST_MEMORY_MIB..=MOST_MEMORY_MIB => Ok(mib),
        _ => Err(format!("is `{text}`, more than {}GiB", MOST_MEMORY_MIB / 1024)),
    }
}

/// Reads a duration such as `20s` or `1m 30s`. The error is a fragment that follows the key's name.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("is `{text}`, which is not a duration: {error}"))?;
    if duration.is_zero() {
        return Err(format!("is `{text}`: must be longer than zero"));
    }
    if duration > LONGEST_TIMEOUT {
        return Err(format!("is `{text}`, longer than a day"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_whole_mib_or_gib() {
        assert_eq!(memory_mib("512MiB"), Ok(512));
        assert_eq!(memory_mib("1GiB"), Ok(1024));
        assert_eq!(memory_mib("2 GiB"), Ok(2048));
        for text in ["", "512", "512M", "1GB", "MiB", "1.5GiB", "-1GiB", "+1GiB", "0GiB", "64MiB", "2048TiB"] {
            assert!(memory_mib(text).is_err(), "{text}");
        }
        assert!(memory_mib("99999999999999999999999GiB").unwrap_err().contains("more than 1024GiB"));
        assert!(memory_mib("18446744073709551615GiB").unwrap_err().contains("more than 1024GiB"));
    }

    #[test]
    fn timeouts_are_bounded() {
        assert_eq!(timeout("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(timeout("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["", "20", "0s", "-3s", "25h", "soon", "99999999999999999999999s"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
}

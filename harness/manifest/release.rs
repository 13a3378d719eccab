//! [`KernelRelease`]: a kernel release as `uname -r` prints it, compared by version.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A kernel release: `6.1`, `v6.6`, `6.12-rc3`, `5.4.0-150-generic` or `6.12.107+deb13-cloud-amd64`.
///
/// Releases are ordered by version, a release candidate before its release, then by the distribution's build number, so
/// that `5.10.0-9-amd64` comes before `5.10.0-32-amd64`. What is left of the text only keeps the order total.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelRelease {
    major: u32,
    minor: u32,
    patch: Option<u32>,
    candidate: Option<u32>,
    build: u32,
    text: String,
}

/// The text is not a kernel release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kernel release such as `6.12` or `5.10.0-32-cloud-amd64`")]
pub struct ReleaseError(String);

impl KernelRelease {
    /// Major and minor number: (6, 12) for every 6.12 kernel.
    pub fn series(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// Whether nothing but the series is given, as in `6.12`.
    pub fn is_series(&self) -> bool {
        self.patch.is_none() && self.candidate.is_none() && self.text == format!("{}.{}", self.major, self.minor)
    }

    /// The numbers that decide the order, in the order of their weight.
    fn rank(&self) -> (u32, u32, u32, u32, u32) {
        // A kernel without `-rc` is newer than all its candidates.
        let candidate = self.candidate.unwrap_or(u32::MAX);
        (self.major, self.minor, self.patch.unwrap_or(0), candidate, self.build)
    }
}

impl FromStr for KernelRelease {
    type Err = ReleaseError;

    fn from_str(given: &str) -> Result<Self, ReleaseError> {
        let text = given.strip_prefix('v').unwrap_or(given);
        parse(text).ok_or_else(|| ReleaseError(given.to_owned()))
    }
}

fn parse(text: &str) -> Option<KernelRelease> {
    let (major, rest) = leading_number(text)?;
    let (minor, rest) = leading_number(rest.strip_prefix('.')?)?;
    let (patch, rest) = match rest.strip_prefix('.') {
        Some(rest) => leading_number(rest).map(|(patch, rest)| (Some(patch), rest))?,
        None => (None, rest),
    };
    if !rest.is_empty() && !rest.starts_with(['-', '+', '~', '_', '.']) {
        return None;
    }
    let suffix = rest.strip_prefix('-').unwrap_or("");
    let candidate = suffix.strip_prefix("rc").and_then(leading_number).map(|(number, _)| number);
    let build = leading_number(suffix).map_or(0, |(number, _)| number);
    Some(KernelRelease { major, minor, patch, candidate, build, text: text.to_owned() })
}

/// Splits the decimal number off the front of `text`; `None` if there is none or it is too big.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

impl Ord for KernelRelease {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rank = self.rank().cmp(&other.rank());
        by_rank.then_with(|| self.text.cmp(&other.text)).then_with(|| self.patch.cmp(&other.patch))
    }
}

impl PartialOrd for KernelRelease {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> KernelRelease {
        text.parse().unwrap()
    }

    #[test]
    fn reads_the_releases_that_kernels_have() {
        for (text, series) in [
            ("5.10", (5, 10)),
            ("v6.6", (6, 6)),
            ("6.12-rc3", (6, 12)),
            ("5.4.0-150-generic", (5, 4)),
            ("6.12.107+deb13-cloud-amd64", (6, 12)),
            ("2.6.32.71", (2, 6)),
            ("6.1.0-50-cloud-amd64", (6, 1)),
        ] {
            assert_eq!(release(text).series(), series, "{text}");
        }
        assert_eq!(release("v6.6").to_string(), "6.6");
    }

    #[test]
    fn refuses_what_is_no_release() {
        for text in ["", "5", "v", "5.", "5.x", "5.10.", "5.10.*", "5.10x", "mine", "99999999999.1", "-5.10", " 5.10"] {
            assert!(text.parse::<KernelRelease>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_by_version() {
        let sorted = [
            "5.4",
            "5.4.0-150-generic",
            "5.10.0-9-amd64",
            "5.10.0-32-cloud-amd64",
            "5.10.3",
            "6.1",
            "6.12-rc3",
            "6.12-rc10",
            "6.12",
            "6.12.9+deb13-amd64",
            "6.12.107+deb13-amd64",
            "7.0",
        ];
        for pair in sorted.windows(2) {
            assert!(release(pair[0]) < release(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn a_series_is_only_two_numbers() {
        assert!(release("6.12").is_series());
        assert!(release("v6.12").is_series());
        for text in ["6.12.0", "6.12-rc1", "6.12+deb13", "6.12-cloud"] {
            assert!(!release(text).is_series(), "{text}");
        }
    }
}

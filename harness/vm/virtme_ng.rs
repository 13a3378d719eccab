//! [`VirtmeNg`]: which versions of virtme-ng can be used.

/// Major and minor of the oldest that can be used: the options of older ones of `virtme-run` are others.
const OLDEST: (u32, u32) = (1, 35);

/// virtme-ng, by its versions.
#[derive(Debug)]
pub struct VirtmeNg;

impl VirtmeNg {
    /// Whether a version is known to be too old; of Debian's and Python's versions both.
    pub fn is_too_old(version: &str) -> bool {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor) < OLDEST,
            // Of a version that is no number nothing is known.
            _ => false,
        }
    }

    /// The oldest that can be used, as people write it.
    pub fn oldest() -> String {
        format!("{}.{}", OLDEST.0, OLDEST.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venv::PinnedPackages;

    #[test]
    fn versions_of_distributions_are_weighed() {
        for old in ["1.22", "1.33-1", "0.9", "1.22-1ubuntu2"] {
            assert!(VirtmeNg::is_too_old(old), "{old}");
        }
        for good in ["1.35-1", "1.42", "2.0", "1.100.1", "unknown", PinnedPackages::VirtmeNg.version()] {
            assert!(!VirtmeNg::is_too_old(good), "{good}");
        }
    }
}

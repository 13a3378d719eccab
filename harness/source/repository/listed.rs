//! [`Listed`]: one package, as the index of a repository has it.

use glob::Pattern;

use crate::source::repository::digest::Digest;

/// A package of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub name: String,
    /// With its epoch, if that is not zero.
    pub version: String,
    pub arch: String,
    /// Its file, from the directory of the repository.
    pub location: String,
    pub digest: Option<Digest>,
    /// Its OpenPGP signature, where the index has it.
    pub signature: Option<Vec<u8>>,
    /// Of an `.apk` the SHA-1 of its control segment, in hex.
    pub control: Option<String>,
    /// In which of the repositories it is.
    pub repository: usize,
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.name, self.version)
    }
}

impl Listed {
    /// The version without its epoch.
    pub fn plain_version(&self) -> &str {
        plain_version(&self.version)
    }

    /// As users call one build: `kernel-core-5.14.0-427.el9`.
    pub fn name_and_version(&self) -> String {
        format!("{}-{}", self.name, self.plain_version())
    }

    /// Whether a glob means it: by its name, or by its name and version.
    pub fn is_meant_by(&self, glob: &Pattern) -> bool {
        glob.matches(&self.name) || glob.matches(&self.name_and_version())
    }
}

/// Whether a version is what a user calls a build: without its epoch, and perhaps with the machine, as `uname -r` has it.
pub(super) fn is_build(version: &str, build: &str) -> bool {
    let version = plain_version(version);
    let rest = build.strip_prefix(version);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.') == Some(std::env::consts::ARCH))
}

/// A version without its epoch.
pub(super) fn plain_version(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

/// The address of a file of a repository; `None` for one that is not below the server of `base`.
pub(super) fn joined(base: &str, location: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let mut parts: Vec<&str> = rest.split('/').collect();
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\' | '"');
    if location.is_empty() || location.starts_with('/') || location.contains(':') || location.contains(bad) {
        return None;
    }
    for part in location.split('/') {
        match part {
            // Amazon's packages are beside their repository.
            ".." if parts.len() > 1 => drop(parts.pop()),
            ".." => return None,
            "" | "." => {}
            part => parts.push(part),
        }
    }
    Some(format!("{scheme}://{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_on_their_server() {
        let base = "https://a.example/9/os";
        assert_eq!(joined(base, "Packages/k/x.rpm").unwrap(), "https://a.example/9/os/Packages/k/x.rpm");
        assert_eq!(joined(base, "../../blob/x.rpm").unwrap(), "https://a.example/blob/x.rpm");
        for outside in ["../../../x.rpm", "/x.rpm", "https://b.example/x.rpm", "a\nb", "x?y", "", "file:x"] {
            assert_eq!(joined(base, outside), None, "{outside:?}");
        }
    }

    #[test]
    fn globs_mean_names_or_builds() {
        let listed = Listed {
            name: "kernel-core".into(),
            version: "1:4.18.0-477.el8".into(),
            arch: "x86_64".into(),
            location: String::new(),
            digest: None,
            signature: None,
            control: None,
            repository: 0,
        };
        for (glob, is_meant) in [
            ("kernel-core", true),
            ("kernel-core-4.18.0-477.*", true),
            ("kernel-core-4.18.0-477.el8", true),
            ("kernel-core-4.18.0-553*", false),
            ("kernel", false),
        ] {
            assert_eq!(listed.is_meant_by(&Pattern::new(glob).unwrap()), is_meant, "{glob}");
        }
    }
}

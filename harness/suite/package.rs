//! [`PackageRef`]: objects out of a Debian package.

use serde::Deserialize;

/// Objects out of a Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRef {
    /// The package's name; a valid one, so it may be a command's argument.
    pub apt: String,
    /// Suites to look in, most preferred first; at least one, all valid.
    pub suites: Vec<String>,
    /// Globs of files inside the package, without a leading `/`; at least one, all valid.
    pub files: Vec<String>,
}

impl PackageRef {
    /// Checks what goes into apt's command line and into paths; the error is a lowercase fragment.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_name = |text: &str, others: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        if !is_name(&self.apt, "+.-") {
            return Err(format!("`{}` is not a name of a Debian package", self.apt));
        }
        if let Some(suite) = self.suites.iter().find(|suite| !is_name(suite, ".-")) {
            return Err(format!("`{suite}` is not a name of a Debian suite"));
        }
        for (key, values) in [("suites", &self.suites), ("files", &self.files)] {
            if values.is_empty() {
                return Err(format!("`{key}` of package `{}` is empty", self.apt));
            }
        }
        check_files(&format!("package `{}`", self.apt), &self.files)
    }
}

/// Checks globs of files inside of `what`; the error is a lowercase fragment.
pub(super) fn check_files(what: &str, files: &[String]) -> Result<(), String> {
    match files.iter().find(|file| file.starts_with('/') || file.split('/').any(|part| part == "..")) {
        Some(file) => {
            let kind = what.split(' ').next().unwrap_or(what);
            Err(format!("`{file}` of {what} must be a path inside the {kind}, without a leading `/`"))
        }
        None => Ok(()),
    }
}

//! [`Suite`]: a named list of objects, from a suite file.
//!
//! A suite file is TOML:
//!
//! ```toml
//! name = "libbpf-tools"
//! objects = ["*.bpf.o", "../x/y.o"]    # paths and globs, relative to the suite file
//!
//! [[package]]                           # objects out of a Debian package, which is unpacked and not installed
//! apt = "libbpf-tools"
//! suites = ["trixie"]                   # where to look for it, best first
//! files = ["usr/sbin/*snoop"]           # globs inside the package
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys of the file and of a `[[package]]`.
const SUITE_KEYS: [&str; 3] = ["name", "objects", "package"];
const PACKAGE_KEYS: [&str; 3] = ["apt", "suites", "files"];

/// A suite file, validated, with its globs resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Existing files and folders, in the order of the suite; the matches of one glob in the alphabet's. None twice.
    pub objects: Vec<PathBuf>,
    /// Packages to look into, in the order of the suite.
    pub packages: Vec<PackageRef>,
}

/// Objects out of a Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRef {
    /// The package's name; a valid one, so it may be a command's argument.
    pub apt: String,
    /// Suites to look in, best first; at least one, all valid.
    pub suites: Vec<String>,
    /// Globs of files inside the package, without a leading `/`; at least one, all valid.
    pub files: Vec<String>,
}

/// Why a suite file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The file cannot be read.
    #[error("suite `{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The suite file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("suite `{}`, line {line}: {message}", .path.display())]
    Syntax {
        /// The suite file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A key that does not exist.
    #[error("suite `{}`, line {line}: unknown key `{key}`", .path.display())]
    UnknownKey {
        /// The suite file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// As written.
        key: String,
        /// The keys that exist in its place.
        known: &'static [&'static str],
    },
    /// A glob that cannot be parsed.
    #[error("suite `{}`: pattern `{pattern}` is not a glob: {message}", .path.display())]
    BadPattern {
        /// The suite file.
        path: PathBuf,
        /// As written.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A path or glob without any file.
    #[error("suite `{}`: `{pattern}` matches no file", .path.display())]
    NoMatch {
        /// The suite file.
        path: PathBuf,
        /// As written.
        pattern: String,
    },
    /// A value that is well-formed but makes no sense.
    #[error("suite `{}`: {message}", .path.display())]
    Invalid {
        /// The suite file.
        path: PathBuf,
        /// A lowercase fragment.
        message: String,
    },
}

impl SuiteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SuiteError::UnknownKey { key, known, .. } => {
                let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, key))?;
                Some(match strsim::damerau_levenshtein(nearest, key) {
                    0..=3 => format!("did you mean `{nearest}`?"),
                    _ => format!("the keys here are {}", quoted(known)),
                })
            }
            SuiteError::Unreadable { .. } => Some("is the path right? suite files end in `.toml`".to_owned()),
            SuiteError::NoMatch { path, .. } => {
                let folder = folder(path);
                Some(format!("paths are relative to the suite file's folder `{}`", folder.display()))
            }
            _ => None,
        }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    objects: Vec<String>,
    #[serde(default)]
    package: Vec<PackageRef>,
}

impl Suite {
    /// Reads a suite file and resolves its globs. Packages are not looked up.
    ///
    /// # Errors
    ///
    /// See [`SuiteError`]; the first error ends the reading.
    pub fn load(path: &Path) -> Result<Suite, SuiteError> {
        let at = || path.to_owned();
        let text = fs::read_to_string(path).map_err(|error| SuiteError::Unreadable { path: at(), error })?;
        let syntax = |error: toml::de::Error| SuiteError::Syntax {
            path: at(),
            line: line_of(&text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        };
        // Before serde, which would not say which keys exist in a form that a hint could use.
        let table = DeTable::parse(&text).map_err(syntax)?;
        refuse_unknown_keys(path, &text, table.get_ref())?;
        let written: Written = toml::from_str(&text).map_err(syntax)?;

        let invalid = |message: String| SuiteError::Invalid { path: at(), message };
        if written.name.trim().is_empty() {
            return Err(invalid("`name` is empty".to_owned()));
        }
        if written.objects.is_empty() && written.package.is_empty() {
            return Err(invalid("it names neither `objects` nor a `[[package]]`".to_owned()));
        }
        for package in &written.package {
            package.check().map_err(invalid)?;
            package.files.iter().try_for_each(|pattern| check_glob(path, pattern))?;
        }
        let mut objects = Vec::new();
        for pattern in &written.objects {
            for object in expand(path, pattern)? {
                if !objects.contains(&object) {
                    objects.push(object);
                }
            }
        }
        Ok(Suite { path: at(), name: written.name, objects, packages: written.package })
    }
}

impl PackageRef {
    /// Checks what goes into apt's command line and into paths; the error is a lowercase fragment.
    fn check(&self) -> Result<(), String> {
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
        match self.files.iter().find(|file| file.starts_with('/') || file.split('/').any(|part| part == "..")) {
            Some(file) => {
                Err(format!("`{file}` of package `{}` has to lie inside the package, without `/` in front", self.apt))
            }
            None => Ok(()),
        }
    }
}

fn refuse_unknown_keys(path: &Path, text: &str, table: &DeTable<'_>) -> Result<(), SuiteError> {
    let check = |table: &DeTable<'_>, known: &'static [&'static str]| match table
        .keys()
        .filter(|key| !known.contains(&key.get_ref().as_ref()))
        .min_by_key(|key| key.span().start)
    {
        None => Ok(()),
        Some(key) => Err(SuiteError::UnknownKey {
            path: path.to_owned(),
            line: line_of(text, key.span().start),
            key: key.get_ref().to_string(),
            known,
        }),
    };
    check(table, &SUITE_KEYS)?;
    let Some(packages) = table.get("package").map(Spanned::get_ref) else {
        return Ok(());
    };
    let packages = match packages {
        DeValue::Array(packages) => packages.iter().map(Spanned::get_ref).collect(),
        single => vec![single],
    };
    packages.into_iter().filter_map(DeValue::as_table).try_for_each(|package| check(package, &PACKAGE_KEYS))
}

/// The files that a path or glob stands for.
fn expand(suite: &Path, pattern: &str) -> Result<Vec<PathBuf>, SuiteError> {
    check_glob(suite, pattern)?;
    // Joining puts an absolute pattern in the place of the folder.
    let full = match Path::new(pattern).is_absolute() {
        true => pattern.to_owned(),
        false => format!("{}/{pattern}", glob::Pattern::escape(&folder(suite).to_string_lossy())),
    };
    let mut found = Vec::new();
    for entry in glob::glob(&full).map_err(|error| bad_pattern(suite, pattern, error))? {
        found
            .push(entry.map_err(|error| SuiteError::Unreadable { path: suite.to_owned(), error: error.into_error() })?);
    }
    match found.is_empty() {
        true => Err(SuiteError::NoMatch { path: suite.to_owned(), pattern: pattern.to_owned() }),
        false => Ok(found),
    }
}

fn check_glob(suite: &Path, pattern: &str) -> Result<(), SuiteError> {
    glob::Pattern::new(pattern).map(|_| ()).map_err(|error| bad_pattern(suite, pattern, error))
}

fn bad_pattern(suite: &Path, pattern: &str, error: glob::PatternError) -> SuiteError {
    SuiteError::BadPattern { path: suite.to_owned(), pattern: pattern.to_owned(), message: error.to_string() }
}

/// The folder of a suite file; `.` for a bare file name.
fn folder(suite: &Path) -> &Path {
    match suite.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The line, counted from 1, of a byte of the text.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Loads a suite of this text from a folder `[suite] dir` with `a.bpf.o`, `b.bpf.o` and `sub/c.o`.
    fn load(text: &str) -> Result<Suite, SuiteError> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("[suite] dir");
        fs::create_dir_all(root.join("sub")).unwrap();
        for file in ["b.bpf.o", "a.bpf.o", "sub/c.o"] {
            fs::write(root.join(file), "x").unwrap();
        }
        let path = root.join("suite.toml");
        fs::write(&path, text).unwrap();
        let mut suite = Suite::load(&path)?;
        for object in &mut suite.objects {
            *object = object.strip_prefix(&root).unwrap().to_owned();
        }
        Ok(suite)
    }

    /// Message and hint, with the temporary folder cut out.
    fn refusal(text: &str) -> String {
        let error = load(text).unwrap_err();
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let text = format!("{error}{hint}");
        let mut cut = String::new();
        for (index, piece) in text.split('`').enumerate() {
            let piece = match piece.rsplit_once("[suite] dir") {
                Some((_, rest)) if index % 2 == 1 => format!("DIR{rest}"),
                _ => piece.to_owned(),
            };
            cut.push_str(&format!("{}{piece}", if index > 0 { "`" } else { "" }));
        }
        cut
    }

    #[test]
    fn globs_and_packages_are_read() {
        let suite = load(
            "name = \"n\"\nobjects = [\"sub/c.o\", \"*.bpf.o\", \"a.bpf.o\"]\n[[package]]\napt = \"libbpf-tools\"\n\
             suites = [\"trixie\", \"bookworm-backports\"]\nfiles = [\"usr/sbin/*snoop\"]\n",
        )
        .unwrap();
        assert_eq!(suite.objects, ["sub/c.o", "a.bpf.o", "b.bpf.o"].map(PathBuf::from));
        assert_eq!(
            suite.packages,
            [PackageRef {
                apt: "libbpf-tools".into(),
                suites: vec!["trixie".into(), "bookworm-backports".into()],
                files: vec!["usr/sbin/*snoop".into()],
            }]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let package = |rest: &str| format!("name = \"n\"\n[[package]]\n{rest}\n");
        let refusals = [
            refusal("name = \"n\"\n\nobjcts = []"),
            refusal("name = \"n\"\nkernels_of_choice = []"),
            refusal(&package("apt = \"a\"\nfile = [\"x\"]")),
            refusal("name = \"n\"\nobjects = 3"),
            refusal("name = \n"),
            refusal("objects = [\"*.o\"]"),
            refusal("name = \"n\""),
            refusal("name = \"n\"\nobjects = [\"a.bpf.o\", \"*.elf\"]"),
            refusal("name = \"n\"\nobjects = [\"a***\"]"),
            refusal(&package("apt = \"-o=x\"\nsuites = [\"sid\"]\nfiles = [\"x\"]")),
            refusal(&package("apt = \"a\"\nsuites = [\"-t\"]\nfiles = [\"x\"]")),
            refusal(&package("apt = \"a\"\nsuites = []\nfiles = [\"x\"]")),
            refusal(&package("apt = \"a\"\nsuites = [\"sid\"]\nfiles = [\"../x\"]")),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @r#"
        suite `DIR/suite.toml`, line 3: unknown key `objcts` (hint: did you mean `objects`?)
        suite `DIR/suite.toml`, line 2: unknown key `kernels_of_choice` (hint: the keys here are `name`, `objects`, `package`)
        suite `DIR/suite.toml`, line 4: unknown key `file` (hint: did you mean `files`?)
        suite `DIR/suite.toml`, line 2: invalid type: integer `3`, expected a sequence
        suite `DIR/suite.toml`, line 1: string values must be quoted, expected literal string
        suite `DIR/suite.toml`, line 1: missing field `name`
        suite `DIR/suite.toml`: it names neither `objects` nor a `[[package]]`
        suite `DIR/suite.toml`: `*.elf` matches no file (hint: paths are relative to the suite file's folder `DIR`)
        suite `DIR/suite.toml`: pattern `a***` is not a glob: Pattern syntax error near position 3: wildcards are either regular `*` or recursive `**`
        suite `DIR/suite.toml`: `-o=x` is not a name of a Debian package
        suite `DIR/suite.toml`: `-t` is not a name of a Debian suite
        suite `DIR/suite.toml`: `suites` of package `a` is empty
        suite `DIR/suite.toml`: `../x` of package `a` has to lie inside the package, without `/` in front
        "#);
    }

    #[test]
    fn a_missing_suite_is_named() {
        let error = Suite::load(Path::new("no/such.toml")).unwrap_err();
        assert!(error.to_string().starts_with("suite `no/such.toml` cannot be read: "), "{error}");
    }
}

//! [`Suite`]: a named list of objects and what is to be known about them, from a suite file.
//!
//! A suite file is TOML. All but `name` and one of `objects`, `[[package]]` and `[[image]]` may be left out:
//!
//! ```toml
//! name = "libbpf-tools"
//! objects = ["*.bpf.o", "../x/y.o"]     # paths and globs, relative to the suite file
//! modules = ["nf_conntrack"]            # kernel modules that guests load; `none` forbids all
//! minimum-coverage = 80                 # percent of the guard sides that have to be verified
//! least-privileges = true               # the report tells with which capabilities each program loads
//! loader = "cilium-ebpf"                # what loads its objects: libbpf, cilium-ebpf, aya, or the path of a loader
//! cpus = 4                              # the machine of its objects: also `memory = "1GiB"`, `numa = 2`
//! profile = "lockdown-integrity"        # named settings of the machine, one or a list
//!
//! [[package]]                           # objects out of a Debian package, which is unpacked and not installed
//! apt = "libbpf-tools"
//! suites = ["trixie"]                   # where to look for it, best first
//! files = ["usr/sbin/*snoop"]           # globs inside the package
//!
//! [[image]]                             # objects out of an OCI image
//! oci = "registry.example/tools@sha256:..."
//! files = ["usr/bin/*"]                 # globs inside the image; without them, all
//!
//! [[alternatives]]                      # one of them has to load on every kernel
//! name = "read"
//! programs = ["vfsstat/fentry_vfs_read", "kprobe_vfs_read"]    # or `maps`, or `objects`
//!
//! [[optional]]                          # may fail
//! program = "vfsstat/fentry_vfs_fsync"  # or `object`
//! reason = "a nicety"
//!
//! [[shape]]                             # the object once more, with other settings
//! object = "opensnoop"
//! name = "failed"
//! set.targ_failed = true                # a variable of `.rodata`, `.data` or `.bss`
//! maps.start.max_entries = 64
//! cpus = 8                              # as above, for this shape
//! capabilities = ["CAP_BPF"]            # loaded by a user that has these alone; or `token = true`
//!
//! [[program]]                           # attach it, and make it run, without `--exercise`
//! program = "opensnoop/probe"
//! attach.function = "do_sys_openat2"    # where its section names nothing
//! triggers = ["file"]                   # or `command = ["/init", "--version"]`
//! test-run = { input = "00 01 02", repeat = 1, returns = 2 }
//!
//! [[object]]                            # what the object's own loader does to it, here and in `[[program]]` and `[[map]]`
//! object = "opensnoop"                  # of the suite: the object is judged so, and never otherwise
//! loader = "aya"                        # not that of the suite
//! set.targ_uid = 0                      # as in a shape; shapes start from it
//! static-programs = true                # static functions in sections are programs
//! called-programs = true                # functions in sections are called by other code
//! legacy-maps = true                    # the definitions of a section `maps` are maps
//! stubs = ["log"]                       # calls of this extern function return 0
//! capabilities = ["CAP_BPF"]            # as in a shape
//! btf = "min/5.4.btf"                   # what its relocations take instead of the kernel's BTF
//!
//! [[map]]                               # also `type`, `key-size`, `value-size`, `map-flags`, `inner`
//! map = "opensnoop/start"
//! max-entries = 64
//! pinning = "none"                      # or "by-name", or a path below `/sys/fs/bpf`
//! reuse = "base/start"                  # it is given the map of another object, or one of a definition: `{ max-entries = 64 }`
//!
//! [[expect]]                            # a failure that is known
//! object = "opensnoop"
//! kernel = "5.10"
//! verdict = "relocation_failed"
//! reason = "has no bpf_cookie"
//!
//! [[allow-warning]]                     # a warning of kernels that is known
//! contains = "kernel/bpf/verifier.c"
//! reason = "it loads all the same"
//! ```

mod alternatives;
mod draft;
mod error;
mod expectation;
mod image;
mod loading;
mod machine;
mod optional;
mod package;
mod part;
mod pattern;
mod privileges;
mod program;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod schema;
mod settings;
mod shape;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use alternatives::WrittenAlternatives;
pub use draft::draft;
use error::Mistake;
pub use error::SuiteError;
pub use image::ImageRef;
pub use loading::tables as loading_tables;
use loading::{WrittenMap, WrittenObject};
use machine::{Names, WrittenMachine};
use optional::WrittenOptional;
pub use package::PackageRef;
use pattern::{check_glob, expand};
use program::WrittenProgram;
pub use settings::{SaidTwice, Settings};
use shape::WrittenShape;
pub use shape::{Shape, table as shape_table};
pub use variables::patches;

use crate::gate::{WrittenAllowance, WrittenExpectation};
use crate::manifest::Profiles;
use crate::record::MachineSettings;

/// Keys of the file.
const SUITE_KEYS: [&str; 20] = [
    "name",
    "loader",
    "modules",
    "objects",
    "package",
    "image",
    "alternatives",
    "optional",
    "shape",
    "object",
    "program",
    "map",
    "expect",
    "allow-warning",
    "minimum-coverage",
    machine::KEYS[0],
    machine::KEYS[1],
    machine::KEYS[2],
    machine::KEYS[3],
    "least-privileges",
];
/// Keys of its tables.
const TABLES: [(&str, &[&str]); 10] = [
    ("package", &["apt", "suites", "files"]),
    ("image", &["oci", "files"]),
    ("alternatives", &["name", "programs", "maps", "objects"]),
    ("optional", &["object", "program", "reason"]),
    ("shape", &["object", "name", "set", "maps", "cpus", "memory", "numa", "profile", "capabilities", "token"]),
    ("expect", WrittenExpectation::KEYS),
    ("allow-warning", WrittenAllowance::KEYS),
    (
        "program",
        &[
            "program",
            "type",
            "attach-type",
            "target",
            "target-function",
            "flags",
            "autoload",
            "attach",
            "triggers",
            "command",
            "test-run",
        ],
    ),
    (
        "object",
        &[
            "object",
            "loader",
            "static-programs",
            "called-programs",
            "legacy-maps",
            "stubs",
            "btf",
            "set",
            "capabilities",
            "token",
        ],
    ),
    ("map", &["map", "type", "key-size", "value-size", "max-entries", "map-flags", "pinning", "inner", "reuse"]),
];

/// A suite file, with its globs resolved. What it says of objects is checked by [`Suite::settings`], when they are known.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file it was read from.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Existing files and directories, in the order of the suite; the matches of one glob in the alphabet's. None twice.
    pub objects: Vec<PathBuf>,
    /// Packages to look into, in the order of the suite.
    pub packages: Vec<PackageRef>,
    /// Images to look into, in the order of the suite.
    pub images: Vec<ImageRef>,
    written: Written,
    /// The profiles that it can name.
    profiles: Profiles,
    /// The file's text, to name lines.
    text: String,
}

/// The file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: String,
    #[serde(default)]
    objects: Vec<String>,
    #[serde(default)]
    package: Vec<PackageRef>,
    #[serde(default)]
    image: Vec<ImageRef>,
    #[serde(default)]
    alternatives: Vec<Spanned<WrittenAlternatives>>,
    #[serde(default)]
    optional: Vec<Spanned<WrittenOptional>>,
    #[serde(default)]
    shape: Vec<Spanned<WrittenShape>>,
    #[serde(default)]
    program: Vec<Spanned<WrittenProgram>>,
    #[serde(default)]
    map: Vec<Spanned<WrittenMap>>,
    #[serde(default)]
    object: Vec<Spanned<WrittenObject>>,
    #[serde(default)]
    expect: Vec<Spanned<WrittenExpectation>>,
    #[serde(default)]
    allow_warning: Vec<Spanned<WrittenAllowance>>,
    minimum_coverage: Option<Spanned<f64>>,
    #[serde(default)]
    least_privileges: bool,
    loader: Option<String>,
    modules: Option<Spanned<Vec<String>>>,
    cpus: Option<Spanned<i64>>,
    memory: Option<Spanned<String>>,
    numa: Option<Spanned<i64>>,
    profile: Option<Spanned<Names>>,
}

impl Suite {
    /// Reads a suite file and resolves its globs. Packages and images are not looked up.
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
        if written.objects.is_empty() && written.package.is_empty() && written.image.is_empty() {
            return Err(invalid("it names no `objects`, no `[[package]]` and no `[[image]]`".to_owned()));
        }
        for package in &written.package {
            package.check().map_err(invalid)?;
            package.files.iter().try_for_each(|pattern| check_glob(path, pattern))?;
        }
        for image in &written.image {
            image.check().map_err(invalid)?;
            image.files.iter().try_for_each(|pattern| check_glob(path, pattern))?;
        }
        let mut objects = Vec::new();
        for pattern in &written.objects {
            for object in expand(path, pattern)? {
                if !objects.contains(&object) {
                    objects.push(object);
                }
            }
        }
        let (name, packages, images) = (written.name.clone(), written.package.clone(), written.image.clone());
        let profiles = Profiles::built_in();
        Ok(Suite { path: at(), name, objects, packages, images, written, profiles, text })
    }

    /// The same, which can name these profiles.
    #[must_use]
    pub fn with_profiles(self, profiles: &Profiles) -> Suite {
        Suite { profiles: profiles.clone(), ..self }
    }

    /// The machine of its objects.
    ///
    /// # Errors
    /// A number that no machine has, or an unknown profile.
    pub fn machine(&self) -> Result<MachineSettings, SuiteError> {
        let Written { cpus, memory, numa, profile, .. } = &self.written;
        let written = WrittenMachine {
            cpus: cpus.as_ref(),
            memory: memory.as_ref(),
            numa: numa.as_ref(),
            profile: profile.as_ref(),
        };
        written.checked(&self.profiles).map_err(|(place, mistake)| self.wrong(place.unwrap_or_default(), mistake))
    }

    /// The loader that it names for its objects. A path is relative to the suite file.
    pub fn loader(&self) -> Option<String> {
        self.written.loader.as_ref().map(|name| self.loader_path(name))
    }

    /// A loader as it is found: a path is relative to the suite file.
    fn loader_path(&self, name: &str) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        if name.contains('/') { folder.join(name).display().to_string() } else { name.to_owned() }
    }

    /// What is wrong at a place of the file, counted in bytes.
    fn wrong(&self, at: usize, mistake: Mistake) -> SuiteError {
        let Mistake { message, hint } = mistake;
        SuiteError::Wrong { path: self.path.clone(), line: line_of(&self.text, at), message, hint }
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
    for (name, known) in TABLES {
        let tables: Vec<&DeValue<'_>> = match table.get(name).map(Spanned::get_ref) {
            None => continue,
            Some(DeValue::Array(tables)) => tables.iter().map(Spanned::get_ref).collect(),
            Some(single) => vec![single],
        };
        tables.into_iter().filter_map(DeValue::as_table).try_for_each(|table| check(table, known))?;
    }
    Ok(())
}

/// The line, counted from 1, of a byte of the text.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

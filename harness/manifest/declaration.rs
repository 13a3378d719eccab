//! [`Declaration`]: one `[kernel."NAME"]` table of `kernels.toml`.

use std::path::Path;

use super::builds::{Builds, is_build_name, split_name};
use super::limits::GuestLimits;
use super::machine;
use super::profiles::Profiles;
use super::reader::{TableReader, TomlSection};
use super::source_table::SourceTable;
use super::{BtfArchive, KernelSpec, ModuleChoice, Source};
use crate::record::MachineSettings;

/// Keys that every kernel may have, from any source.
pub(super) const COMMON: [&str; 12] = [
    "optional",
    BUILDS,
    "append",
    "btf",
    MODULES,
    "memory",
    "boot-timeout",
    "program-timeout",
    "cpus",
    "numa",
    machine::PROFILE,
    FALLBACK,
];
/// Which builds are separate kernels.
const BUILDS: &str = "builds";
/// Tables with sources that stand in for the kernel's own.
const FALLBACK: &str = "fallback";
/// Modules to load; of source `path` it may be the directory of all its modules instead.
pub(super) const MODULES: &str = "modules";
/// Words that are selectors, so a kernel cannot be called by them.
const RESERVED: [&str; 2] = ["all", "latest"];
const LONGEST_NAME: usize = 40;
const LONGEST_BUILD: usize = 100;

/// One `[kernel."NAME"]` table.
pub struct Declaration<'a, 't> {
    /// Its name.
    pub name: &'t str,
    /// Its keys.
    pub section: TomlSection<'t>,
    /// Relative paths start here.
    pub folder: &'a Path,
    /// The defaults of a table.
    pub limits: GuestLimits,
    /// Where kernels without BTF get theirs.
    pub btf_archive: Option<&'a BtfArchive>,
    /// The machine, unless the table sets another.
    pub machine: &'a MachineSettings,
    /// The profiles that there are.
    pub profiles: &'a Profiles,
}

impl<'t> Declaration<'_, 't> {
    /// The kernel, or `None` after its problems were noted.
    pub fn read(&self, reader: &mut TableReader<'t>) -> Option<KernelSpec> {
        if self.is_unquoted_version(reader) {
            return None;
        }
        self.check_name(reader);
        let source = SourceTable { section: &self.section, folder: self.folder, others: &COMMON }.read(reader);
        let limits = GuestLimits::read(reader, &self.section, self.limits);
        let machine = machine::read(reader, &self.section, Some(self.profiles), self.machine);
        let optional = reader.boolean(&self.section, "optional").unwrap_or(false);
        let append = reader.words(&self.section, "append");
        let modules = self.modules(reader);
        let btf = reader.string(&self.section, "btf").map(|(path, _)| self.folder.join(path));
        // Of such a kernel it is the source itself.
        let btf = btf.filter(|_| !matches!(source, Some(Source::Btf { .. })));
        let fallbacks = self.fallbacks(reader);
        let builds = self.builds(reader, source.iter().chain(&fallbacks).any(Source::has_builds));
        Some(KernelSpec {
            name: self.name.to_owned(),
            source: source?,
            fallbacks,
            builds,
            optional,
            memory_mib: limits.memory_mib,
            boot_timeout: limits.boot_timeout,
            program_timeout: limits.program_timeout,
            append,
            modules,
            machine,
            btf,
            btf_archive: self.btf_archive.cloned(),
        })
    }

    fn builds(&self, reader: &mut TableReader<'t>, has_builds: bool) -> Option<Builds> {
        let (text, place) = reader.string(&self.section, BUILDS)?;
        let example = format!("write `{BUILDS} = \"last:5\"` or `{BUILDS} = \"all\"`");
        match text.parse() {
            Ok(_) if !has_builds => {
                let message = format!("`{BUILDS}` needs an archive with several builds");
                let hint = "remove it; sources `apt`, `rpm`, `apk` and `pacman` have several builds, and `mainline` of a series such as `v6.6.*`";
                self.problem(reader, place.start, &message, Some(hint.to_owned()));
                None
            }
            Ok(builds) => Some(builds),
            Err(why) => {
                self.problem(reader, place.start, &format!("`{BUILDS}`: {why}"), Some(example));
                None
            }
        }
    }

    fn problem(&self, reader: &mut TableReader<'t>, at: usize, message: &str, hint: Option<String>) {
        reader.problem(at, format!("{}: {message}", self.section.title), hint);
    }

    /// `[kernel.5.10]` is, in TOML, a table `10` in a table `5`: the slip is common and its effects are confusing.
    fn is_unquoted_version(&self, reader: &mut TableReader<'t>) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut found = false;
        for (key, value) in self.section.table.iter() {
            if is_number(self.name) && is_number(key.get_ref()) && value.get_ref().is_table() {
                let version = format!("{}.{}", self.name, key.get_ref());
                let message = format!("`[kernel.{version}]` has a version without quotes");
                reader.problem(key.span().start, message, Some(format!("write `[kernel.\"{version}\"]`")));
                found = true;
            }
        }
        found
    }

    fn check_name(&self, reader: &mut TableReader<'t>) {
        // Of a build, as bundles declare them, behind its kernel's.
        let (name, build) = split_name(self.name);
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
        let is_build = build.is_none_or(|build| is_build_name(build) && build.len() <= LONGEST_BUILD);
        if !starts_well || !is_plain || name.len() > LONGEST_NAME || !is_build {
            let hint = format!(
                "up to {LONGEST_NAME} letters, digits and `.`, `_`, `+`, `-`, beginning with a letter or digit"
            );
            self.problem(reader, self.section.start, "the name cannot be used", Some(hint));
        } else if RESERVED.contains(&self.name) {
            let hint = Some("choose another name".to_owned());
            self.problem(reader, self.section.start, "the name is reserved for selectors", hint);
        }
    }

    fn modules(&self, reader: &mut TableReader<'t>) -> Option<ModuleChoice> {
        let (key, value) = self.section.table.get_key_value(MODULES)?;
        let is_path = self.section.table.get("source").and_then(|source| source.get_ref().as_str()) == Some("path");
        // There anything else is the directory of all modules, or a mistake that is reported there.
        if is_path && value.get_ref().as_array().is_none() {
            return None;
        }
        let words = reader.strings(&self.section, MODULES)?;
        match ModuleChoice::of(words.iter().map(|(word, _)| *word), self.folder) {
            Ok(choice) => Some(choice),
            Err(reason) => {
                let hint = "write names of modules, paths of `.ko` files, or `none`".to_owned();
                self.problem(reader, key.span().start, &format!("`{MODULES}`: {reason}"), Some(hint));
                None
            }
        }
    }

    fn fallbacks(&self, reader: &mut TableReader<'t>) -> Vec<Source> {
        let Some((key, value)) = self.section.table.get_key_value(FALLBACK) else { return Vec::new() };
        let tables = value.get_ref().as_array().map(|all| all.iter().map(|one| (one.span(), one.get_ref().as_table())));
        let mut sources = Vec::new();
        for (at, (place, table)) in tables.into_iter().flatten().enumerate() {
            let Some(table) = table else { return self.not_tables(reader, key.span().start) };
            let title = format!("{}: fallback {}", self.section.title, at + 1);
            let section = TomlSection { title, start: place.start, table };
            sources.extend(SourceTable { section: &section, folder: self.folder, others: &[] }.read(reader));
        }
        if value.get_ref().as_array().is_none() {
            return self.not_tables(reader, key.span().start);
        }
        sources
    }

    fn not_tables(&self, reader: &mut TableReader<'t>, at: usize) -> Vec<Source> {
        let hint = format!("write `[[kernel.\"{}\".{FALLBACK}]]` on a line of its own", self.name.escape_debug());
        self.problem(reader, at, &format!("`{FALLBACK}` must be tables with a `source` each"), Some(hint));
        Vec::new()
    }
}

//! [`Declaration`]: one `[kernel."NAME"]` table of `kernels.toml`.

use std::path::{Path, PathBuf};

use super::limits::Limits;
use super::nearest::nearest;
use super::reader::{Place, Reader, Section, listed};
use super::release::KernelRelease;
use super::{KernelSpec, Source};

/// Keys that every kernel may have.
const COMMON: [&str; 6] = ["source", "optional", "append", "memory", "boot-timeout", "program-timeout"];
/// Each source with the keys it needs and the keys it may have besides.
const SOURCES: [(&str, &[&str], &[&str]); 3] = [
    ("apt", &["suites", "packages"], &[]),
    ("path", &["image"], &["modules", "config"]),
    ("mainline", &["version"], &[]),
];
/// Words that are selectors, so a kernel cannot be called by them.
const RESERVED: [&str; 2] = ["all", "latest"];
const LONGEST_NAME: usize = 40;

/// One `[kernel."NAME"]` table.
pub struct Declaration<'a, 't> {
    /// Its name.
    pub name: &'t str,
    /// Its keys.
    pub section: Section<'t>,
    /// Relative paths start here.
    pub folder: &'a Path,
    /// What holds where the table says nothing.
    pub limits: Limits,
}

impl<'t> Declaration<'_, 't> {
    /// The kernel, or `None` after its problems were noted.
    pub fn read(&self, reader: &mut Reader<'t>) -> Option<KernelSpec> {
        if self.is_unquoted_version(reader) {
            return None;
        }
        self.check_name(reader);
        let source = self.source_name(reader);
        self.check_keys(reader, source);
        let limits = Limits::read(reader, &self.section, self.limits);
        let optional = reader.boolean(&self.section, "optional").unwrap_or(false);
        let append = self.append(reader);
        let source = match source? {
            "apt" => self.apt(reader),
            "path" => self.path(reader),
            _ => self.mainline(reader),
        }?;
        Some(KernelSpec {
            name: self.name.to_owned(),
            source,
            optional,
            memory_mib: limits.memory_mib,
            boot_timeout: limits.boot_timeout,
            program_timeout: limits.program_timeout,
            append,
        })
    }

    fn problem(&self, reader: &mut Reader<'t>, at: usize, message: &str, hint: Option<String>) {
        reader.problem(at, format!("{}: {message}", self.section.title), hint);
    }

    /// `[kernel.5.10]` is, in TOML, a table `10` in a table `5`: the slip is common and its effects are confusing.
    fn is_unquoted_version(&self, reader: &mut Reader<'t>) -> bool {
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

    fn check_name(&self, reader: &mut Reader<'t>) {
        let starts_well = self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_plain = self.name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
        if !starts_well || !is_plain || self.name.len() > LONGEST_NAME {
            let hint = format!(
                "up to {LONGEST_NAME} letters, digits and `.`, `_`, `+`, `-`, beginning with a letter or digit"
            );
            self.problem(reader, self.section.start, "the name cannot be used", Some(hint));
        } else if RESERVED.contains(&self.name) {
            let hint = Some("choose another name".to_owned());
            self.problem(reader, self.section.start, "the name is a word that selects kernels", hint);
        }
    }

    fn source_name(&self, reader: &mut Reader<'t>) -> Option<&'t str> {
        let names = SOURCES.map(|(name, ..)| name);
        if !self.section.table.contains_key("source") {
            let hint = format!("write `source = \"apt\"`; the sources are {}", listed(&names));
            self.problem(reader, self.section.start, "`source` is missing", Some(hint));
            return None;
        }
        let (given, place) = reader.string(&self.section, "source")?;
        if names.contains(&given) {
            return Some(given);
        }
        let hint = match nearest(given, names, 1).first() {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the sources are {}", listed(&names)),
        };
        self.problem(reader, place.start, &format!("unknown source `{given}`"), Some(hint));
        None
    }

    /// Missing keys, keys of other sources, and keys nobody knows.
    fn check_keys(&self, reader: &mut Reader<'t>, source: Option<&str>) {
        let mut known = COMMON.to_vec();
        known.extend(SOURCES.iter().flat_map(|(_, needed, allowed)| needed.iter().chain(*allowed)));
        reader.refuse_unknown(&self.section, &known);
        let Some(source) = source else { return };
        for (name, needed, allowed) in SOURCES {
            for key in needed.iter().chain(allowed) {
                let given = self.section.table.get_key_value(*key);
                match given {
                    Some((place, _)) if name != source => {
                        let message = format!("`{key}` belongs to source `{name}`, and this source is `{source}`");
                        let hint = format!("remove it, or write `source = \"{name}\"`");
                        self.problem(reader, place.span().start, &message, Some(hint));
                    }
                    None if name == source && needed.contains(key) => {
                        let message = format!("`{key}` is missing, source `{source}` needs it");
                        self.problem(reader, self.section.start, &message, Some(example(key).to_owned()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn append(&self, reader: &mut Reader<'t>) -> Vec<String> {
        let words = reader.strings(&self.section, "append").unwrap_or_default();
        for (word, place) in &words {
            if word.contains(char::is_whitespace) {
                let message = format!("`append` has `{word}`, which is more than one word");
                self.problem(reader, place.start, &message, Some("make each word an entry of its own".to_owned()));
            }
        }
        words.into_iter().map(|(word, _)| word.to_owned()).collect()
    }

    fn apt(&self, reader: &mut Reader<'t>) -> Option<Source> {
        let suites = reader.strings(&self.section, "suites");
        let packages = reader.strings(&self.section, "packages");
        for (suite, place) in suites.iter().flatten() {
            if !is_word(suite, "-.") {
                let message = format!("`{suite}` is not a suite");
                self.problem(reader, place.start, &message, Some("a suite is a word like `bookworm`".to_owned()));
            }
        }
        for (package, place) in packages.iter().flatten() {
            if !is_word(package, "-.+*?[]!") || glob::Pattern::new(package).is_err() {
                let message = format!("`{package}` is not a package name or glob");
                self.problem(reader, place.start, &message, Some(example("packages").to_owned()));
            }
        }
        Some(Source::Apt { suites: texts(suites?), packages: texts(packages?) })
    }

    fn path(&self, reader: &mut Reader<'t>) -> Option<Source> {
        let mut absolute = |key| reader.string(&self.section, key).map(|(text, _)| self.folder.join(text));
        let (image, modules, config): (Option<PathBuf>, _, _) =
            (absolute("image"), absolute("modules"), absolute("config"));
        Some(Source::Path { image: image?, modules, config })
    }

    fn mainline(&self, reader: &mut Reader<'t>) -> Option<Source> {
        let (version, place) = reader.string(&self.section, "version")?;
        if !version.starts_with('v') || version.parse::<KernelRelease>().is_err() {
            let message = format!("`version` is `{version}`, which is not an upstream version");
            let hint = match version.parse::<KernelRelease>() {
                Ok(release) => format!("write `v{release}`"),
                Err(_) => example("version").to_owned(),
            };
            self.problem(reader, place.start, &message, Some(hint));
        }
        Some(Source::Mainline { version: version.to_owned() })
    }
}

/// How to write a key that a source needs.
fn example(key: &str) -> &'static str {
    match key {
        "suites" => "write `suites = [\"bookworm\"]`",
        "packages" => "write `packages = [\"linux-image-6.1.*-cloud-amd64\"]`",
        "image" => "write `image = \"../linux/arch/x86/boot/bzImage\"`",
        _ => "write `version = \"v6.6\"`",
    }
}

/// Whether `text` begins with a letter or digit and goes on with letters, digits and `others`.
fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn texts(words: Vec<(&str, Place)>) -> Vec<String> {
    words.into_iter().map(|(word, _)| word.to_owned()).collect()
}

//! [`SourceTable`]: the keys of the manifest that say where a kernel comes from.

use super::declaration::MODULES;
use super::disk_image;
use super::image_reference::is_sha256;
use super::reader::{TableReader, TextSpan as Span, TomlSection, listed};
use super::release::KernelRelease;
use super::repository::RepositoryFormat;
use super::repository_table;
use super::source::{Archive, BtfPlace, FileLocation, PackageFile, Source};
use crate::nearest::nearest;
use std::path::{Component, Path, PathBuf};

/// Each source with the keys it needs and the keys it may have besides.
pub(super) const SOURCES: [(&str, &[&str], &[&str]); 13] = [
    ("apt", &["suites", "packages"], &["mirror", "keyring", "components", "trusted"]),
    ("rpm", repository_table::NEEDED, repository_table::OF_RPM),
    ("apk", repository_table::NEEDED, repository_table::OF_APK),
    ("pacman", repository_table::NEEDED, repository_table::OF_PACMAN),
    ("path", &["image"], &["modules", "config"]),
    ("tree", &["tree"], &[]),
    ("build", &["tree"], &["version", "config"]),
    ("host", &[], &[]),
    ("disk", &["disk"], &disk_image::OPTIONAL),
    ("package", &["files"], &["sha256"]),
    ("oci", &["image"], &[]),
    ("btf", &[], &["btf", "sha256", "package", "suites", "file", "release"]),
    ("mainline", &["version"], &["mirror", "keyring", "fingerprints"]),
];

/// A table that has `source` and the keys which that source needs: a kernel's own, or one of its fallbacks.
pub(super) struct SourceTable<'a, 't> {
    /// Its keys, and how problems call it.
    pub section: &'a TomlSection<'t>,
    /// Relative paths start here.
    pub folder: &'a Path,
    /// Keys that may stand beside those of the source.
    pub others: &'a [&'a str],
}

impl<'t> SourceTable<'_, 't> {
    /// The source, or `None` after its problems were noted.
    pub fn read(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let name = self.name(reader);
        self.check_keys(reader, name);
        match name? {
            "apt" => self.apt(reader),
            "rpm" => self.repository(reader, RepositoryFormat::Rpm).map(Source::Repository),
            "apk" => self.repository(reader, RepositoryFormat::Apk).map(Source::Repository),
            "pacman" => self.repository(reader, RepositoryFormat::Pacman).map(Source::Repository),
            "path" => self.path(reader),
            "tree" => Some(Source::Tree { tree: self.absolute(reader, "tree")? }),
            "build" => self.build(reader),
            "host" => Some(Source::Host),
            "disk" => self.disk(reader),
            "package" => self.package(reader),
            "oci" => self.oci(reader),
            "btf" => self.btf(reader),
            _ => self.mainline(reader),
        }
    }

    pub(super) fn problem(&self, reader: &mut TableReader<'t>, at: usize, message: &str, hint: Option<String>) {
        reader.problem(at, format!("{}: {message}", self.section.title), hint);
    }

    fn name(&self, reader: &mut TableReader<'t>) -> Option<&'t str> {
        let names = SOURCES.map(|(name, ..)| name);
        if !self.section.table.contains_key("source") {
            let hint = format!("write `source = \"apt\"`; the sources are {}", listed(&names));
            self.problem(reader, self.section.start, "`source` is missing", Some(hint));
            return None;
        }
        let (given, place) = reader.string(self.section, "source")?;
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

    /// Missing keys, keys of other sources, and keys no one knows.
    fn check_keys(&self, reader: &mut TableReader<'t>, source: Option<&str>) {
        let mut known = vec!["source"];
        known.extend(self.others);
        for key in SOURCES.iter().flat_map(|(_, needed, allowed)| needed.iter().chain(*allowed)) {
            if !known.contains(key) {
                known.push(key);
            }
        }
        reader.refuse_unknown(self.section, &known);
        let Some((source, needed, allowed)) = SOURCES.iter().find(|(name, ..)| Some(*name) == source) else { return };
        for key in needed.iter().filter(|key| !self.section.table.contains_key(**key)) {
            let message = format!("`{key}` is missing, source `{source}` needs it");
            self.problem(reader, self.section.start, &message, Some(example(key).to_owned()));
        }
        for (key, _) in self.section.table.iter() {
            let (name, place): (&str, _) = (key.get_ref(), key.span());
            let has =
                |(_, needed, allowed): &&(&str, &[&str], &[&str])| needed.contains(&name) || allowed.contains(&name);
            if needed.contains(&name) || allowed.contains(&name) || self.others.contains(&name) {
                continue;
            }
            if let Some((owner, ..)) = SOURCES.iter().find(has) {
                let message = format!("`{name}` is a key of source `{owner}`, but this source is `{source}`");
                let hint = format!("remove it, or write `source = \"{owner}\"`");
                self.problem(reader, place.start, &message, Some(hint));
            }
        }
    }

    fn apt(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let suites = reader.strings(self.section, "suites");
        let packages = reader.strings(self.section, "packages");
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
        let archive = self.archive(reader);
        Some(Source::Apt { suites: texts(suites?), packages: texts(packages?), archive })
    }

    fn archive(&self, reader: &mut TableReader<'t>) -> Option<Archive> {
        let keyring = self.absolute(reader, "keyring");
        let trusted = reader.boolean(self.section, "trusted").unwrap_or(false);
        let components = reader.strings(self.section, "components");
        for (component, place) in components.iter().flatten().filter(|(component, _)| !is_word(component, "-./")) {
            let message = format!("`{component}` is not a component");
            self.problem(reader, place.start, &message, Some("a component is a word like `main`".to_owned()));
        }
        let Some((mirror, place)) = reader.string(self.section, "mirror") else {
            let stray = ["keyring", "components", "trusted"].into_iter().find_map(|key| {
                let (name, _) = self.section.table.get_key_value(key)?;
                Some((key, name.span().start))
            });
            if let Some((key, at)) = stray.filter(|_| !self.section.table.contains_key("mirror")) {
                let message = format!("`{key}` needs a `mirror`; without one, the settings of apt apply");
                self.problem(reader, at, &message, Some(format!("remove it, or {}", example("mirror"))));
            }
            return None;
        };
        if !is_web_address(mirror) || mirror.contains(['"', ' ', '<', '>', '[', ']']) {
            let message = "`mirror` is not an `http` or `https` URL";
            self.problem(reader, place.start, message, Some(example("mirror").to_owned()));
        }
        if trusted && keyring.is_some() {
            let message = "`trusted` (accept unsigned packages) and `keyring` (require signatures) exclude each other";
            self.problem(reader, place.start, message, Some("remove one of them".to_owned()));
        }
        let components = components.map_or_else(|| vec!["main".to_owned()], texts);
        Some(Archive { mirror: mirror.to_owned(), keyring, trusted, components })
    }

    /// A path, from the directory of the manifest.
    fn absolute(&self, reader: &mut TableReader<'t>, key: &str) -> Option<PathBuf> {
        reader.string(self.section, key).map(|(text, _)| self.folder.join(text))
    }

    fn path(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        // A list names modules to load.
        let is_list = |value: &toml::Spanned<toml::de::DeValue<'_>>| value.get_ref().as_array().is_some();
        let names_modules = self.others.contains(&MODULES) && self.section.table.get(MODULES).is_some_and(is_list);
        let modules = if names_modules { None } else { self.absolute(reader, MODULES) };
        let config = self.absolute(reader, "config");
        Some(Source::Path { image: self.absolute(reader, "image")?, modules, config })
    }

    fn build(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let config = self.absolute(reader, "config");
        let version = reader.string(self.section, "version");
        if let Some((version, place)) = &version
            && !is_word(version, "-._/+^~")
        {
            let message = format!("`{version}` is not a tag, branch or commit");
            self.problem(reader, place.start, &message, Some(example("version").to_owned()));
        }
        let version = version.map(|(version, _)| version.to_owned());
        Some(Source::Build { tree: self.absolute(reader, "tree")?, version, config })
    }

    fn package(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let files = reader.strings(self.section, "files")?;
        let sums = reader.strings(self.section, "sha256").unwrap_or_default();
        for (sum, place) in sums.iter().filter(|(sum, _)| !is_sha256(sum)) {
            let message = format!("`{sum}` is not a SHA-256");
            self.problem(reader, place.start, &message, Some("`sha256sum FILE` prints it: 64 hex digits".to_owned()));
        }
        if !sums.is_empty() && sums.len() != files.len() {
            let message = format!("`files` has {} entries, but `sha256` has {}", files.len(), sums.len());
            self.problem(reader, sums[0].1.start, &message, Some("name one SHA-256 for each file".to_owned()));
        }
        let mut all = Vec::new();
        for (at, (text, place)) in files.iter().enumerate() {
            let sha256 = sums.get(at).map(|(sum, _)| sum.to_ascii_lowercase());
            let url = is_web_address(text);
            if url && sha256.is_none() {
                let message = format!(
                    "`{}` is a URL without SHA-256; files on servers can change",
                    PackageFile { place: FileLocation::Url((*text).to_owned()), sha256: None }.name()
                );
                self.problem(reader, place.start, &message, Some(example("sha256").to_owned()));
            }
            if !url && text.contains("://") {
                let message = format!("`{text}` is neither a path nor an `http` or `https` URL");
                self.problem(reader, place.start, &message, Some("use an `http` or `https` URL".to_owned()));
            }
            let place =
                if url { FileLocation::Url((*text).to_owned()) } else { FileLocation::Path(self.folder.join(text)) };
            let file = PackageFile { place, sha256 };
            if !file.name().ends_with(".deb") && !file.name().ends_with(".rpm") {
                let message = format!("`{}` is neither a `.deb` nor a `.rpm`", file.name());
                self.problem(reader, self.section.start, &message, Some(example("files").to_owned()));
            }
            all.push(file);
        }
        Some(Source::Package { files: all })
    }

    fn oci(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let (text, place) = reader.string(self.section, "image")?;
        match text.parse() {
            Ok(image) => Some(Source::Oci { image }),
            Err(reason) => {
                let hint = "write `image = \"example.org/kernels:6.6\"`".to_owned();
                self.problem(reader, place.start, &format!("`{text}` is not an OCI image: {reason}"), Some(hint));
                None
            }
        }
    }

    fn btf(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let release = reader.string(self.section, "release").map(|(release, _)| release.to_owned());
        let has = |key: &str| self.section.table.contains_key(key);
        if has("btf") == has("package") {
            let message = "source `btf` needs either `btf` or `package`";
            self.problem(reader, self.section.start, message, Some(example("btf").to_owned()));
            return None;
        }
        if has("btf") {
            let stray = ["suites", "file"].into_iter().find(|key| has(key));
            if let Some(key) = stray {
                let message = format!("`{key}` needs a `package`");
                self.problem(reader, self.section.start, &message, Some("remove it".to_owned()));
            }
            return Some(Source::Btf { place: self.btf_file(reader)?, release });
        }
        for key in ["suites", "file", "release"].into_iter().filter(|key| !has(key)) {
            let message = format!("`{key}` is missing, a `package` with BTF needs it");
            self.problem(reader, self.section.start, &message, Some(example(key).to_owned()));
        }
        let (package, place) = reader.string(self.section, "package")?;
        if !is_word(package, "-.+") {
            let message = format!("`{package}` is not the name of a package");
            self.problem(reader, place.start, &message, Some("write the full name, without a pattern".to_owned()));
        }
        let suites = texts(reader.strings(self.section, "suites")?);
        let (file, place) = reader.string(self.section, "file")?;
        if Path::new(file).components().any(|part| !matches!(part, Component::Normal(_))) {
            let message = format!("`{file}` is not a path in a package");
            self.problem(reader, place.start, &message, Some(example("file").to_owned()));
        }
        let place = BtfPlace::Package { package: package.to_owned(), suites, file: file.to_owned() };
        Some(Source::Btf { place, release })
    }

    fn btf_file(&self, reader: &mut TableReader<'t>) -> Option<BtfPlace> {
        let (text, place) = reader.string(self.section, "btf")?;
        let sums = reader.strings(self.section, "sha256").unwrap_or_default();
        for (sum, place) in sums.iter().filter(|(sum, _)| !is_sha256(sum)) {
            let message = format!("`{sum}` is not a SHA-256");
            self.problem(reader, place.start, &message, Some("`sha256sum FILE` prints it: 64 hex digits".to_owned()));
        }
        if is_web_address(text) {
            let sha256 = sums.first().map(|(sum, _)| sum.to_ascii_lowercase());
            return Some(BtfPlace::Server { url: text.to_owned(), sha256 });
        }
        if !sums.is_empty() {
            let message = "`sha256` needs a `btf` that is a URL";
            self.problem(reader, place.start, message, Some("remove it".to_owned()));
        }
        Some(BtfPlace::Path(self.absolute(reader, "btf")?))
    }

    fn mainline(&self, reader: &mut TableReader<'t>) -> Option<Source> {
        let (version, place) = reader.string(self.section, "version")?;
        let mirror = reader.string(self.section, "mirror");
        if let Some((mirror, place)) = &mirror
            && !is_web_address(mirror)
        {
            let message = "`mirror` is not an `http` or `https` URL";
            self.problem(
                reader,
                place.start,
                message,
                Some("write `mirror = \"https://example.org/mainline\"`".to_owned()),
            );
        }
        let mirror = mirror.map(|(mirror, _)| mirror.to_owned());
        let keys =
            self.section.table.contains_key("keyring").then(|| self.keys(reader, RepositoryFormat::Rpm)).flatten();
        // `v6.6.*` is the newest point release of 6.6.
        let series = version.strip_suffix(".*").and_then(|series| series.parse::<KernelRelease>().ok());
        if series.is_some_and(|series| series.is_series()) && version.starts_with('v') {
            return Some(Source::Mainline { version: version.to_owned(), mirror, keys });
        }
        // It becomes part of an address.
        let release = version.parse::<KernelRelease>().ok().filter(|_| is_word(version, "._+-~"));
        if !version.starts_with('v') || release.is_none() {
            let message = format!("`version` is `{version}`, which is not an upstream version");
            let hint = match release {
                Some(release) => format!("write `v{release}`"),
                None => example("version").to_owned(),
            };
            self.problem(reader, place.start, &message, Some(hint));
        }
        Some(Source::Mainline { version: version.to_owned(), mirror, keys })
    }
}

/// How to write a key that a source needs.
pub(super) fn example(key: &str) -> &'static str {
    match key {
        "suites" => "write `suites = [\"bookworm\"]`",
        "packages" => "write `packages = [\"linux-image-6.1.*-cloud-amd64\"]`",
        "btf" => "write `btf = \"../5.4.0-150-generic.btf\"`",
        "release" => "write `release = \"5.4\"`",
        "file" => "write `file = \"usr/share/vmlinux.btf\"`",
        "repositories" => "write `repositories = [\"https://mirror.example.org/9/BaseOS/x86_64/os\"]`",
        "mirrorlist" => "write `mirrorlist = [\"https://mirrors.example.org/list?repo=baseos-9\"]`",
        "metalink" => "write `metalink = [\"https://mirrors.example.org/metalink?repo=fedora-43\"]`",
        "mirror" => "write `mirror = \"http://archive.example.org/ubuntu\"`",
        "tree" => "write `tree = \"../linux\"`",
        "disk" => "write `disk = \"../noble.qcow2\"`",
        "files" => "write `files = [\"../linux-image-6.1.deb\"]`",
        "sha256" => "write `sha256 = [\"...\"]`, with what `sha256sum` prints",
        "image" => "write `image = \"../linux/arch/x86/boot/bzImage\"`",
        _ => "write `version = \"v6.6\"`",
    }
}

pub(super) fn is_web_address(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// Whether `text` begins with a letter or digit and goes on with letters, digits and `others`.
pub(super) fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

pub(super) fn texts(words: Vec<(&str, Span)>) -> Vec<String> {
    words.into_iter().map(|(word, _)| word.to_owned()).collect()
}

//! [`Builds`]: which of the builds of a kernel are meant, where its archive has several, such as `last:5`.

use std::fmt;
use std::str::FromStr;

use super::repository::Repository;
use super::{KernelSpec, Source};

/// The most builds of one kernel that a matrix takes.
pub const MOST_BUILDS: usize = 64;
/// What stands between a kernel's name and that of a build.
pub const MARK: char = '@';
/// Prefixes of Debian packages that hold an image.
const IMAGES: [&str; 4] = ["linux-image-", "linux-image-unsigned-", "linux-binary-", "linux-binary-unsigned-"];

/// Which builds of a kernel become separate kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builds {
    /// Every one that the archive has.
    All,
    /// So many of the newest.
    Last(usize),
}

impl FromStr for Builds {
    type Err = String;

    fn from_str(text: &str) -> Result<Builds, String> {
        if text == "all" {
            return Ok(Builds::All);
        }
        let count = text.strip_prefix("last:").ok_or_else(|| format!("`{text}` is neither `all` nor `last:N`"))?;
        match count.parse() {
            Ok(count) if (1..=MOST_BUILDS).contains(&count) => Ok(Builds::Last(count)),
            _ => Err(format!("`{count}` is not a number from 1 to {MOST_BUILDS}")),
        }
    }
}

impl fmt::Display for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Builds::All => f.write_str("all"),
            Builds::Last(count) => write!(f, "last:{count}"),
        }
    }
}

/// The name of a kernel, and that of its build if it is one.
pub fn split_name(name: &str) -> (&str, Option<&str>) {
    name.split_once(MARK).map_or((name, None), |(kernel, build)| (kernel, Some(build)))
}

/// Whether a build may be called so.
pub(super) fn is_build_name(build: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._+~^-".contains(c);
    build.starts_with(|c: char| c.is_ascii_alphanumeric()) && build.chars().all(is_word)
}

impl KernelSpec {
    /// One build of it as a separate kernel, called `NAME@BUILD`. A build is called by its release or, in a repository of other packages
    /// than Debian's, by its version there.
    ///
    /// # Errors
    /// As a lowercase fragment: none of its sources can have such a build.
    pub fn build(&self, build: &str) -> Result<KernelSpec, String> {
        if !is_build_name(build) {
            return Err(format!("`{}` is not a build name", build.escape_debug()));
        }
        let mut sources = self.sources().filter_map(|source| source.build(build));
        let Some(source) = sources.next() else {
            return Err(match self.has_builds() {
                true => format!("`{build}` is not a build of kernel `{}`: {}", self.name, self.source),
                false => format!("kernel `{}` has one build: {}", self.name, self.source),
            });
        };
        let fallbacks = sources.collect();
        Ok(KernelSpec { name: format!("{}{MARK}{build}", self.name), source, fallbacks, builds: None, ..self.clone() })
    }

    /// Whether one of its sources is an archive that may have several builds.
    pub fn has_builds(&self) -> bool {
        self.sources().any(Source::has_builds)
    }

    /// What it is called as long as its builds are not known: `NAME@last:5`.
    pub fn name_with_builds(&self) -> String {
        self.builds.map_or_else(|| self.name.clone(), |builds| format!("{}{MARK}{builds}", self.name))
    }
}

impl Source {
    /// Whether it is an archive that may have several builds of a kernel.
    pub fn has_builds(&self) -> bool {
        match self {
            Source::Apt { .. } | Source::Repository(_) => true,
            Source::Mainline { version, .. } => version.ends_with(".*"),
            _ => false,
        }
    }

    /// The same source for one build; `None` if it cannot have it.
    fn build(&self, build: &str) -> Option<Source> {
        match self {
            Source::Apt { suites, packages, archive } => {
                let names = IMAGES.map(|prefix| format!("{prefix}{build}"));
                let is_meant = |glob: &String| {
                    glob::Pattern::new(glob).is_ok_and(|glob| names.iter().any(|name| glob.matches(name)))
                };
                packages.iter().any(is_meant).then(|| Source::Apt {
                    suites: suites.clone(),
                    packages: names.to_vec(),
                    archive: archive.clone(),
                })
            }
            Source::Repository(repository) => {
                Some(Source::Repository(Repository { build: Some(build.to_owned()), ..repository.clone() }))
            }
            Source::Mainline { version, mirror, keys } => {
                let series = version.strip_suffix(".*")?;
                let own = format!("v{build}");
                let rest = own.strip_prefix(series)?;
                let is_point =
                    rest.is_empty() || rest.strip_prefix('.').is_some_and(|rest| rest.parse::<u32>().is_ok());
                is_point.then(|| Source::Mainline { version: own, mirror: mirror.clone(), keys: keys.clone() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Manifest;
    use super::*;

    fn kernel(table: &str) -> KernelSpec {
        let text = format!("[kernel.k]\n{table}\n");
        Manifest::parse(&text, Path::new("/no/kernels.toml")).unwrap().kernels.remove(0)
    }

    #[test]
    fn words_for_builds_are_read_and_bounded() {
        for (text, builds) in [("all", Builds::All), ("last:1", Builds::Last(1)), ("last:64", Builds::Last(64))] {
            assert_eq!((text.parse(), builds.to_string()), (Ok(builds), text.to_owned()));
        }
        for wrong in ["", "last", "last:", "last:0", "last:65", "last:-1", "last:99999999999999999999", "newest"] {
            assert!(wrong.parse::<Builds>().is_err(), "{wrong}");
        }
        assert_eq!(split_name("el-8@4.18.0-553"), ("el-8", Some("4.18.0-553")));
        assert_eq!(split_name("6.1"), ("6.1", None));
    }

    #[test]
    fn a_build_is_a_kernel_of_its_own() {
        let apt = kernel("source = \"apt\"\nsuites = [\"sid\"]\npackages = [\"linux-image-6.1.*-amd64\"]");
        let build = apt.build("6.1.0-50-amd64").unwrap();
        assert_eq!(build.name, "k@6.1.0-50-amd64");
        let Source::Apt { packages, .. } = &build.source else { panic!("{:?}", build.source) };
        assert!(packages.contains(&"linux-binary-6.1.0-50-amd64".to_owned()), "{packages:?}");
        let mainline = kernel("source = \"mainline\"\nversion = \"v6.6.*\"");
        let version = |build: &str| match mainline.build(build).map(|spec| spec.source) {
            Ok(Source::Mainline { version, .. }) => Ok(version),
            Ok(other) => panic!("{other:?}"),
            Err(why) => Err(why),
        };
        assert_eq!((version("6.6.9"), version("6.6")), (Ok("v6.6.9".to_owned()), Ok("v6.6".to_owned())));
        for wrong in ["6.60", "6.6.9/x", "6.1.9", "", "../x", "*"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
        assert!(apt.build("6.12.0-1-amd64").unwrap_err().contains("is not a build of kernel `k`"));
        let fixed = kernel("source = \"mainline\"\nversion = \"v6.6.9\"");
        assert!(fixed.build("6.6.9").unwrap_err().contains("has one build"));
    }

    #[test]
    fn a_second_source_serves_the_same_build() {
        let table = "source = \"mainline\"\nversion = \"v6.6.*\"\n[[kernel.k.fallback]]\nsource = \"rpm\"\n\
                     repositories = [\"http://a.example/os\"]\npackages = [\"kernel-core\"]\ntrusted = true\n\
                     [[kernel.k.fallback]]\nsource = \"host\"";
        let build = kernel(table).build("6.6.9-1.fc39").unwrap();
        assert!(matches!(&build.source, Source::Repository(one) if one.build.as_deref() == Some("6.6.9-1.fc39")));
        assert!(build.fallbacks.is_empty(), "{:?}", build.fallbacks);
    }
}

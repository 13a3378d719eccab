//! [`candidates`]: which Debian packages make up the kernels that a manifest entry may mean, most preferred first.
//!
//! Debian, up to 6.18: `linux-image-X` holds everything. From 6.19 on it is empty: `linux-binary-X` has the image,
//! `linux-base-X` the config and the list of built-in drivers, `linux-modules-X` the modules. Ubuntu: `linux-image-X` has
//! the image, `linux-modules-X` config, list and most modules, `linux-modules-extra-X` the others. Images also exist
//! `unsigned`: the same kernel.

use std::cmp::Reverse;

use glob::Pattern;

use crate::source::apt::lists::Package;
use crate::store::version;

/// The expression for every package that may belong to a kernel, for [`crate::source::apt::lists::Lists::packages`].
pub(in crate::source) const SIBLINGS: &str =
    "^linux-(image|image-unsigned|binary|binary-unsigned|base|modules|modules-extra)-[0-9]";

/// One build of a kernel, as one suite has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct KernelPackages {
    /// Packages with the image, any one will do; the signed one first.
    pub images: Vec<Package>,
    /// Whether config and modules are in separate packages.
    pub split: bool,
    /// The package with config and list of built-in drivers, if split and listed.
    pub base: Option<Package>,
    /// The package with the modules, or with those that `base` does not have, if split and listed.
    pub modules: Option<Package>,
}

/// What a package of a kernel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Image,
    Binary,
    Base,
    Modules,
    Extra,
}

/// Takes a package name apart: what it holds, whether it is unsigned, and the kernel's release.
fn parts(name: &str) -> Option<(Role, bool, &str)> {
    let prefixes = [
        ("linux-image-unsigned-", Role::Image, true),
        ("linux-image-", Role::Image, false),
        ("linux-binary-unsigned-", Role::Binary, true),
        ("linux-binary-", Role::Binary, false),
        ("linux-base-", Role::Base, false),
        ("linux-modules-extra-", Role::Extra, false),
        ("linux-modules-", Role::Modules, false),
    ];
    let (rest, role, unsigned) =
        prefixes.iter().find_map(|(prefix, role, unsigned)| Some((name.strip_prefix(prefix)?, *role, *unsigned)))?;
    let (release, suffixed) = match rest.strip_suffix("-unsigned") {
        Some(release) => (release, true),
        None => (rest, false),
    };
    // Without a digit it is a metapackage that names no kernel.
    let sound = release.starts_with(|c: char| c.is_ascii_digit()) && !release.ends_with("-dbg");
    sound.then_some((role, unsigned || suffixed, release))
}

/// The release in the name of a kernel's package.
pub(in crate::source) fn release_of(name: &str) -> Option<&str> {
    parts(name).map(|(_, _, release)| release)
}

/// Whether a package still is what the manifest asks for, under its own or its siblings' names.
pub(in crate::source) fn matches(globs: &[Pattern], name: &str) -> bool {
    let siblings = release_of(name).map(|release| {
        let prefixes = ["linux-image-", "linux-image-unsigned-", "linux-binary-", "linux-binary-unsigned-"];
        prefixes.map(|prefix| format!("{prefix}{release}"))
    });
    globs.iter().any(|glob| {
        glob.matches(name) || siblings.as_ref().is_some_and(|names| names.iter().any(|name| glob.matches(name)))
    })
}

/// The builds that match, in the order to try: by glob, then the newest first, then by suite as in `suites`.
pub(in crate::source) fn candidates(globs: &[Pattern], suites: &[String], all: &[Package]) -> Vec<KernelPackages> {
    let mut builds: Vec<(&str, &Package)> = Vec::new();
    for glob in globs {
        let mut matching: Vec<(&str, &Package)> = all
            .iter()
            .filter(|package| glob.matches(&package.name))
            .filter_map(|package| match parts(&package.name)? {
                (Role::Image | Role::Binary, _, release) => Some((release, package)),
                _ => None,
            })
            .collect();
        matching.sort_by(|(_, a), (_, b)| {
            let suite = |package: &Package| suites.iter().position(|suite| *suite == package.suite);
            version::compare(&b.version, &a.version)
                .then_with(|| suite(a).cmp(&suite(b)))
                .then_with(|| a.name.cmp(&b.name))
        });
        for (release, package) in matching {
            let known = |(other, of): &(&str, &Package)| {
                *other == release && of.version == package.version && of.suite == package.suite
            };
            if !builds.iter().any(known) {
                builds.push((release, package));
            }
        }
    }
    builds.into_iter().map(|(release, package)| build(release, package, all)).collect()
}

/// The build that consists of these packages of one kernel; `None` if none of them has an image.
pub(in crate::source) fn of_packages(packages: &[Package]) -> Option<KernelPackages> {
    let members = packages.iter().filter_map(|package| {
        let (role, unsigned, _) = parts(&package.name)?;
        Some((role, unsigned, package))
    });
    Some(put_together(members.collect())).filter(|candidate| !candidate.images.is_empty())
}

/// Whether a package follows from the others of its kernel, so that it does not distinguish two builds.
pub(in crate::source) fn follows(name: &str, is_first_binary: bool) -> bool {
    match parts(name) {
        Some((Role::Extra, ..)) => true,
        Some((Role::Modules, ..)) => is_first_binary,
        _ => false,
    }
}

/// Whether a package has the image, and config and modules are elsewhere, as Debian has it.
pub(in crate::source) fn is_binary(name: &str) -> bool {
    matches!(parts(name), Some((Role::Binary, ..)))
}

fn build(release: &str, of: &Package, all: &[Package]) -> KernelPackages {
    let members =
        all.iter().filter(|package| package.version == of.version && package.suite == of.suite).filter_map(|package| {
            match parts(&package.name)? {
                (role, unsigned, its) if its == release => Some((role, unsigned, package)),
                _ => None,
            }
        });
    put_together(members.collect())
}

fn put_together(mut members: Vec<(Role, bool, &Package)>) -> KernelPackages {
    // A binary package beats the empty image package of the same release; signed beats unsigned.
    members.sort_by_key(|(role, unsigned, _)| (Reverse(*role), *unsigned));
    let with =
        |wanted: Role| members.iter().filter(move |(role, ..)| *role == wanted).map(|(.., package)| (*package).clone());
    let binaries: Vec<Package> = with(Role::Binary).collect();
    let (base, modules, extra) = (with(Role::Base).next(), with(Role::Modules).next(), with(Role::Extra).next());
    if !binaries.is_empty() {
        return KernelPackages { images: binaries, split: true, base, modules };
    }
    let images = with(Role::Image).collect();
    KernelPackages { images, split: modules.is_some(), base: modules, modules: extra }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(suite: &str, name: &str, version: &str) -> Package {
        Package { name: name.into(), version: version.into(), suite: suite.into(), sha256: String::new() }
    }

    fn found(globs: &[&str], all: &[Package]) -> Vec<Vec<String>> {
        let globs: Vec<Pattern> = globs.iter().map(|glob| Pattern::new(glob).unwrap()).collect();
        let suites = ["bookworm".to_owned(), "trixie-backports".to_owned()];
        let names = |candidate: KernelPackages| {
            let all = candidate.images.into_iter().chain(candidate.base).chain(candidate.modules);
            all.map(|package| package.name).collect()
        };
        candidates(&globs, &suites, all).into_iter().map(names).collect()
    }

    #[test]
    fn newest_first_signed_first_no_debug_and_no_metapackages() {
        let all = [
            package("bookworm", "linux-image-6.1.0-47-cloud-amd64", "6.1.99-1"),
            package("bookworm", "linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.176-1"),
            package("bookworm", "linux-image-6.1.0-50-cloud-amd64", "6.1.176-1"),
            package("bookworm", "linux-image-6.1.0-50-cloud-amd64-dbg", "6.1.176-1"),
            package("bookworm", "linux-image-cloud-amd64", "6.1.176-1"),
        ];
        let expected = vec![
            vec!["linux-image-6.1.0-50-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64-unsigned"],
            vec!["linux-image-6.1.0-47-cloud-amd64"],
        ];
        assert_eq!(found(&["linux-image-6.1.*-cloud-amd64"], &all), expected);
        assert_eq!(found(&["linux-image-*"], &all), expected);
    }

    #[test]
    fn a_split_kernel_is_put_together_whichever_name_is_given() {
        let suite = "trixie-backports";
        let all = [
            package(suite, "linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            package(suite, "linux-binary-unsigned-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            package(suite, "linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            package(suite, "linux-base-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            package(suite, "linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1"),
            package(suite, "linux-modules-7.3.4+deb13-amd64", "7.3.4-1"),
        ];
        let expected = vec![vec![
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
            "linux-base-7.3.4+deb13-cloud-amd64",
            "linux-modules-7.3.4+deb13-cloud-amd64",
        ]];
        assert_eq!(found(&["linux-image-7.3.*-cloud-amd64"], &all), expected);
        assert_eq!(found(&["linux-binary-7.3.*-cloud-amd64", "linux-image-7.3.*-cloud-amd64"], &all), expected);
        let glob = [Pattern::new("linux-image-7.3.*").unwrap()];
        assert!(matches(&glob, "linux-binary-7.3.4+deb13-cloud-amd64"));
        assert!(!matches(&glob, "linux-binary-7.2.4+deb13-cloud-amd64"));
    }

    #[test]
    fn a_kernel_of_ubuntu_is_put_together() {
        let all = [
            package("bookworm", "linux-image-6.8.0-31-generic", "6.8.0-31.31"),
            package("bookworm", "linux-image-unsigned-6.8.0-31-generic", "6.8.0-31.31"),
            package("bookworm", "linux-modules-6.8.0-31-generic", "6.8.0-31.31"),
            package("bookworm", "linux-modules-extra-6.8.0-31-generic", "6.8.0-31.31"),
            package("bookworm", "linux-modules-6.8.0-31-lowlatency", "6.8.0-31.31"),
            package("bookworm", "linux-image-generic", "6.8.0-31.31"),
        ];
        let expected = vec![vec![
            "linux-image-6.8.0-31-generic",
            "linux-image-unsigned-6.8.0-31-generic",
            "linux-modules-6.8.0-31-generic",
            "linux-modules-extra-6.8.0-31-generic",
        ]];
        assert_eq!(found(&["linux-image-6.8.*-generic"], &all), expected);
        assert_eq!(found(&["linux-image-unsigned-6.8.*-generic"], &all), expected);
        let pinned = of_packages(&[all[1].clone(), all[2].clone()]).unwrap();
        assert!(pinned.split && pinned.modules.is_none());
        assert_eq!(pinned.base.unwrap().name, "linux-modules-6.8.0-31-generic");
        assert_eq!(of_packages(&all[2..3]), None);
    }

    #[test]
    fn the_first_glob_wins_over_a_newer_version() {
        let all = [
            package("bookworm", "linux-image-6.1.0-50-amd64", "6.1.176-1"),
            package("bookworm", "linux-image-6.1.0-47-cloud-amd64", "6.1.99-1"),
        ];
        let globs = ["linux-image-6.1.*-cloud-amd64", "linux-image-6.1.*-amd64"];
        assert_eq!(found(&globs, &all), [["linux-image-6.1.0-47-cloud-amd64"], ["linux-image-6.1.0-50-amd64"]]);
    }
}

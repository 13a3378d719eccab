//! [`candidates`]: which packages of a repository make up the kernels that a manifest entry may mean, most preferred first.
//!
//! Red Hat's and Fedora's: `kernel-core` has image and config, `kernel-modules-core` (if there is one) and `kernel-modules` the modules; Oracle's
//! UEK likewise with `kernel-uek-core`. Amazon's, SUSE's, Alpine's and Arch's: one package with all.

use glob::Pattern;

use crate::manifest::{Repository, RepositoryFormat};
use crate::source::repository::listed::{Listed, is_build};
use crate::source::repository::version;

/// Parts of names of packages that hold no image.
const NO_IMAGE: [&str; 12] = [
    "-modules",
    "-devel",
    "-headers",
    "-doc",
    "-debuginfo",
    "-debugsource",
    "-tools",
    "-libs",
    "-firmware",
    "-macros",
    "-matched",
    "-selftests",
];
/// Packages with modules beside that with the image, in the order in which they are needed.
const MODULES: [&str; 2] = ["-modules-core", "-modules"];

/// One build of a kernel, as one repository has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelPackages {
    pub image: Listed,
    /// Packages with modules, if they are not in that with the image.
    pub modules: Vec<Listed>,
}

/// The names of all packages that the kernels of `image` may consist of.
fn module_names(image: &str) -> [String; 2] {
    let base = image.strip_suffix("-core").unwrap_or(image);
    MODULES.map(|ending| format!("{base}{ending}"))
}

/// Whether a package may belong to a kernel that a glob means.
pub(super) fn is_wanted(globs: &[Pattern], listed: &Listed) -> bool {
    let is_here = listed.arch == std::env::consts::ARCH;
    let holds_modules = MODULES.iter().any(|ending| listed.name.ends_with(ending));
    is_here && (holds_modules || globs.iter().any(|glob| listed.is_meant_by(glob)))
}

/// The builds that match, in the order to try: by glob, then the newest first, then by repository as in the manifest.
pub(super) fn candidates(repository: &Repository, globs: &[Pattern], all: &[Listed]) -> Vec<KernelPackages> {
    let mut images: Vec<&Listed> = Vec::new();
    for glob in globs {
        let is_image = |listed: &&Listed| {
            let is_known = images.iter().any(|known| known.name == listed.name && known.version == listed.version);
            listed.arch == std::env::consts::ARCH
                && listed.is_meant_by(glob)
                && repository.build.as_ref().is_none_or(|build| is_build(&listed.version, build))
                && !NO_IMAGE.iter().any(|part| listed.name.contains(part))
                && !is_known
        };
        let mut matching: Vec<&Listed> = all.iter().filter(is_image).collect();
        matching.sort_by(|a, b| {
            version::compare(&b.version, &a.version)
                .then_with(|| a.repository.cmp(&b.repository))
                .then_with(|| a.name.cmp(&b.name))
        });
        matching.dedup_by(|a, b| a.name == b.name && a.version == b.version);
        images.extend(matching);
    }
    images.into_iter().map(|image| put_together(repository, image, all)).collect()
}

/// The build with this image.
pub(super) fn put_together(repository: &Repository, image: &Listed, all: &[Listed]) -> KernelPackages {
    let mut modules = Vec::new();
    if repository.format == RepositoryFormat::Rpm {
        for name in module_names(&image.name) {
            let is_it = |listed: &&Listed| {
                (&listed.name, &listed.version, &listed.arch) == (&name, &image.version, &image.arch)
            };
            let mut found: Vec<&Listed> = all.iter().filter(is_it).collect();
            found.sort_by_key(|listed| listed.repository != image.repository);
            modules.extend(found.first().map(|found| (*found).clone()));
        }
    }
    KernelPackages { image: image.clone(), modules }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(format: RepositoryFormat) -> Repository {
        Repository {
            format,
            addresses: Vec::new(),
            packages: Vec::new(),
            keys: None,
            unsigned_index: false,
            build: None,
        }
    }

    fn listed(name: &str, version: &str, repository: usize) -> Listed {
        Listed {
            name: name.into(),
            version: version.into(),
            arch: std::env::consts::ARCH.into(),
            location: String::new(),
            digest: None,
            signature: None,
            control: None,
            repository,
        }
    }

    fn found(format: RepositoryFormat, globs: &[&str], all: &[Listed]) -> Vec<String> {
        let globs: Vec<Pattern> = globs.iter().map(|glob| Pattern::new(glob).unwrap()).collect();
        let all: Vec<Listed> = all.iter().filter(|listed| is_wanted(&globs, listed)).cloned().collect();
        let names = |build: KernelPackages| {
            let modules: Vec<String> = build.modules.into_iter().map(|listed| listed.name).collect();
            format!("{} in {}: {}", build.image.name_and_version(), build.image.repository, modules.join(" "))
        };
        candidates(&repository(format), &globs, &all).into_iter().map(names).collect()
    }

    #[test]
    fn a_kernel_of_red_hat_is_put_together() {
        let mut other = listed("kernel-core", "5.14.0-999.el9", 0);
        other.arch = "riscv128".into();
        let all = [
            listed("kernel-core", "5.14.0-70.el9", 0),
            listed("kernel-modules", "5.14.0-70.el9", 0),
            listed("kernel-modules", "5.14.0-427.el9", 1),
            listed("kernel-modules-core", "5.14.0-427.el9", 1),
            listed("kernel-core", "5.14.0-427.el9", 1),
            listed("kernel-core", "5.14.0-427.el9", 0),
            listed("kernel-core", "5.14.0-503.el9", 1),
            listed("kernel-modules-extra", "5.14.0-503.el9", 1),
            listed("kernel-debug-modules", "5.14.0-427.el9", 1),
            listed("kernel", "5.14.0-503.el9", 1),
            other,
        ];
        let expected = [
            "kernel-core-5.14.0-503.el9 in 1: ",
            "kernel-core-5.14.0-427.el9 in 0: kernel-modules-core kernel-modules",
            "kernel-core-5.14.0-70.el9 in 0: kernel-modules",
        ];
        assert_eq!(found(RepositoryFormat::Rpm, &["kernel-core"], &all), expected);
        assert_eq!(found(RepositoryFormat::Rpm, &["kernel-core-5.14.0-70.*"], &all), expected[2..]);
        assert_eq!(found(RepositoryFormat::Rpm, &["kernel-modules*"], &all), Vec::<String>::new());
    }

    #[test]
    fn the_first_glob_wins_and_other_formats_have_one_package() {
        let all = [listed("linux-lts", "6.12.31-r0", 0), listed("linux-virt", "6.12.30-r0", 0)];
        let expected = ["linux-virt-6.12.30-r0 in 0: ", "linux-lts-6.12.31-r0 in 0: "];
        assert_eq!(found(RepositoryFormat::Apk, &["linux-virt", "linux-lts"], &all), expected);
    }
}

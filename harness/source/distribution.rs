//! [`Distribution`]: who built a kernel, recognised by its release and its banner, in the words of BTFHub's archive.

/// A distribution, and its version as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distribution {
    /// As the archive calls its directory.
    pub name: &'static str,
    pub version: Option<String>,
}

/// Debian's and Ubuntu's versions by the series of their kernels. Where Ubuntu builds the same series for an older version, the banner says so.
const DEBIAN: [(&str, &str); 4] = [("4.9.", "9"), ("4.19.", "10"), ("5.10.", "11"), ("6.1.", "12")];
const UBUNTU: [(&str, &str); 5] =
    [("4.4.", "16.04"), ("4.15.", "18.04"), ("5.4.", "20.04"), ("5.15.", "22.04"), ("6.8.", "24.04")];

impl Distribution {
    /// `banner` is what follows `Linux version ` in the kernel: its release, who built it where, and its build.
    pub fn of(release: &str, banner: &str) -> Option<Distribution> {
        let by_series = |table: &[(&str, &str)]| {
            let found = table.iter().find(|(series, _)| release.starts_with(series));
            found.map(|(_, version)| (*version).to_owned())
        };
        if let Some(version) = after(release, ".amzn") {
            return Some(Distribution { name: "amzn", version: Some(version) });
        }
        if let Some(version) = after(release, ".fc") {
            return Some(Distribution { name: "fedora", version: Some(version) });
        }
        if let Some(version) = after(release, ".el") {
            // Rebuilds have the release of what they rebuild.
            let name = match () {
                () if banner.contains("centos.org") => "centos",
                () if banner.contains("oracle.com") || release.contains("uek") => "ol",
                () if banner.contains("rockylinux.org") => "rocky",
                () if banner.contains("almalinux.org") => "alma",
                () => "rhel",
            };
            return Some(Distribution { name, version: Some(version) });
        }
        if banner.contains("Ubuntu") {
            let version = banner.split_once('~').and_then(|(_, rest)| two_numbers(rest));
            return Some(Distribution { name: "ubuntu", version: version.or_else(|| by_series(&UBUNTU)) });
        }
        if banner.contains("Debian") || banner.contains("debian.org") {
            return Some(Distribution { name: "debian", version: by_series(&DEBIAN) });
        }
        let is_suse = banner.contains("suse") || banner.contains("geeko@");
        is_suse.then_some(Distribution { name: "sles", version: None })
    }

    /// How well a file of an archive fits, by its path from there: `DISTRO/VERSION/...`.
    pub fn fit(&self, path: &std::path::Path) -> u8 {
        let mut parts = path.iter().map(|part| part.to_string_lossy());
        let is_named = parts.next().is_some_and(|name| name == self.name);
        let is_version = parts.next().is_some_and(|version| Some(&*version) == self.version.as_deref());
        match (is_named, is_version) {
            (true, true) => 2,
            (true, false) => 1,
            (false, _) => 0,
        }
    }
}

/// The number behind a word in a release.
fn after(release: &str, word: &str) -> Option<String> {
    let (_, rest) = release.split_once(word)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// `18.04` of `18.04.1-Ubuntu`.
fn two_numbers(text: &str) -> Option<String> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let (first, second) = (parts.next()?, parts.next()?);
    (first.len() == 2 && second.len() == 2).then(|| format!("{first}.{second}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn builder_of_a_kernel_is_told_by_its_banner_and_release() {
        for (release, banner, name, version) in [
            ("5.4.0-150-generic", "5.4.0-150-generic (buildd@lcy02) #167~18.04.1-Ubuntu SMP", "ubuntu", "18.04"),
            ("5.4.0-150-generic", "5.4.0-150-generic (buildd@lcy02) #167-Ubuntu SMP", "ubuntu", "20.04"),
            ("4.15.0-1-aws", "4.15.0-1-aws (buildd@lgw01) #1-Ubuntu SMP", "ubuntu", "18.04"),
            ("3.10.0-1160.el7.x86_64", "3.10.0 (mockbuild@kbuilder.bsys.centos.org)", "centos", "7"),
            ("3.10.0-1160.el7.x86_64", "3.10.0 (mockbuild@x86-vm.build.eng.bos.redhat.com)", "rhel", "7"),
            ("4.14.35-2047.el7uek.x86_64", "4.14.35 (mockbuild@jenkins)", "ol", "7"),
            ("4.14.355-275.570.amzn2.x86_64", "", "amzn", "2"),
            ("5.3.7-301.fc31.x86_64", "", "fedora", "31"),
            ("4.19.0-17-amd64", "4.19.0-17-amd64 (debian-kernel@lists.debian.org)", "debian", "10"),
        ] {
            let expected = Distribution { name, version: Some(version.to_owned()) };
            assert_eq!(Distribution::of(release, banner), Some(expected), "{release}");
        }
        assert_eq!(Distribution::of("4.12.14-122-default", "4.12.14 (geeko@buildhost)").unwrap().name, "sles");
        assert_eq!(Distribution::of("6.6.0", "6.6.0 (me@here)"), None);
    }

    #[test]
    fn version_counts_more_than_the_name_alone() {
        let ubuntu = Distribution { name: "ubuntu", version: Some("18.04".to_owned()) };
        for (path, fit) in [("ubuntu/18.04/x86_64/x", 2), ("ubuntu/20.04/x86_64/x", 1), ("debian/18.04/x", 0), ("x", 0)]
        {
            assert_eq!(ubuntu.fit(Path::new(path)), fit, "{path}");
        }
    }
}

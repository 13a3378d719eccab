//! Selectors: the words that choose kernels from a [`Manifest`], such as `5.10`, `>=6.1,<6.13`, `latest` or `*-cloud`.

use super::asked_builds::{AskedBuilds, split_builds};
use super::builds::MARK;
use super::condition::{Condition, compared_release, latest, parse};
use super::{KernelSpec, Manifest};
use crate::nearest::nearest;

/// Why a selector chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It is well written and no kernel answers to it.
    #[error("kernel selector `{}` matches no declared kernel", selector.escape_debug())]
    NoMatch {
        /// The selector as given.
        selector: String,
        /// The nearest names, or all names if none is near.
        nearest: Vec<String>,
    },
    /// It cannot be understood.
    #[error("kernel selector `{}` is malformed: {reason}", selector.escape_debug())]
    Malformed {
        /// The selector as given.
        selector: String,
        /// What is wrong, as a lowercase fragment.
        reason: String,
    },
}

impl SelectorError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            SelectorError::NoMatch { nearest, .. } if nearest.is_empty() => {
                "the manifest declares no kernel".to_owned()
            }
            SelectorError::NoMatch { nearest, .. } => {
                format!("the nearest are {}", super::reader::listed(nearest))
            }
            SelectorError::Malformed { .. } => {
                "write a name, a series such as `6.1`, a catalogue name such as `ubuntu:22.04`, a range such as \
    `>=6.1,<6.13`, a glob such as `6.*`, `latest` or `all`; for builds, append `@all`, `@last:5` or a build name"
                    .to_owned()
            }
        })
    }
}

impl Manifest {
    /// The kernels that any of `selectors` chooses, in manifest order and each once; without selectors the default matrix.
    ///
    /// | selector | chooses |
    /// |---|---|
    /// | `5.10` | the kernel of that name, and all whose name is a release of that series |
    /// | `>=6.1,<6.13` | a comma means *and*; a bare series is compared by series, so `<=6.12` includes `6.12.9` |
    /// | `latest` | the kernel with the highest version |
    /// | `all` | every declared kernel |
    /// | `6.*`, `*-cloud` | names that match the glob |
    /// | `ubuntu:22.04` | the kernel of this name in the catalogue, which need not be declared |
    /// | `5.10@last:5`, `el:8@all` | the newest builds of its archive, or all, as [`KernelSpec::builds`] |
    /// | `el:8@4.18.0-553.el8_10` | one build |
    ///
    /// A range compares the release of a kernel: that which `known` gives, else the number in its name, else the series that the catalogue
    /// has for its name. A kernel without any of them (`mine`) is in no range: it matches its name, globs and `all`.
    ///
    /// # Errors
    /// A selector that chooses nothing is an error, since a kernel that is silently left out looks like one that passed.
    pub fn select(
        &self,
        selectors: &[String],
        known: &dyn Fn(&KernelSpec) -> Option<String>,
    ) -> Result<Vec<KernelSpec>, SelectorError> {
        let mut chosen: Vec<Vec<KernelSpec>> = vec![Vec::new(); self.kernels.len()];
        let mut catalogued: Vec<KernelSpec> = Vec::new();
        for selector in selectors {
            // What a bundle declares may be a build.
            if selector.contains(MARK)
                && let Some(at) = self.kernels.iter().position(|kernel| kernel.name == *selector)
            {
                add(&mut chosen[at], self.kernels[at].clone());
                continue;
            }
            let malformed = |reason| SelectorError::Malformed { selector: selector.clone(), reason };
            let (base, builds) = split_builds(selector).map_err(malformed)?;
            let conditions = parse(base, selector)?;
            let is_meant = |kernel: &KernelSpec| {
                let release = || compared_release(&kernel.name, known(kernel).as_deref(), self.series_of(kernel));
                conditions.iter().all(|condition| condition.is_met_by(&kernel.name, &release, &|| self.latest()))
            };
            let meant: Vec<usize> = (0..self.kernels.len()).filter(|&at| is_meant(&self.kernels[at])).collect();
            if meant.is_empty() {
                let [Condition::Name(name, _)] = &conditions[..] else { return Err(self.no_match(selector, base)) };
                let kernel = self.catalogue.kernel(name, &self.path).ok_or_else(|| self.no_match(selector, base))?;
                add(&mut catalogued, kernel.and_then(|kernel| builds.of(&kernel)).map_err(malformed)?);
                continue;
            }
            let (mut refusal, mut is_any) = (None, false);
            for &at in &meant {
                match (builds.of(&self.kernels[at]), &builds) {
                    (Ok(kernel), _) => add(&mut chosen[at], kernel),
                    // Of several kernels some may have but one build.
                    (Err(_), AskedBuilds::Several(_)) if meant.len() > 1 => {
                        add(&mut chosen[at], self.kernels[at].clone())
                    }
                    (Err(reason), _) => {
                        refusal = refusal.or(Some(reason));
                        continue;
                    }
                }
                is_any = true;
            }
            if let (Some(reason), false) = (refusal, is_any) {
                return Err(malformed(reason));
            }
        }
        if selectors.is_empty() {
            for (kernel, chosen) in self.kernels.iter().zip(&mut chosen) {
                if self.matrix.contains(&kernel.name) {
                    chosen.push(kernel.clone());
                }
            }
        }
        Ok(chosen.into_iter().flatten().chain(catalogued).collect())
    }

    /// The kernels that no range can choose, since nothing shows their release, if a selector has one: they are easily missed.
    pub fn beyond_ranges(
        &self,
        selectors: &[String],
        known: &dyn Fn(&KernelSpec) -> Option<String>,
    ) -> Vec<&KernelSpec> {
        let is_range = |selector: &String| {
            let conditions = split_builds(selector).ok().and_then(|(base, _)| parse(base, selector).ok());
            conditions.is_some_and(|all| all.iter().any(Condition::is_of_range))
        };
        if !selectors.iter().any(is_range) {
            return Vec::new();
        }
        let is_beyond = |kernel: &&KernelSpec| {
            compared_release(&kernel.name, known(kernel).as_deref(), self.series_of(kernel)).is_none()
        };
        self.kernels.iter().filter(is_beyond).collect()
    }

    /// The series of a kernel that is declared by a name of the catalogue.
    fn series_of(&self, kernel: &KernelSpec) -> Option<&str> {
        self.catalogue.entry_of(&kernel.name).map(|entry| entry.series.as_str())
    }

    fn no_match(&self, selector: &str, base: &str) -> SelectorError {
        SelectorError::NoMatch { selector: selector.to_owned(), nearest: self.nearest_names(base) }
    }

    /// The kernel with the highest version.
    fn latest(&self) -> Option<&str> {
        latest(self.kernels.iter().map(|kernel| kernel.name.as_str()))
    }

    fn nearest_names(&self, selector: &str) -> Vec<String> {
        let names = || self.kernels.iter().map(|kernel| kernel.name.as_str());
        let word = selector.trim_start_matches(|c: char| "<>=v".contains(c));
        let mut near = nearest(word, names(), 3);
        if near.is_empty() || word.contains(':') {
            near = self.catalogue.nearest(word).into_iter().chain(near).collect();
        }
        if near.is_empty() {
            names().map(str::to_owned).collect()
        } else {
            near.into_iter().map(str::to_owned).collect()
        }
    }
}

/// Each once.
fn add(kernels: &mut Vec<KernelSpec>, kernel: KernelSpec) {
    if !kernels.contains(&kernel) {
        kernels.push(kernel);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::{Builds, Catalogue, Source};
    use super::*;

    const NAMES: [&str; 9] =
        ["5.4", "5.10", "6.1", "6.1-cloud", "6.12-rc3", "6.12", "6.12.107+deb13-amd64", "7.3", "mine"];

    fn manifest() -> Manifest {
        let kernel = |name: &str| KernelSpec {
            name: name.to_owned(),
            source: Source::Mainline { version: "v6.6".to_owned(), mirror: None, keys: None },
            fallbacks: Vec::new(),
            optional: false,
            memory_mib: 1024,
            boot_timeout: Duration::from_secs(20),
            program_timeout: Duration::from_secs(10),
            append: Vec::new(),
            modules: None,
            machine: crate::record::MachineSettings::default(),
            btf: None,
            builds: None,
            btf_archive: None,
        };
        Manifest {
            path: PathBuf::from("kernels.toml"),
            kernels: NAMES.map(kernel).to_vec(),
            matrix: vec!["7.3".to_owned(), "5.10".to_owned()],
            catalogue: Catalogue::load(&PathBuf::from("/no/such/folder"), "").unwrap(),
            profiles: super::super::Profiles::built_in(),
        }
    }

    fn select(selectors: &[&str]) -> Result<Vec<String>, SelectorError> {
        let selectors: Vec<String> = selectors.iter().map(|text| (*text).to_owned()).collect();
        let manifest = manifest();
        Ok(manifest.select(&selectors, &|_| None)?.into_iter().map(|kernel| kernel.name.clone()).collect())
    }

    #[test]
    fn ranges_compare_releases_then_names_then_the_series_of_the_catalogue() {
        let mut manifest = manifest();
        for (at, name) in [(0, "el-8"), (1, "customer")] {
            manifest.kernels[at].name = name.to_owned();
        }
        let chosen = |selector: &str, known: &dyn Fn(&KernelSpec) -> Option<String>| -> Vec<String> {
            let chosen = manifest.select(&[selector.to_owned()], known).unwrap();
            chosen.into_iter().map(|kernel| kernel.name).collect()
        };
        let unknown = |_: &KernelSpec| None;
        assert_eq!(chosen("<5.0", &unknown), ["el-8"], "of the catalogue its series is known");
        assert_eq!(chosen(">=7.0", &unknown), ["7.3"]);
        let known = |kernel: &KernelSpec| match kernel.name.as_str() {
            "customer" => Some("7.2.1-acme".to_owned()),
            "el-8" => Some("5.14.0-503.el9".to_owned()),
            "6.1" => Some("6.1.176".to_owned()),
            _ => None,
        };
        assert_eq!(chosen(">=7.0", &known), ["customer", "7.3"]);
        assert_eq!(chosen("<6.0", &known), ["el-8"]);
        assert_eq!(chosen(">6.1.170,<6.2", &known), ["6.1"]);
        // Names stay names.
        assert_eq!(chosen("6.1", &known), ["6.1", "6.1-cloud"]);
    }

    #[test]
    fn kernels_that_no_range_can_choose_are_known() {
        let manifest = manifest();
        let beyond = |selector: &str, known: &dyn Fn(&KernelSpec) -> Option<String>| -> Vec<String> {
            let beyond = manifest.beyond_ranges(&["6.1".to_owned(), selector.to_owned()], known);
            beyond.into_iter().map(|kernel| kernel.name.clone()).collect()
        };
        assert_eq!(beyond(">=6.1", &|_| None), ["mine"]);
        assert_eq!(beyond("*-cloud,<7", &|_| None), [""; 0], "`7` is no release");
        assert_eq!(beyond("6.*", &|_| None), [""; 0]);
        assert_eq!(beyond(">=6.1", &|_| Some("6.2.0".to_owned())), [""; 0]);
    }

    #[test]
    fn selectors_choose_what_they_say() {
        let series_6_12: &[&str] = &["6.12-rc3", "6.12", "6.12.107+deb13-amd64"];
        let table: &[(&[&str], &[&str])] = &[
            (&[], &["5.10", "7.3"]),
            (&["5.10"], &["5.10"]),
            (&["v5.10"], &["5.10"]),
            (&["6.1"], &["6.1", "6.1-cloud"]),
            (&["6.12"], series_6_12),
            (&["6.12.107+deb13-amd64"], &["6.12.107+deb13-amd64"]),
            (&["=6.12"], series_6_12),
            (&["<=5.10"], &["5.4", "5.10"]),
            (&["<6.1"], &["5.4", "5.10"]),
            (&[">6.12"], &["7.3"]),
            (&[">6.12.5"], &["6.12.107+deb13-amd64", "7.3"]),
            (&[">=6.1,<6.13"], &["6.1", "6.1-cloud", "6.12-rc3", "6.12", "6.12.107+deb13-amd64"]),
            (&[" >= 6.1 , < 6.12 "], &["6.1", "6.1-cloud"]),
            (&[">=6.1,*-cloud"], &["6.1-cloud"]),
            (&["latest"], &["7.3"]),
            (&["all"], &NAMES),
            (&["5.*"], &["5.4", "5.10"]),
            (&["*-cloud"], &["6.1-cloud"]),
            (&["5.[14]*"], &["5.4", "5.10"]),
            (&["mine"], &["mine"]),
            (&["m*"], &["mine"]),
            (&["7.3", "5.4", "7.*"], &["5.4", "7.3"]),
            (&["ubuntu:24.04/hwe", "mine", "ubuntu:24.04/hwe"], &["mine", "ubuntu-24.04-hwe"]),
            (&["mainline:6.6"], &["mainline-6.6"]),
            (&["mainline:6.6@6.6.9"], &["mainline-6.6@6.6.9"]),
            (&["el:8@4.18.0-553.el8_10", "el:8"], &["el-8@4.18.0-553.el8_10", "el-8"]),
            (&["el-9@all"], &["el-9"]),
        ];
        for (selectors, expected) in table {
            assert_eq!(select(selectors).as_deref(), Ok(expected.map_strings().as_slice()), "{selectors:?}");
        }
    }

    trait MapStrings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl MapStrings for &[&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn nothing_chosen_is_an_error_that_names_the_selector() {
        let error = select(&["ubunto:22.04"]).unwrap_err();
        assert!(error.hint().unwrap().starts_with("the nearest are `ubuntu:22.04`"), "{:?}", error.hint());
        for selector in ["5.12", "mien", ">7.3", ">=6.1,<6.1", "x*", "6.1,5.4"] {
            let error = select(&["5.4", selector]).unwrap_err();
            assert!(matches!(&error, SelectorError::NoMatch { selector: named, .. } if named == selector), "{error}");
        }
        let error = select(&["mien"]).unwrap_err();
        assert_eq!(error.to_string(), "kernel selector `mien` matches no declared kernel");
        assert_eq!(error.hint().unwrap(), "the nearest are `mine`");
        // Nothing is near, so all are listed.
        assert!(select(&["frobnicate"]).unwrap_err().hint().unwrap().contains("`5.4`, `5.10`"));
    }

    #[test]
    fn builds_are_asked_for_behind_a_mark() {
        let select = |selector: &str| manifest().select(&[selector.to_owned()], &|_| None);
        let builds =
            |selector: &str| select(selector).unwrap().into_iter().map(|kernel| kernel.builds).collect::<Vec<_>>();
        assert_eq!(builds("ubuntu:22.04@last:5"), [Some(Builds::Last(5))]);
        assert_eq!(builds("el-8@all"), [Some(Builds::All)]);
        // Kernels of the manifest are of one version each here.
        assert_eq!(builds("6.*@all"), [None; 5]);
        for one_build in ["5.10@all", "5.10@5.10.3", "6.*@6.6"] {
            let error = select(one_build).unwrap_err();
            assert!(error.to_string().contains("has one build"), "{error}");
        }
    }

    #[test]
    fn malformed_selectors_say_why() {
        for selector in
            ["", ",", ">=6.1,", ">=", ">=mine", "=<6.1", "[", "6.[1", "6.1@", "6.1@last:0", "6.1@last", "@all"]
        {
            let error = select(&[selector]).unwrap_err();
            assert!(matches!(error, SelectorError::Malformed { .. }), "{selector}: {error}");
            assert!(error.hint().is_some());
        }
    }
}

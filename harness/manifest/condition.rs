//! [`Condition`]: what a selector asks of one kernel, and the release that ranges compare.

use std::cmp::Ordering;

use super::builds::split_name;
use super::catalogue::declared_name;
use super::release::KernelRelease;
use super::selector::SelectorError;

/// One condition; a selector is several with commas between, and a kernel has to meet all of them.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    All,
    Latest,
    /// The kernel's release stands to this one in one of these orders.
    Compare(KernelRelease, &'static [Ordering]),
    Glob(glob::Pattern),
    /// The kernel has this name, or this series if it is one.
    Name(String, Option<(u32, u32)>),
}

/// Longest first, since `>` begins `>=` as well.
const OPERATORS: [(&str, &[Ordering]); 5] = [
    (">=", &[Ordering::Greater, Ordering::Equal]),
    ("<=", &[Ordering::Less, Ordering::Equal]),
    (">", &[Ordering::Greater]),
    ("<", &[Ordering::Less]),
    ("=", &[Ordering::Equal]),
];

/// The release that a range compares, for `--kernel` and for `kernel` of an `[[expect]]` alike: that which the kernel called `name` is known to
/// have, else the number in its name, else its `series`. Without any of them the kernel is in no range.
pub(super) fn compared_release(name: &str, known: Option<&str>, series: Option<&str>) -> Option<KernelRelease> {
    let known = known.and_then(|release| release.parse().ok());
    known.or_else(|| release_in(name)).or_else(|| series?.parse().ok())
}

/// The release in the name of a kernel, or of a build of one.
fn release_in(name: &str) -> Option<KernelRelease> {
    let (kernel, build) = split_name(name);
    build.and_then(|build| build.parse().ok()).or_else(|| kernel.parse().ok())
}

impl Condition {
    /// Whether the kernel `name` meets it. `release` gives its [`compared_release`], `latest` the name with the highest version of all.
    pub fn is_met_by<'a>(
        &self,
        name: &str,
        release: &dyn Fn() -> Option<KernelRelease>,
        latest: &dyn Fn() -> Option<&'a str>,
    ) -> bool {
        let kernel = split_name(name).0;
        match self {
            Condition::All => true,
            Condition::Latest => latest() == Some(name),
            Condition::Compare(bound, orders) => release().is_some_and(|release| {
                let order = match bound.is_series() {
                    true => release.series().cmp(&bound.series()),
                    false => release.cmp(bound),
                };
                orders.contains(&order)
            }),
            Condition::Glob(pattern) => pattern.matches(name),
            Condition::Name(known, series) => {
                kernel == known
                    || kernel == declared_name(known)
                    || (series.is_some() && release_in(name).map(|release| release.series()) == *series)
            }
        }
    }

    /// Whether it is a condition of a range.
    pub fn is_of_range(&self) -> bool {
        matches!(self, Condition::Compare(..))
    }
}

/// The name with the highest version.
pub(super) fn latest<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let versioned = names.filter_map(|name| Some((release_in(name)?, name)));
    versioned.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, name)| name)
}

/// Reads the conditions in `base`, which is `selector` but for what it says of builds.
pub(super) fn parse(base: &str, selector: &str) -> Result<Vec<Condition>, SelectorError> {
    let malformed = |reason: String| SelectorError::Malformed { selector: selector.to_owned(), reason };
    base.split(',').map(|text| condition(text.trim()).map_err(malformed)).collect()
}

/// Reads one condition; the error is a lowercase fragment.
fn condition(text: &str) -> Result<Condition, String> {
    for (operator, orders) in OPERATORS {
        if let Some(bound) = text.strip_prefix(operator) {
            let bound = bound.trim().parse::<KernelRelease>().map_err(|error| error.to_string())?;
            return Ok(Condition::Compare(bound, orders));
        }
    }
    match text {
        "" => Err("a condition is empty".to_owned()),
        "all" => Ok(Condition::All),
        "latest" => Ok(Condition::Latest),
        _ if text.contains(['*', '?', '[']) => {
            glob::Pattern::new(text).map(Condition::Glob).map_err(|error| format!("bad glob: {}", error.msg))
        }
        _ => {
            let release = text.parse::<KernelRelease>().ok().filter(KernelRelease::is_series);
            Ok(Condition::Name(text.to_owned(), release.map(|release| release.series())))
        }
    }
}

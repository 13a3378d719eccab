//! [`AskedBuilds`]: which builds of a kernel a selector asks for.

use super::KernelSpec;
use super::builds::{Builds, MARK, split_name};

/// What a selector says of builds, behind its `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AskedBuilds {
    /// Nothing.
    Unsaid,
    Several(Builds),
    One(String),
}

impl AskedBuilds {
    /// The kernel with these builds; the error is a lowercase fragment.
    pub(super) fn of(&self, kernel: &KernelSpec) -> Result<KernelSpec, String> {
        match self {
            AskedBuilds::Unsaid => Ok(kernel.clone()),
            AskedBuilds::One(build) => kernel.build(build),
            AskedBuilds::Several(_) if !kernel.has_builds() => {
                Err(format!("kernel `{}` has one build: {}", kernel.name, kernel.source))
            }
            AskedBuilds::Several(builds) => Ok(KernelSpec { builds: Some(*builds), ..kernel.clone() }),
        }
    }
}

/// Splits what a selector says of builds from it; the error is a lowercase fragment.
pub(super) fn split_builds(selector: &str) -> Result<(&str, AskedBuilds), String> {
    let (base, Some(builds)) = split_name(selector) else { return Ok((selector, AskedBuilds::Unsaid)) };
    let builds = builds.trim();
    let is_several = builds == "all" || builds.starts_with("last");
    if builds.is_empty() || builds.contains([MARK, ',']) {
        return Err(format!("no build name after the `{MARK}`"));
    }
    Ok((base, if is_several { AskedBuilds::Several(builds.parse()?) } else { AskedBuilds::One(builds.to_owned()) }))
}

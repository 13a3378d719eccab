//! [`Project::learn_builds`]: which builds the kernels stand for that are requested as `NAME@last:5`, pinned in `kernels.lock`.

use std::fmt;

use super::error::MatrixError;
use super::project::Project;
use crate::manifest::{Builds, KernelSpec, MOST_BUILDS, split_name};
use crate::source::AvailableKernel;

/// What has changed in a list of builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedBuilds {
    /// What was asked for: `el-8@last:5`.
    pub asked: String,
    /// Builds that are new in it, oldest first.
    pub added: Vec<String>,
    /// Builds that are no longer in it.
    pub dropped: Vec<String>,
}

/// Builds that could not be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBuilds {
    /// What was asked for: `el-8@last:5`.
    pub asked: String,
    /// Why, as a lowercase fragment.
    pub reason: String,
}

impl fmt::Display for MovedBuilds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [("new", &self.added), ("no longer", &self.dropped)]
            .into_iter()
            .filter(|(_, builds)| !builds.is_empty())
            .map(|(word, builds)| format!("{word} {}", builds.join(", ")));
        write!(f, "{}: {}", self.asked, words.collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Display for UnknownBuilds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: its builds were not searched: {}", self.asked, self.reason)
    }
}

impl Project {
    /// Pins the builds of kernels that selectors choose with `@last:5` or `@all`, as far as none are pinned and their archives answer. Where
    /// one does not answer, the kernel stays one column, which says so.
    ///
    /// # Errors
    /// [`MatrixError::Selector`], [`MatrixError::TooManyBuilds`], [`MatrixError::Store`].
    pub fn learn_builds(&self, selectors: &[String], offline: bool, say: &dyn Fn(String)) -> Result<(), MatrixError> {
        if offline {
            return Ok(());
        }
        for spec in self.select(selectors)? {
            if spec.builds.is_some() && self.lock.builds(&spec.name_with_builds()).is_none() {
                match self.pin_builds(&spec, false, say) {
                    // The run asks again for the kernel, and reports it.
                    Err(MatrixError::Store(error)) if error.is_unavailable() => {}
                    pinned => drop(pinned?),
                }
            }
        }
        Ok(())
    }

    /// Pins the builds of these kernels as their archives list them now. Returns what changed, and of each that could not be asked why.
    ///
    /// # Errors
    /// As [`Project::learn_builds`].
    pub fn update_builds(
        &self,
        selectors: &[String],
        say: &dyn Fn(String),
    ) -> Result<(Vec<MovedBuilds>, Vec<UnknownBuilds>), MatrixError> {
        let (mut moved, mut failed) = (Vec::new(), Vec::new());
        for spec in self.select(selectors)?.into_iter().filter(|spec| spec.builds.is_some()) {
            match self.pin_builds(&spec, true, say) {
                Ok(changed) => moved.extend(changed),
                Err(MatrixError::Store(error)) if error.is_unavailable() => {
                    failed.push(UnknownBuilds { asked: spec.name_with_builds(), reason: error.reason() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((moved, failed))
    }

    /// The kernels that selectors choose, all their builds among them, in the order of the manifest; the builds of each oldest first. Nothing
    /// is pinned, and there is no limit.
    ///
    /// # Errors
    /// [`MatrixError::Selector`]; [`MatrixError::Store`] if the builds of a kernel cannot be asked for.
    pub fn offers(
        &self,
        selectors: &[String],
        offline: bool,
        say: &dyn Fn(String),
    ) -> Result<Vec<AvailableKernel>, MatrixError> {
        let mut offers = Vec::new();
        for spec in self.select(selectors)? {
            let asked = spec.builds.filter(|_| !offline);
            let Some(builds) = asked else {
                let version = |spec: &KernelSpec| split_name(&spec.name).1.unwrap_or(&spec.name).to_owned();
                let known = self.each_build(&spec).into_iter();
                offers.extend(known.map(|spec| AvailableKernel { version: version(&spec), spec }));
                continue;
            };
            let mut found = self.store.builds(&spec, &self.lock, false, say)?;
            if let Builds::Last(count) = builds {
                found.drain(..found.len().saturating_sub(count));
            }
            offers.extend(found);
        }
        Ok(offers)
    }

    fn pin_builds(
        &self,
        spec: &KernelSpec,
        anew: bool,
        say: &dyn Fn(String),
    ) -> Result<Option<MovedBuilds>, MatrixError> {
        let asked = spec.name_with_builds();
        let found = newest(self.store.builds(spec, &self.lock, anew, say)?, spec)?;
        let prefix = format!("{}@", spec.name);
        let builds: Vec<String> =
            found.iter().filter_map(|build| build.spec.name.strip_prefix(&prefix)).map(str::to_owned).collect();
        let before = self.lock.builds(&asked);
        self.lock.set_builds(&asked, &builds)?;
        let before = before.unwrap_or_default();
        let only = |one: &[String], other: &[String]| one.iter().filter(|it| !other.contains(it)).cloned().collect();
        let (added, dropped): (Vec<String>, Vec<String>) = (only(&builds, &before), only(&before, &builds));
        Ok((!added.is_empty() || !dropped.is_empty()).then_some(MovedBuilds { asked, added, dropped }))
    }

    /// The builds that stand for a kernel; the kernel itself if nothing is said of builds, or as long as none are pinned.
    pub fn each_build(&self, spec: &KernelSpec) -> Vec<KernelSpec> {
        let builds = spec.builds.and_then(|_| self.lock.builds(&spec.name_with_builds())).unwrap_or_default();
        let builds: Vec<KernelSpec> = builds.iter().filter_map(|build| spec.build(build).ok()).collect();
        match builds.is_empty() {
            true => vec![KernelSpec { name: spec.name_with_builds(), ..spec.clone() }],
            false => builds,
        }
    }
}

/// Those that are requested.
fn newest(mut builds: Vec<AvailableKernel>, spec: &KernelSpec) -> Result<Vec<AvailableKernel>, MatrixError> {
    match spec.builds {
        Some(Builds::Last(count)) => Ok(builds.split_off(builds.len().saturating_sub(count))),
        _ if builds.len() > MOST_BUILDS => {
            Err(MatrixError::TooManyBuilds { kernel: spec.name.clone(), found: builds.len() })
        }
        _ => Ok(builds),
    }
}

//! [`assign`]: which loaders judge which object.

use std::path::PathBuf;

use super::{ALL, BY_PROFILE, KNOWN, LIBBPF, Loader, LoaderError, Recognised};
use crate::record::LoaderChoice;

/// What judges an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignedLoader {
    /// libbpf, which is linked into the guest.
    Libbpf,
    /// An executable.
    Executable(Loader),
    /// libbpf instead of a library, by what that is known to do; the name of its loader.
    Profile(String),
}

/// The loaders that judge an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedLoaders {
    /// In order. With more than one, each gets a separate row.
    pub loaders: Vec<AssignedLoader>,
    /// Why these.
    pub chosen: LoaderChoice,
}

impl AssignedLoader {
    /// Its name: `libbpf`, `aya`, `aya-profile`.
    pub fn name(&self) -> String {
        match self {
            AssignedLoader::Libbpf => LIBBPF.to_owned(),
            AssignedLoader::Executable(loader) => loader.name.clone(),
            AssignedLoader::Profile(name) => format!("{name}{BY_PROFILE}"),
        }
    }
}

impl AssignedLoaders {
    /// The rows of an object that has the row `of` with the first loader: one for each other loader.
    pub fn other_rows(&self, of: &str) -> Vec<String> {
        self.loaders.iter().skip(1).map(|loader| format!("{of}@{}", loader.name())).collect()
    }
}

/// The loaders of an object: those that the command line names, else the one that a suite names, else that of the object's own tool
/// chain. `None` for libbpf, because nothing says otherwise. A known library whose loader is not built is judged by its profile.
///
/// # Errors
/// A loader of the user's is not there.
pub fn assign(
    asked: &[String],
    suite: Option<&str>,
    recognised: Option<Recognised>,
    folders: &[PathBuf],
) -> Result<Option<AssignedLoaders>, LoaderError> {
    if !asked.is_empty() {
        return Ok(Some(AssignedLoaders { loaders: named(asked, folders)?, chosen: LoaderChoice::Option }));
    }
    if let Some(name) = suite {
        return Ok(Some(AssignedLoaders { loaders: vec![one(name, folders)?], chosen: LoaderChoice::Suite }));
    }
    let Some(Recognised { loader, how }) = recognised else { return Ok(None) };
    let loaders = vec![one(loader, folders)?];
    Ok(Some(AssignedLoaders { loaders, chosen: LoaderChoice::Recognised { how } }))
}

fn named(asked: &[String], folders: &[PathBuf]) -> Result<Vec<AssignedLoader>, LoaderError> {
    let all = [LIBBPF].into_iter().chain(KNOWN).map(str::to_owned);
    let names: Vec<String> = asked
        .iter()
        .flat_map(|name| match name.as_str() {
            ALL => all.clone().collect(),
            _ => vec![name.clone()],
        })
        .collect();
    let mut loaders: Vec<AssignedLoader> = Vec::new();
    for name in &names {
        let loader = one(name, folders)?;
        if loaders.iter().any(|known| known.name() == loader.name()) {
            return Err(LoaderError::Twice { name: name.clone() });
        }
        loaders.push(loader);
    }
    Ok(loaders)
}

/// The loader of this name.
///
/// # Errors
/// It is the user's, and not there.
pub fn one(name: &str, folders: &[PathBuf]) -> Result<AssignedLoader, LoaderError> {
    let by_profile = name.strip_suffix(BY_PROFILE).filter(|library| KNOWN.contains(library));
    match (name, by_profile) {
        (LIBBPF, _) => Ok(AssignedLoader::Libbpf),
        (_, Some(library)) => Ok(AssignedLoader::Profile(library.to_owned())),
        _ => match Loader::find(name, folders) {
            Ok(loader) => Ok(AssignedLoader::Executable(loader)),
            Err(LoaderError::Missing { name, .. }) if KNOWN.contains(&name.as_str()) => {
                Ok(AssignedLoader::Profile(name))
            }
            Err(error) => Err(error),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("aya"), b"\x7fELF").unwrap();
        let folders = vec![folder.path().to_owned()];
        (folder, folders)
    }

    fn names(assigned: Option<AssignedLoaders>) -> Vec<String> {
        assigned.unwrap().loaders.iter().map(AssignedLoader::name).collect()
    }

    #[test]
    fn the_command_line_comes_before_the_suite_and_the_suite_before_what_is_recognised() {
        let (_folder, folders) = folders();
        let recognised = || Some(Recognised { loader: "aya", how: "so".to_owned() });
        let asked = assign(&["libbpf".into()], Some("aya"), recognised(), &folders).unwrap();
        assert_eq!(names(asked), ["libbpf"]);
        let assigned = assign(&[], Some("libbpf"), recognised(), &folders).unwrap();
        assert_eq!(assigned.unwrap().chosen, LoaderChoice::Suite);
        let assigned = assign(&[], None, recognised(), &folders).unwrap();
        assert_eq!(assigned.unwrap().chosen, LoaderChoice::Recognised { how: "so".to_owned() });
        assert_eq!(assign(&[], None, None, &folders).unwrap(), None);
    }

    #[test]
    fn libraries_whose_loaders_are_not_built_are_judged_by_profile() {
        let (_folder, folders) = folders();
        let all = assign(&["all".into()], None, None, &folders).unwrap();
        assert_eq!(names(all), ["libbpf", "cilium-ebpf-profile", "aya"]);
        let both = assign(&["aya".into(), "aya-profile".into()], None, None, &folders).unwrap();
        assert_eq!(names(both), ["aya", "aya-profile"]);
        let twice = ["aya".to_owned(), "aya".to_owned()];
        assert!(matches!(assign(&twice, None, None, &folders), Err(LoaderError::Twice { .. })));
        assert!(matches!(assign(&["./mine".into()], None, None, &folders), Err(LoaderError::Unreadable { .. })));
        assert!(matches!(assign(&["ayaa".into()], None, None, &folders), Err(LoaderError::Missing { .. })));
    }
}

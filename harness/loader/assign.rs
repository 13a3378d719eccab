//! [`assign`]: which loaders judge which object.

use std::path::PathBuf;

use super::{ALL, KNOWN, LIBBPF, Loader, LoaderError, Recognised};
use crate::record::LoaderChoice;

/// The loaders that judge an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedLoaders {
    /// In order; `None` is libbpf. With more than one, each gets a row of its own.
    pub loaders: Vec<Option<Loader>>,
    /// Why these.
    pub chosen: LoaderChoice,
}

impl AssignedLoaders {
    /// The rows of an object that has the row `of` with the first loader: one for each other loader.
    pub fn other_rows(&self, of: &str) -> Vec<String> {
        let name = |loader: &Option<Loader>| loader.as_ref().map_or(LIBBPF.to_owned(), |loader| loader.name.clone());
        self.loaders.iter().skip(1).map(|loader| format!("{of}@{}", name(loader))).collect()
    }
}

/// The loaders of an object: those that the command line names, else the one that a suite names, else that of the object's own tool
/// chain. `None` for libbpf, because nothing says otherwise.
///
/// # Errors
/// A loader that is named is not there. One that is only recognised may be missing: the answer says so in its second part then.
pub fn assign(
    asked: &[String],
    suite: Option<&str>,
    recognised: Option<Recognised>,
    folders: &[PathBuf],
) -> Result<(Option<AssignedLoaders>, Option<String>), LoaderError> {
    if !asked.is_empty() {
        return Ok((Some(AssignedLoaders { loaders: named(asked, folders)?, chosen: LoaderChoice::Option }), None));
    }
    if let Some(name) = suite {
        let loaders = vec![one(name, folders)?];
        return Ok((Some(AssignedLoaders { loaders, chosen: LoaderChoice::Suite }), None));
    }
    let Some(Recognised { loader, how }) = recognised else { return Ok((None, None)) };
    match Loader::find(loader, folders) {
        Ok(found) => {
            let chosen = LoaderChoice::Recognised { how };
            Ok((Some(AssignedLoaders { loaders: vec![Some(found)], chosen }), None))
        }
        Err(error) => Ok((None, Some(format!("is made for {loader} ({how}) and judged as libbpf loads it: {error}")))),
    }
}

fn named(asked: &[String], folders: &[PathBuf]) -> Result<Vec<Option<Loader>>, LoaderError> {
    if asked.iter().any(|name| name == ALL) {
        let mut loaders = vec![None];
        // Those that are not built are not there; without any there is nothing to compare.
        loaders.extend(KNOWN.iter().filter_map(|name| Loader::find(name, folders).ok()).map(Some));
        if loaders.len() == 1 {
            return Err(LoaderError::Missing { name: KNOWN[0].to_owned(), folders: folders.to_vec() });
        }
        return Ok(loaders);
    }
    let mut loaders: Vec<Option<Loader>> = Vec::new();
    for name in asked {
        let loader = one(name, folders)?;
        if loaders.contains(&loader) {
            return Err(LoaderError::Twice { name: name.clone() });
        }
        loaders.push(loader);
    }
    Ok(loaders)
}

fn one(name: &str, folders: &[PathBuf]) -> Result<Option<Loader>, LoaderError> {
    match name {
        LIBBPF => Ok(None),
        name => Loader::find(name, folders).map(Some),
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

    fn names(assigned: &AssignedLoaders) -> Vec<&str> {
        assigned.loaders.iter().map(|loader| loader.as_ref().map_or(LIBBPF, |loader| &loader.name)).collect()
    }

    #[test]
    fn the_command_line_comes_before_the_suite_and_the_suite_before_what_is_recognised() {
        let (_folder, folders) = folders();
        let recognised = || Some(Recognised { loader: "aya", how: "so".to_owned() });
        let (assigned, note) = assign(&["libbpf".into()], Some("aya"), recognised(), &folders).unwrap();
        assert_eq!((names(&assigned.unwrap()), note), (vec![LIBBPF], None));
        let (assigned, _) = assign(&[], Some("libbpf"), recognised(), &folders).unwrap();
        assert_eq!(assigned.unwrap().chosen, LoaderChoice::Suite);
        let (assigned, _) = assign(&[], None, recognised(), &folders).unwrap();
        assert_eq!(assigned.unwrap().chosen, LoaderChoice::Recognised { how: "so".to_owned() });
        assert_eq!(assign(&[], None, None, &folders).unwrap(), (None, None));
    }

    #[test]
    fn all_loaders_are_those_that_there_are() {
        let (_folder, folders) = folders();
        let (assigned, _) = assign(&["all".into()], None, None, &folders).unwrap();
        assert_eq!(names(&assigned.unwrap()), [LIBBPF, "aya"]);
        assert!(matches!(assign(&["all".into()], None, None, &[]), Err(LoaderError::Missing { .. })));
        let twice = ["aya".to_owned(), "aya".to_owned()];
        assert!(matches!(assign(&twice, None, None, &folders), Err(LoaderError::Twice { .. })));
    }

    #[test]
    fn a_loader_that_is_only_recognised_may_be_missing() {
        let recognised = Some(Recognised { loader: "cilium-ebpf", how: "so".to_owned() });
        let (assigned, note) = assign(&[], None, recognised, &[]).unwrap();
        assert_eq!(assigned, None);
        assert!(note.unwrap().contains("judged as libbpf loads it"));
    }
}

//! [`PlannedLoader`]: the loader that judges an object, and the rows of an object that several loaders judge.

use std::collections::BTreeMap;

use super::PlannedObject;
use crate::loader::{AssignedLoader, AssignedLoaders, Loader, Profile, profile};
use crate::record::{LoaderChoice, LoaderRecord};

/// The loader that judges an object.
#[derive(Debug, Clone)]
pub struct PlannedLoader {
    /// Its name.
    pub name: String,
    /// Its executable; `None` for libbpf in its place, by profile.
    pub executable: Option<Loader>,
    /// Why this one.
    pub chosen: LoaderChoice,
    /// The programs that the library refuses by its profile, with its words.
    pub refused: BTreeMap<String, String>,
    /// Why it refuses the object as a whole by its profile, if it does.
    pub refused_whole: Option<String>,
    /// Whether by its profile it creates every map before it loads a program.
    pub needs_all_maps: bool,
}

impl PlannedLoader {
    /// What the record says of it.
    pub(super) fn record(&self) -> LoaderRecord {
        let sha256 = self.executable.as_ref().map(|loader| loader.sha256.clone());
        LoaderRecord { name: self.name.clone(), sha256, chosen: self.chosen.clone() }
    }

    /// Why the library refuses a program by its profile, in its words.
    pub fn refuses(&self, program: &str) -> Option<&str> {
        self.refused_whole.as_deref().or_else(|| self.refused.get(program).map(String::as_str))
    }
}

/// The rows of an object that these loaders judge: the first has the object's name, the others their own behind it. `plan` plans the
/// object as it is, or as a profile has libbpf make it.
pub(super) fn rows(
    assigned: Option<&AssignedLoaders>,
    object: &crate::object::BpfObject,
    plan: impl Fn(Option<&Profile>) -> PlannedObject,
) -> Vec<PlannedObject> {
    let Some(assigned) = assigned else { return vec![plan(None)] };
    let planned = |loader: &AssignedLoader| {
        let chosen = assigned.chosen.clone();
        let mut planner = PlannedLoader {
            name: String::new(),
            executable: None,
            chosen,
            refused: BTreeMap::new(),
            refused_whole: None,
            needs_all_maps: false,
        };
        match loader {
            AssignedLoader::Libbpf => plan(None),
            AssignedLoader::Executable(loader) => {
                planner.name.clone_from(&loader.name);
                planner.executable = Some(loader.clone());
                PlannedObject { loader: Some(planner), ..plan(None) }
            }
            AssignedLoader::Profile(name) => {
                let known = profile(name, object);
                planner.name.clone_from(name);
                if let Some(known) = &known {
                    planner.refused.clone_from(&known.refused);
                    planner.refused_whole.clone_from(&known.refused_whole);
                    planner.needs_all_maps = known.needs_all_maps;
                }
                PlannedObject { loader: Some(planner), ..plan(known.as_ref()) }
            }
        }
    };
    let mut rows: Vec<PlannedObject> = assigned.loaders.iter().map(planned).collect();
    let Some(of) = rows.first().map(|first| first.object.name.clone()) else { return rows };
    for (row, name) in rows.iter_mut().skip(1).zip(assigned.other_rows(&of)) {
        row.object.name = name;
        row.beside = Some(of.clone());
    }
    rows
}

//! [`PlannedLoader`]: the loader that judges an object, and the rows of an object that several loaders judge.

use super::PlannedObject;
use crate::loader::{AssignedLoader, AssignedLoaders, Loader, Profile, depends_on_reach, profile};
use crate::record::{LoaderChoice, LoaderRecord};

/// The loader that judges an object.
#[derive(Debug, Clone)]
pub struct PlannedLoader {
    /// Its name.
    pub name: String,
    /// Its executable; `None` where libbpf replaces it, by profile.
    pub executable: Option<Loader>,
    /// Why this one.
    pub chosen: LoaderChoice,
    /// What the library is known to do, for libbpf, which replaces it.
    pub profile: Profile,
}

impl PlannedLoader {
    /// What the record says of it.
    pub(super) fn record(&self) -> LoaderRecord {
        let sha256 = self.executable.as_ref().map(|loader| loader.sha256.clone());
        LoaderRecord { name: self.name.clone(), sha256, chosen: self.chosen.clone() }
    }
}

impl PlannedObject {
    /// Whether it depends on the instructions that a program runs what the library would have done, in whose place libbpf loads it.
    pub(super) fn depends_on_reach(&self, program: &str) -> bool {
        let Some(loader) = self.loader.as_ref().filter(|loader| loader.executable.is_none()) else { return false };
        let is_program = |function: &str| self.programs.iter().any(|known| known.name == function);
        // Who calls a subprogram is known when it is linked.
        let runs = |function: &str| function == program || !is_program(function);
        self.relocations().iter().any(|asked| runs(&asked.function) && depends_on_reach(&loader.name, asked))
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
        let mut planner = PlannedLoader { name: String::new(), executable: None, chosen, profile: Profile::default() };
        match loader {
            AssignedLoader::Libbpf => plan(None),
            AssignedLoader::Executable(loader) => {
                planner.name.clone_from(&loader.name);
                planner.executable = Some(loader.clone());
                PlannedObject { loader: Some(planner), ..plan(None) }
            }
            AssignedLoader::Profile(name) => {
                // What a suite sets of it the library finds set.
                let known = profile(name, &plan(None).object);
                planner.name.clone_from(name);
                let planned = plan(known.as_ref());
                planner.profile = known.unwrap_or_default();
                if let Ok(inventory) = &object.inventory {
                    planner.profile = planner.profile.with_replacements(name, inventory, &planned.loading);
                }
                PlannedObject { loader: Some(planner), ..planned }
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

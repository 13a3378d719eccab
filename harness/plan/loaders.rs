//! [`PlannedLoader`]: the loader that judges an object, and the rows of an object that several loaders judge.

use super::PlannedObject;
use crate::loader::{AssignedLoaders, Loader};
use crate::record::{LoaderChoice, LoaderRecord};

/// The loader that judges an object.
#[derive(Debug, Clone)]
pub struct PlannedLoader {
    /// The loader.
    pub loader: Loader,
    /// Why this one.
    pub chosen: LoaderChoice,
}

impl PlannedLoader {
    /// What the record says of it.
    pub(super) fn record(&self) -> LoaderRecord {
        let Loader { name, sha256, .. } = &self.loader;
        LoaderRecord { name: name.clone(), sha256: sha256.clone(), chosen: self.chosen.clone() }
    }
}

/// The rows of an object that these loaders judge: the first has the object's name, the others their own behind it.
pub(super) fn rows(object: PlannedObject, assigned: Option<&AssignedLoaders>) -> Vec<PlannedObject> {
    let Some(assigned) = assigned else { return vec![object] };
    let of = object.object.name.clone();
    let planned = |loader: &Option<Loader>| {
        loader.clone().map(|loader| PlannedLoader { loader, chosen: assigned.chosen.clone() })
    };
    let others = assigned.other_rows(&of);
    let mut loaders = assigned.loaders.iter();
    let first = PlannedObject { loader: loaders.next().and_then(planned), ..object };
    let other = |(loader, name): (&Option<Loader>, String)| {
        let mut row = PlannedObject { loader: planned(loader), beside: Some(of.clone()), ..first.clone() };
        row.object.name = name;
        row
    };
    let others: Vec<PlannedObject> = loaders.zip(others).map(other).collect();
    std::iter::once(first).chain(others).collect()
}

//! [`PlannedReuse`]: a map that an object is given instead of one of its own, and what guests need to create it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PlannedObject;
use super::types::PATH;
use crate::object::{BpfObject, Inventory};
use crate::protocol::{HostMessage, ReusedMap};
use crate::record::{LoadingRecord, MapDefinition, MapLoading, MapReuse};
use crate::suite::Settings;

/// Maps that reuse maps that reuse maps are followed this far.
const MOST_STEPS: usize = 16;

/// A map that an object is given in place of one of its own.
#[derive(Debug, Clone)]
pub struct PlannedReuse {
    /// The object's map.
    map: String,
    /// The object that declares the map to be created, as libbpf can open it; `None` for the object itself.
    object: Option<Arc<[u8]>>,
    /// The map that is declared there.
    source: String,
    /// What is set of it.
    loading: Vec<MapLoading>,
    extern_users: BTreeMap<String, Vec<String>>,
}

/// What suites say that the loader of an object does to it.
pub(super) fn loading_of(settings: &Settings, object: &str) -> LoadingRecord {
    let loading = settings.loading.iter().filter(|(of, _)| *of == object);
    loading.fold(LoadingRecord::default(), |mut all, (_, one)| {
        all.add(one);
        all
    })
}

/// Finds the maps that the loader of `object` gives it, and writes their definitions to `loading`.
pub(super) fn resolve(
    object: &BpfObject,
    loading: &mut LoadingRecord,
    all: &[BpfObject],
    settings: &Settings,
) -> Vec<PlannedReuse> {
    let mut found: Vec<PlannedReuse> = Vec::new();
    for one in &mut loading.maps {
        let Some(reuse) = &mut one.reuse else { continue };
        let planned = match &reuse.of {
            None => of_definition(object, &one.map, reuse),
            // Suites name only what there is.
            Some(of) => match of_other(&one.map, of, all, settings) {
                Some((planned, definition)) => {
                    reuse.definition = definition;
                    planned
                }
                None => continue,
            },
        };
        found.retain(|known| known.map != one.map);
        found.push(planned);
    }
    found
}

/// A map as the object declares it, but for what the suite says.
fn of_definition(object: &BpfObject, map: &str, reuse: &MapReuse) -> PlannedReuse {
    let set = MapLoading { map: map.to_owned(), definition: reuse.definition.clone(), ..MapLoading::default() };
    let extern_users = object.inventory.as_ref().map(Inventory::extern_users).unwrap_or_default();
    PlannedReuse { map: map.to_owned(), object: None, source: map.to_owned(), loading: vec![set], extern_users }
}

/// The map `of`, `OBJECT/MAP`, as its own loader makes it, and its definition.
fn of_other(map: &str, of: &str, all: &[BpfObject], settings: &Settings) -> Option<(PlannedReuse, MapDefinition)> {
    let mut of = of.to_owned();
    let (mut object, mut loading) = (None, LoadingRecord::default());
    for _ in 0..MOST_STEPS {
        let (name, source) = of.rsplit_once('/')?;
        object = Some((all.iter().find(|object| object.name == name)?, source.to_owned()));
        loading = loading_of(settings, name);
        match loading.reuse_of(source).and_then(|reuse| reuse.of.clone()) {
            Some(next) => of = next,
            None => break,
        }
    }
    let (object, source) = object?;
    let completed = object.completed(&loading);
    let inventory = completed.as_ref().map(|(_, inventory, _)| inventory).or(object.inventory.as_ref().ok())?;
    let extern_users = inventory.extern_users();
    let mut declared = inventory.maps.iter().find(|map| map.name == source)?.clone();
    let bytes = completed.as_ref().map_or_else(|| object.bytes.clone(), |(bytes, ..)| bytes.clone());
    let mut set: Vec<MapLoading> = loading.maps.into_iter().filter(|one| one.map == source).collect();
    for one in &mut set {
        // One that is like another, which is created from a definition.
        let reused = one.reuse.take();
        declared.set(one);
        if let Some(reuse) = reused {
            one.definition = reuse.definition;
            declared.set(one);
        }
        // Only the map itself is needed.
        one.pinning = None;
    }
    let planned = PlannedReuse { map: map.to_owned(), object: Some(bytes), source, loading: set, extern_users };
    Some((planned, declared.definition()))
}

impl PlannedReuse {
    /// The file of its object in the guest.
    fn path(&self, number: usize) -> Option<String> {
        self.object.as_ref().map(|_| format!("/corematrix/reused/{number}.bpf.o"))
    }
}

impl PlannedObject {
    /// The maps that guests create for it.
    pub(super) fn reused_maps(&self) -> Vec<ReusedMap> {
        let sent = |(number, one): (usize, &PlannedReuse)| ReusedMap {
            map: one.map.clone(),
            object: one.path(number),
            source: one.source.clone(),
            loading: one.loading.clone(),
            extern_users: one.extern_users.clone(),
        };
        self.reused.iter().enumerate().map(sent).collect()
    }

    /// Whether it is given this map, and creates none of its own.
    pub fn reuses(&self, map: &str) -> bool {
        self.reused.iter().any(|one| one.map == map)
    }

    /// The files that a guest needs beside the object, each with what makes it.
    pub fn files(&self) -> Vec<(HostMessage, Arc<[u8]>)> {
        let file = |(number, one): (usize, &PlannedReuse)| {
            let make = HostMessage::File { path: one.path(number)?, mode: 0o644 };
            Some((make, one.object.clone()?))
        };
        let types = self.types.iter().map(|types| {
            let make = HostMessage::File { path: PATH.to_owned(), mode: 0o644 };
            (make, Arc::clone(&types.raw))
        });
        self.reused
            .iter()
            .enumerate()
            .filter_map(file)
            .chain(types)
            .chain(self.target_files())
            .chain(self.upgrade_file())
            .chain(self.baseline_file())
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::find_objects;
    use crate::plan::Plan;

    fn reuse(map: &str, of: Option<&str>, max_entries: Option<u32>) -> MapLoading {
        let definition = MapDefinition { max_entries, ..MapDefinition::default() };
        let reuse = Some(MapReuse { of: of.map(str::to_owned), definition });
        MapLoading { map: map.to_owned(), reuse, ..MapLoading::default() }
    }

    #[test]
    fn a_map_is_found_as_its_own_loader_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["first", "second", "third"] {
            let bytes = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
            std::fs::write(folder.path().join(format!("{name}.bpf.o")), bytes).unwrap();
        }
        let objects = find_objects(&[folder.path().to_owned()]).unwrap().objects;
        let declared = objects[0].inventory.as_ref().unwrap().maps[0].definition();
        let set = |object: &str, maps: Vec<MapLoading>| {
            (object.to_owned(), LoadingRecord { maps, ..LoadingRecord::default() })
        };
        let sized = MapLoading {
            map: "counts".into(),
            definition: MapDefinition { max_entries: Some(7), ..MapDefinition::default() },
            pinning: Some("by-name".into()),
            ..MapLoading::default()
        };
        let loading = vec![
            set("first", vec![reuse("counts", Some("second/counts"), None)]),
            set("second", vec![reuse("counts", Some("third/counts"), None)]),
            set("third", vec![sized]),
        ];
        let settings = Settings { loading, ..Settings::default() };
        let plan = Plan::new(Vec::new(), objects, &settings);
        for object in &plan.objects[..2] {
            assert!(object.reuses("counts") && !object.reuses("events"));
            let definition = &object.loading.reuse_of("counts").unwrap().definition;
            assert_eq!(*definition, MapDefinition { max_entries: Some(7), ..declared.clone() });
            let map = &object.object.inventory.as_ref().unwrap().maps[0];
            assert_eq!(map.max_entries, Some(7), "its memory is estimated without the reused map");
            let sent = object.setup().reused;
            assert_eq!((sent[0].object.as_deref(), &*sent[0].source), (Some("/corematrix/reused/0.bpf.o"), "counts"));
            assert_eq!((sent[0].loading[0].definition.max_entries, &sent[0].loading[0].pinning), (Some(7), &None));
            assert_eq!(object.files().len(), 1);
        }
        assert!(!plan.objects[2].reuses("counts") && plan.objects[2].files().is_empty());
    }

    #[test]
    fn a_definition_needs_no_other_object() {
        let bytes = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.bpf.o"), bytes).unwrap();
        let objects = find_objects(&[folder.path().to_owned()]).unwrap().objects;
        let maps = vec![reuse("counts", None, Some(3))];
        let loading = vec![("one".to_owned(), LoadingRecord { maps, ..LoadingRecord::default() })];
        let plan = Plan::new(Vec::new(), objects, &Settings { loading, ..Settings::default() });
        let sent = plan.objects[0].setup().reused;
        assert_eq!((&sent[0].object, sent[0].loading[0].definition.max_entries), (&None, Some(3)));
        assert!(plan.objects[0].files().is_empty());
    }
}

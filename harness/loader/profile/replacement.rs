//! [`incompatible`]: maps that an object is given and cilium/ebpf does not take, which compares them with the object's own definitions.

use super::completion;
use crate::object::{Inventory, MapInfo};
use crate::record::{LoadingRecord, MapDefinition, MapLoading};

/// The maps that it refuses, and its words.
pub(super) fn incompatible(inventory: &Inventory, loading: &LoadingRecord) -> Vec<(String, String)> {
    let checked = inventory.maps.iter().filter_map(|map| {
        let reuse = loading.reuse_of(&map.name)?;
        let set = |map: &mut MapInfo, definition: &MapDefinition| {
            map.set(&MapLoading { definition: definition.clone(), ..MapLoading::default() });
        };
        let mut own = map.clone();
        loading.maps.iter().filter(|one| one.map == map.name).for_each(|one| set(&mut own, &one.definition));
        let mut given = own.clone();
        set(&mut given, &reuse.definition);
        // The flags of another object's map are known to be none, too.
        if reuse.of.is_some() {
            given.flags = reuse.definition.map_flags.unwrap_or_default();
        }
        let completed = completion(&own);
        set(&mut own, &completed);
        // Whoever created the other one has set its entries only if nothing else did.
        let entries = given.max_entries.filter(|entries| *entries > 0);
        let completed = completion(&given);
        set(&mut given, &MapDefinition { max_entries: entries.or(completed.max_entries), ..completed });
        let differences = differences(&given, &own);
        let words = || {
            format!(
                "using replacement map {}: {}: map spec is incompatible with existing map",
                map.name,
                differences.join(", ")
            )
        };
        (!differences.is_empty()).then(|| (map.name.clone(), words()))
    });
    checked.collect()
}

/// What differs, in the library's words but for the names of types.
fn differences(given: &MapInfo, own: &MapInfo) -> Vec<String> {
    let kind = |map: &MapInfo| map.map_type.clone().unwrap_or_default();
    let numbers = [
        ("KeySize", given.key_size.unwrap_or_default(), own.key_size.unwrap_or_default()),
        ("ValueSize", given.value_size.unwrap_or_default(), own.value_size.unwrap_or_default()),
        ("MaxEntries", given.max_entries.unwrap_or_default(), own.max_entries.unwrap_or_default()),
        ("Flags", given.flags, own.flags),
    ];
    let kinds = (kind(given) != kind(own)).then(|| format!("Type: {} changed to {}", kind(given), kind(own)));
    let numbers = numbers.into_iter().filter(|(_, given, own)| given != own);
    kinds.into_iter().chain(numbers.map(|(name, given, own)| format!("{name}: {given} changed to {own}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MapReuse;

    fn refused(map: &MapInfo, reuse: MapReuse) -> Vec<(String, String)> {
        let inventory = Inventory { maps: vec![map.clone()], ..Inventory::default() };
        let given = MapLoading { map: map.name.clone(), reuse: Some(reuse), ..MapLoading::default() };
        incompatible(&inventory, &LoadingRecord { maps: vec![given], ..LoadingRecord::default() })
    }

    fn sized(max_entries: u32) -> MapDefinition {
        MapDefinition { max_entries: Some(max_entries), ..MapDefinition::default() }
    }

    #[test]
    fn maps_of_another_definition_are_refused() {
        let map = MapInfo {
            name: "m".to_owned(),
            map_type: Some("hash".to_owned()),
            key_size: Some(4),
            value_size: Some(8),
            max_entries: Some(64),
            ..MapInfo::default()
        };
        let words = "using replacement map m: MaxEntries: 32 changed to 64: map spec is incompatible with existing map";
        assert_eq!(refused(&map, MapReuse { of: None, definition: sized(32) }), [("m".to_owned(), words.to_owned())]);
        assert!(refused(&map, MapReuse { of: None, definition: sized(64) }).is_empty());
        let of = Some("other/m".to_owned());
        assert!(refused(&map, MapReuse { of: of.clone(), definition: map.definition() }).is_empty());
        let unpreallocated = MapInfo { flags: 1, ..map.clone() };
        let flagless = MapReuse { of, definition: map.definition() };
        assert!(refused(&unpreallocated, flagless)[0].1.contains("Flags: 0 changed to 1"));
    }

    #[test]
    fn what_the_library_completes_is_compared_completed() {
        let map = MapInfo { name: "m".to_owned(), map_type: Some("perf_event_array".to_owned()), ..MapInfo::default() };
        assert!(refused(&map, MapReuse { of: None, definition: MapDefinition::default() }).is_empty());
        let words = &refused(&map, MapReuse { of: None, definition: sized(4096) })[0].1;
        assert!(words.contains("m: MaxEntries: 4096 changed to 1: "), "{words}");
    }
}

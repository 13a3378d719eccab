//! [`record()`]: what a guest saw of the maps of two builds of an object, as the record keeps it.

use crate::plan::PlannedUpgrade;
use crate::protocol::upgrade::{NewMap, OldMap, UpgradeFacts};
use crate::record::{MapData, MapDefinition, MapFate, MapUpgrade, UpgradeRecord};

/// What libbpf says where the pinned map is not what the object asks for.
const NOT_REUSED: &str = "couldn't reuse pinned map";

/// Concludes what became of each map.
pub(super) fn record(upgrade: &PlannedUpgrade, facts: &UpgradeFacts, whole: Option<&str>) -> UpgradeRecord {
    let from = upgrade.name().to_owned();
    if let Some(problem) = &facts.failed {
        return UpgradeRecord { from, problem: Some(problem.clone()), maps: Vec::new() };
    }
    let Some(new) = &facts.new else {
        let why = whole.unwrap_or("libbpf gives no reason");
        let problem = Some(format!("the newer object cannot be prepared: {why}"));
        return UpgradeRecord { from, problem, maps: Vec::new() };
    };
    let mut maps: Vec<MapUpgrade> = new
        .iter()
        .map(|new| match facts.old.iter().find(|old| old.map == new.map) {
            Some(old) => of_both(old, new, upgrade.misread.get(&new.map)),
            None if new.id.is_none() => plain(&new.map, MapFate::NotCreated, new.problem.first().cloned()),
            None => plain(&new.map, MapFate::New, None),
        })
        .collect();
    let gone = facts.old.iter().filter(|old| old.pin.is_some() && !new.iter().any(|new| new.map == old.map));
    maps.extend(gone.map(|old| {
        let pin = old.pin.as_deref().unwrap_or_default();
        plain(&old.map, MapFate::Gone, Some(format!("it stays pinned at {pin}")))
    }));
    UpgradeRecord { from, problem: None, maps }
}

fn plain(map: &str, fate: MapFate, reason: Option<String>) -> MapUpgrade {
    MapUpgrade { map: map.to_owned(), fate, reason, data: None, misread: Vec::new() }
}

fn of_both(old: &OldMap, new: &NewMap, misread: Option<&Vec<String>>) -> MapUpgrade {
    if let Some(problem) = &old.problem {
        return plain(&old.map, MapFate::NotCreated, Some(format!("of the older object: {problem}")));
    }
    let Some(pin) = &old.pin else {
        return plain(&old.map, MapFate::NotPinned, None);
    };
    let refusal = new.problem.iter().find(|line| line.contains(NOT_REUSED));
    match (refusal, new.id) {
        (Some(said), _) => {
            let differs = differs(&old.definition, &new.definition);
            let reason = if differs.is_empty() { said.trim().to_owned() } else { differs.join(", ") };
            plain(&old.map, MapFate::Refused, Some(reason))
        }
        (None, None) => plain(&old.map, MapFate::NotCreated, new.problem.first().cloned()),
        (None, id) if id == old.id => {
            let misread = misread.cloned().unwrap_or_default();
            MapUpgrade { data: data(old, new), misread, ..plain(&old.map, MapFate::Reused, None) }
        }
        (None, _) => {
            let reason = match &new.pin {
                None => format!("the newer object does not pin it; the old map stays pinned at {pin}"),
                Some(path) if path == pin => format!("another map is pinned at {pin}"),
                Some(path) => format!("it is now pinned at {path}; the old map stays pinned at {pin}"),
            };
            MapUpgrade { data: data(old, new), ..plain(&old.map, MapFate::Recreated, Some(reason)) }
        }
    }
}

fn data(old: &OldMap, new: &NewMap) -> Option<MapData> {
    if let Some(reason) = &old.not_filled {
        return Some(MapData::NotFilled { reason: reason.clone() });
    }
    let entries = old.values.len();
    let same = |(before, after): &(&String, &Option<String>)| after.as_ref() == Some(*before);
    let kept = old.values.iter().zip(&new.values).filter(same).count();
    match (entries, kept == entries) {
        (0, _) => Some(MapData::NotFilled { reason: "it accepted no entry".to_owned() }),
        (_, true) => Some(MapData::Survives { entries }),
        (_, false) => Some(MapData::Lost { kept, entries }),
    }
}

/// The parameters in which two definitions differ: `value_size 16 -> 24`.
fn differs(old: &MapDefinition, new: &MapDefinition) -> Vec<String> {
    let kinds = (old.map_type.as_deref().unwrap_or("unknown"), new.map_type.as_deref().unwrap_or("unknown"));
    let kind = (kinds.0 != kinds.1).then(|| format!("type {} -> {}", kinds.0, kinds.1));
    let numbers = [
        ("key_size", old.key_size, new.key_size),
        ("value_size", old.value_size, new.value_size),
        ("max_entries", old.max_entries, new.max_entries),
        ("map_flags", old.map_flags, new.map_flags),
    ];
    let number = |(name, old, new): (&str, Option<u32>, Option<u32>)| {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        (old != new).then(|| format!("{name} {old} -> {new}"))
    };
    kind.into_iter().chain(numbers.into_iter().filter_map(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(pin: Option<&str>, values: &[&str]) -> OldMap {
        OldMap {
            map: "m".to_owned(),
            pin: pin.map(str::to_owned),
            id: Some(7),
            definition: MapDefinition {
                value_size: Some(16),
                map_type: Some("hash".to_owned()),
                ..MapDefinition::default()
            },
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ..OldMap::default()
        }
    }

    fn new(id: Option<u32>, values: &[Option<&str>]) -> NewMap {
        NewMap {
            map: "m".to_owned(),
            id,
            definition: MapDefinition {
                value_size: Some(24),
                map_type: Some("hash".to_owned()),
                ..MapDefinition::default()
            },
            values: values.iter().map(|value| value.map(str::to_owned)).collect(),
            ..NewMap::default()
        }
    }

    #[test]
    fn fates_follow_from_numbers_pins_and_words() {
        let misread = vec!["`a` at offset 0 is read as `b`".to_owned()];
        let pin = Some("/sys/fs/bpf/m");
        let told = |old: &OldMap, new: &NewMap| {
            let one = of_both(old, new, Some(&misread));
            let data = one.data.as_ref().map_or(String::new(), MapData::to_string);
            let reason = one.reason.clone().unwrap_or_default();
            format!("{}: {reason}; {data}; {}; {}", one.fate.label(), one.misread.len(), one.is_trouble())
        };
        let refused = NewMap {
            problem: vec![
                "map 'm': failed to create: -EINVAL".to_owned(),
                "couldn't reuse pinned map at '/sys/fs/bpf/m': parameter mismatch".to_owned(),
            ],
            ..new(None, &[])
        };
        let elsewhere = NewMap { pin: Some("/sys/fs/bpf/n".to_owned()), ..new(Some(8), &[]) };
        let unfilled = OldMap { not_filled: Some("it passes data on".to_owned()), ..old(pin, &[]) };
        let failed = NewMap { problem: vec!["map 'm': failed to create: -E2BIG".to_owned()], ..new(None, &[]) };
        insta::assert_snapshot!([
            told(&old(pin, &["x", "y"]), &new(Some(7), &[Some("x"), Some("y")])),
            told(&old(pin, &["x", "y"]), &new(Some(7), &[Some("x"), None])),
            told(&old(pin, &["x"]), &new(Some(8), &[None])),
            told(&old(pin, &["x"]), &elsewhere),
            told(&old(pin, &["x"]), &refused),
            told(&old(pin, &["x"]), &failed),
            told(&unfilled, &new(Some(7), &[])),
            told(&old(None, &["x"]), &new(Some(8), &[])),
        ].join("\n"), @"
        reused: ; 2 entries survive; 1; true
        reused: ; 1 of 2 entries survive; 1; true
        recreated: the newer object does not pin it; the old map stays pinned at /sys/fs/bpf/m; the only entry is lost; 0; true
        recreated: it is now pinned at /sys/fs/bpf/n; the old map stays pinned at /sys/fs/bpf/m; the only entry is lost; 0; true
        refused: value_size 16 -> 24; ; 0; true
        not created: map 'm': failed to create: -E2BIG; ; 0; false
        reused: ; data not checked: it passes data on; 1; true
        not pinned: ; ; 0; false
        ");
    }
}

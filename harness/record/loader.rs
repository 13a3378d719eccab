//! [`LoaderRecord`]: the loader that an object is judged with, if not libbpf; and [`LoaderEvidence`], what it did on one kernel.

use serde::{Deserialize, Serialize};

use crate::MapDefinition;

/// The loader that an object is judged with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoaderRecord {
    /// `cilium-ebpf`, `aya`, or the file name of another.
    pub name: String,
    /// SHA-256 of its executable, in hex; `None` where libbpf does what the library is known to do: by profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why this one.
    pub chosen: LoaderChoice,
}

impl LoaderRecord {
    /// Whether libbpf does what the library is known to do, and the library itself was not asked.
    pub fn is_by_profile(&self) -> bool {
        self.sha256.is_none()
    }

    /// Its name, and whether it is by profile.
    pub fn label(&self) -> String {
        if self.is_by_profile() { format!("{} by profile", self.name) } else { self.name.clone() }
    }
}

/// Why an object is judged with a loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum LoaderChoice {
    /// The command line says so.
    Option,
    /// A suite says so.
    Suite,
    /// The object shows whose it is.
    Recognised {
        /// By what, as a lowercase fragment.
        how: String,
    },
}

/// What a loader other than libbpf did on one kernel, as its calls of `bpf(2)` show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoaderEvidence {
    /// The library, in its own words: `cilium/ebpf`.
    pub library: String,
    /// Its version; empty if it does not say.
    pub version: String,
    /// The object's maps as the loader had them created, in that order; each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<CreatedMap>,
}

impl LoaderEvidence {
    /// The library with its version, then what it made another of: `map `m`: max_entries = 1 instead of max_entries = 0`.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![format!("{} {}", self.library, self.version).trim_end().to_owned()];
        for map in &self.maps {
            let change =
                |[declared, created]: &[String; 2]| format!("map `{}`: {created} instead of {declared}", map.map);
            words.extend(map.changes.iter().map(change));
        }
        words
    }
}

/// A map that a loader had created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedMap {
    /// Its name.
    pub map: String,
    /// What the kernel was asked for.
    pub definition: MapDefinition,
    /// Likewise, the map that those in it are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<MapDefinition>,
    /// What the loader made another of, as pairs of words: `max_entries = 0`, `max_entries = 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<[String; 2]>,
    /// Why the kernel refused, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

impl CreatedMap {
    /// What the kernel was asked for: `max_entries = 4096`, `inner.type = "hash"`.
    pub fn settings(&self) -> Vec<String> {
        let inner = self.inner.iter().flat_map(MapDefinition::settings).map(|setting| format!("inner.{setting}"));
        self.definition.settings().chain(inner).collect()
    }

    /// Notes what the loader made another of; `declared` is what the object says. What it leaves out is 0.
    pub fn note_changes(&mut self, declared: &MapDefinition) {
        let number = |name: &'static str, declared: Option<u32>, created: Option<u32>| {
            let (declared, created) = (declared.unwrap_or_default(), created.unwrap_or_default());
            (declared != created).then(|| [format!("{name} = {declared}"), format!("{name} = {created}")])
        };
        let MapDefinition { key_size, value_size, max_entries, map_flags, .. } = &self.definition;
        self.changes = [
            number("key_size", declared.key_size, *key_size),
            number("value_size", declared.value_size, *value_size),
            number("max_entries", declared.max_entries, *max_entries),
            number("map_flags", declared.map_flags, *map_flags),
        ]
        .into_iter()
        .flatten()
        .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loader_changes_is_noted() {
        let created = MapDefinition { max_entries: Some(1), key_size: Some(4), ..MapDefinition::default() };
        let mut map = CreatedMap { map: "m".to_owned(), definition: created, ..CreatedMap::default() };
        map.note_changes(&MapDefinition { key_size: Some(4), ..MapDefinition::default() });
        assert_eq!(map.changes, [["max_entries = 0".to_owned(), "max_entries = 1".to_owned()]]);
        assert_eq!(map.settings(), ["key_size = 4", "max_entries = 1"]);
    }
}

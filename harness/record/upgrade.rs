//! [`UpgradeRecord`]: what happened to the maps of an older object when a newer one was loaded over their pins.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maps of an older object and of the one that took its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpgradeRecord {
    /// The older object's name.
    pub from: String,
    /// Why nothing is known, as a lowercase fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Each map of either object, but for those that libbpf makes of variables.
    pub maps: Vec<MapUpgrade>,
}

/// What happened to one map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MapUpgrade {
    /// Its name.
    pub map: String,
    /// What happened to it.
    pub fate: MapFate,
    /// Why, as a lowercase fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened to what was in it; `None` if there was nothing to survive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<MapData>,
    /// What the newer object reads instead of something else, as lowercase fragments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misread: Vec<String>,
}

/// What happened to a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MapFate {
    /// The newer object uses the same map.
    Reused,
    /// The newer object has another map of that name, and the pinned one is left.
    Recreated,
    /// libbpf refused to reuse the pinned map.
    Refused,
    /// Only the newer object has it.
    New,
    /// Only the older object has it; its pin stays.
    Gone,
    /// The older object does not pin it, so that nothing of it outlives its process.
    NotPinned,
    /// One of the two could not be created on this kernel.
    NotCreated,
}

impl MapFate {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            MapFate::Reused => "reused",
            MapFate::Recreated => "recreated",
            MapFate::Refused => "refused",
            MapFate::New => "new",
            MapFate::Gone => "gone",
            MapFate::NotPinned => "not pinned",
            MapFate::NotCreated => "not created",
        }
    }
}

/// What happened to the data of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MapData {
    /// Every entry that was put into it reads the same.
    Survives {
        /// How many.
        entries: usize,
    },
    /// Entries are missing or read something else.
    Lost {
        /// How many read the same.
        kept: usize,
        /// How many there were.
        entries: usize,
    },
    /// It was not filled, so that nothing is known.
    NotFilled {
        /// Why, as a lowercase fragment.
        reason: String,
    },
}

impl fmt::Display for MapData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapData::Survives { entries: 1 } => write!(f, "1 entry survives"),
            MapData::Survives { entries } => write!(f, "{entries} entries survive"),
            MapData::Lost { entries: 1, .. } => write!(f, "the only entry is lost"),
            MapData::Lost { kept: 0, entries } => write!(f, "all {entries} entries are lost"),
            MapData::Lost { kept, entries } => write!(f, "{kept} of {entries} entries survive"),
            MapData::NotFilled { reason } => write!(f, "data not checked: {reason}"),
        }
    }
}

impl MapUpgrade {
    /// Whether someone has to act: the newer object does not go on with what the older one left, or misreads it.
    pub fn is_trouble(&self) -> bool {
        matches!(self.fate, MapFate::Recreated | MapFate::Refused)
            || matches!(self.data, Some(MapData::Lost { .. }))
            || !self.misread.is_empty()
    }
}

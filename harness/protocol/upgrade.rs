//! [`UpgradeFrom`]: the older object whose maps an object finds pinned. [`UpgradeFacts`]: what a guest saw of those maps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use corematrix_record::{MapDefinition, MapLoading};

/// The older object, whose maps are created, pinned and filled before the object itself is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeFrom {
    /// Its file in the guest.
    pub object: String,
    /// Its name.
    pub name: String,
    /// What is set of its maps before they are created, pins included.
    pub loading: Vec<MapLoading>,
    /// The programs that refer to each of its strong externs.
    pub extern_users: BTreeMap<String, Vec<String>>,
}

/// What a guest saw of the maps of both objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeFacts {
    /// Why nothing could be tried, as a lowercase fragment.
    pub failed: Option<String>,
    /// The maps of the older object.
    pub old: Vec<OldMap>,
    /// Those of the newer one; `None` if it could not be prepared.
    pub new: Option<Vec<NewMap>>,
}

/// A map of the older object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldMap {
    /// Its name.
    pub map: String,
    /// Where it is pinned; `None` if it is not.
    pub pin: Option<String>,
    /// Its number in the kernel; `None` if it was not created.
    pub id: Option<u32>,
    /// What it is.
    pub definition: MapDefinition,
    /// Why it was not created, in libbpf's words.
    pub problem: Option<String>,
    /// Checksums of the values that were put into it and read back, in the order of their keys or of the queue.
    pub values: Vec<String>,
    /// Why it was not filled, as a lowercase fragment.
    pub not_filled: Option<String>,
}

/// A map of the newer object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMap {
    /// Its name.
    pub map: String,
    /// Where it is pinned; `None` if it is not.
    pub pin: Option<String>,
    /// Its number in the kernel; `None` if there is none.
    pub id: Option<u32>,
    /// What the object asks for.
    pub definition: MapDefinition,
    /// libbpf's words where it was left out.
    pub problem: Vec<String>,
    /// Checksums of what is found in the places of the older map's values; `None` where there is nothing.
    pub values: Vec<Option<String>>,
}

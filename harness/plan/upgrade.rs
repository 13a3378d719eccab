//! [`PlannedUpgrade`]: the older build of an object, whose maps it finds pinned.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PlannedObject;
use crate::object::{MapInfo, misread_values};
use crate::protocol::HostMessage;
use crate::protocol::upgrade::UpgradeFrom;
use crate::record::{MapLoading, NOT_PINNED, PINNED_BY_NAME};

/// The file of the older object in the guest.
const FILE: &str = "/corematrix/upgrade/old.bpf.o";

/// The older build of an object.
#[derive(Debug, Clone)]
pub struct PlannedUpgrade {
    /// What a guest does with it.
    from: UpgradeFrom,
    /// It, as libbpf can open it.
    bytes: Arc<[u8]>,
    /// The maps of the newer object that are pinned by their names, though it does not say so.
    pins: Vec<MapLoading>,
    /// What the newer object misreads of the older one's data, by map.
    pub misread: BTreeMap<String, Vec<String>>,
}

impl PlannedUpgrade {
    /// The older object's name.
    pub fn name(&self) -> &str {
        &self.from.name
    }
}

impl PlannedObject {
    /// The file of the older build in a guest, and its content.
    pub(super) fn upgrade_file(&self) -> Option<(HostMessage, Arc<[u8]>)> {
        let upgrade = self.upgrade.as_ref()?;
        let make = HostMessage::File { path: upgrade.from.object.clone(), mode: 0o644 };
        Some((make, Arc::clone(&upgrade.bytes)))
    }

    /// What a guest does with the older build, and what it pins of the newer one.
    pub(super) fn upgrade_setup(&self) -> (Option<UpgradeFrom>, &[MapLoading]) {
        let upgrade = self.upgrade.as_ref();
        (upgrade.map(|upgrade| upgrade.from.clone()), upgrade.map_or(&[], |upgrade| &upgrade.pins))
    }

    /// Lets the object find the maps of an older build of it. With `pin_all` every map that they declare is pinned by its name. Returns whether
    /// the older build pins any.
    pub fn upgrades(&mut self, old: &PlannedObject, pin_all: bool) -> bool {
        let mut loading = old.loading.maps.clone();
        let mut pins = Vec::new();
        if pin_all {
            loading.extend(pins_by_name(old));
            pins = pins_by_name(self);
        }
        let inventory = old.object.inventory.as_ref().ok();
        let pinned = inventory.iter().flat_map(|inventory| &inventory.maps).any(|map| map.pinning != 0);
        let is_pinned = |one: &MapLoading| one.pinning.as_ref().is_some_and(|pinning| pinning != NOT_PINNED);
        let pinned = pinned || loading.iter().any(is_pinned);
        let from = UpgradeFrom {
            object: FILE.to_owned(),
            name: old.object.name.clone(),
            loading,
            extern_users: old.extern_users(),
        };
        let misread = misread_values(&old.loaded, &self.loaded);
        self.upgrade = Some(PlannedUpgrade { from, bytes: Arc::clone(&old.loaded), pins, misread });
        pinned
    }
}

/// What pins the maps of an object by their names that are not pinned already.
fn pins_by_name(object: &PlannedObject) -> Vec<MapLoading> {
    let maps = object.object.inventory.iter().flat_map(|inventory| &inventory.maps);
    let pinned = |map: &&MapInfo| map.pinning == 0;
    let pin = |map: &MapInfo| MapLoading {
        map: map.name.clone(),
        pinning: Some(PINNED_BY_NAME.to_owned()),
        ..MapLoading::default()
    };
    maps.filter(pinned).map(pin).collect()
}

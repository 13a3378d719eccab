//! What of a planned object a guest is sent: its bytes, and what a loader sets.

use std::borrow::Cow;

use super::PlannedObject;
use super::types::PATH;
use crate::object::globals::with_patches;
use crate::protocol::ObjectSetup;
use crate::record::LoadingPrivileges;

impl PlannedObject {
    /// Whether another loader than libbpf loads it.
    pub fn by_executable(&self) -> bool {
        self.loader.as_ref().is_some_and(|loader| loader.executable.is_some())
    }

    /// The privileges that it is loaded with, if not those of root.
    pub fn privileges(&self) -> Option<&LoadingPrivileges> {
        let of_shape = self.shape.as_ref().and_then(|planned| planned.shape.setup.loading.privileges.as_ref());
        of_shape.or(self.loading.privileges.as_ref())
    }

    /// Whether it is one whose least privileges are looked for.
    pub fn is_searched(&self) -> bool {
        self.privileges().is_none() && self.broken.is_none() && self.unclaimed().is_none()
    }

    /// The object as it is sent to a guest: libbpf sets variables itself, other loaders get an object in which they are set.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        if !self.by_executable() {
            return Cow::Borrowed(&self.loaded);
        }
        // What only libbpf has to be helped with stays as it is.
        let is_changed = !self.loading.stubs.is_empty() || !self.loading.constants.is_empty();
        let bytes = if is_changed { &self.loaded } else { &self.object.bytes };
        let shape = self.shape.iter().flat_map(|planned| &planned.shape.setup.patches);
        let set = self.patches.iter().chain(shape);
        Cow::Owned(with_patches(bytes, set.map(|patch| (&*patch.section, patch.offset, &*patch.bytes))))
    }

    /// What a loader sets before it loads the object, and does with it then.
    pub fn setup(&self) -> ObjectSetup {
        let setup = self.shape.as_ref().map(|planned| planned.shape.setup.clone()).unwrap_or_default();
        let maps = self.object.inventory.iter().flat_map(|inventory| &inventory.struct_ops);
        let struct_ops = maps.map(|map| (map.name.clone(), map.type_name.clone())).collect();
        // What a shape sets of a map comes last and counts.
        let mut loading = self.loading.clone();
        loading.privileges = self.privileges().cloned();
        loading.maps.extend(setup.loading.maps);
        let (upgrade, pins) = self.upgrade_setup();
        loading.maps.extend_from_slice(pins);
        let patches = self.patches.iter().cloned().chain(setup.patches).collect();
        let (programs, reused) = (self.programs_setup.clone(), self.reused_maps());
        let btf = self.types.as_ref().map(|_| PATH.to_owned());
        let targets = self.target_programs();
        ObjectSetup {
            patches,
            programs,
            struct_ops,
            loading,
            reused,
            targets,
            btf,
            upgrade,
            baseline: self.baseline_setup(),
            ..setup
        }
    }
}

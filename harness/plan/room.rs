//! [`Room`]: the memory of the guest that an object gets, and the maps that no guest can hold.

use super::PlannedObject;
use crate::bytes::in_words;
use crate::manifest::KernelSpec;
use crate::object::MapInfo;
use crate::protocol::LeftOutMap;

const MIB: u64 = 1 << 20;
/// What a guest has to have besides the maps of an object: its kernel, its loader with the kernel's BTF, and what the kernel does
/// not give away. Measured: 120 to 190 MiB.
const BESIDES_MIB: u64 = 208;
/// Maps that are no larger than this never make a guest larger: how small it is may be the user's will.
const SMALL: u64 = 16 << 20;

/// The memory of the guest that an object gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Room {
    /// MiB of the guest.
    pub mib: u64,
    /// The maps that no guest can hold, so that they are not created.
    pub without: Vec<LeftOutMap>,
    /// Why the guest is not like the others.
    pub note: Option<String>,
}

/// MiB of a guest that holds maps of `bytes`; guests have `standard_mib` unless that is too little.
pub(super) fn guest_mib(bytes: u64, standard_mib: u64) -> u64 {
    let needed = bytes.div_ceil(MIB).saturating_add(BESIDES_MIB);
    match bytes <= SMALL || needed <= standard_mib {
        true => standard_mib,
        // The kernel keeps a page's struct for each page.
        false => needed.saturating_add(needed / 32).checked_next_power_of_two().unwrap_or(u64::MAX),
    }
}

impl Room {
    /// For an object of a plan, in guests with so many processors that have `standard_mib` or up to `largest_mib`.
    pub fn of(planned: &PlannedObject, cpus: u32, standard_mib: u64, largest_mib: u64) -> Room {
        let mut bytes = planned.map_bytes(cpus);
        let mut mib = guest_mib(bytes, standard_mib);
        if mib == standard_mib {
            return Room { mib, without: Vec::new(), note: None };
        }
        let largest_mib = largest_mib.max(standard_mib);
        let mut without = Vec::new();
        let mut maps = planned.maps_by_size(cpus);
        while mib > largest_mib
            && let Some((map, size)) = maps.pop()
        {
            let warning = format!(
                "map `{map}` needs {}, but a guest can have at most {} here",
                in_words(size),
                in_words(largest_mib.saturating_mul(MIB))
            );
            without.push(LeftOutMap { map: map.to_owned(), warning, context: Vec::new(), untried: true });
            bytes = planned.map_bytes_without(&without, cpus);
            mib = guest_mib(bytes, standard_mib);
        }
        let mib = mib.min(largest_mib);
        let note = (mib > standard_mib).then(|| {
            let (needs, has) = (in_words(bytes), in_words(mib.saturating_mul(MIB)));
            format!(
                "run in a guest of {has} instead of {}: its maps need {needs}",
                in_words(standard_mib.saturating_mul(MIB))
            )
        });
        Room { mib, without, note }
    }
}

impl PlannedObject {
    /// The memory that its maps need in a guest with so many processors.
    pub fn map_bytes(&self, cpus: u32) -> u64 {
        self.map_bytes_without(&[], cpus)
    }

    /// The same where some maps are left out.
    fn map_bytes_without(&self, without: &[LeftOutMap], cpus: u32) -> u64 {
        let cpus = u64::from(cpus);
        let Ok(inventory) = &self.object.inventory else { return 0 };
        let is_made = |map: &&MapInfo| !without.iter().any(|left| left.map == map.name);
        let maps = || inventory.maps.iter().filter(is_made);
        let widest = maps().map(|map| map.room(cpus)).max().unwrap_or_default();
        let maps = maps().fold(0u64, |sum, map| sum.saturating_add(map.bytes(cpus)));
        // Of variables libbpf has a copy.
        let all = maps.max(widest).saturating_add(inventory.data_size.saturating_mul(2));
        // A struct_ops map is attached from a separate object, beside the first.
        if inventory.struct_ops.is_empty() { all } else { all.saturating_mul(2) }
    }

    /// MiB of the guest that it wants on a kernel.
    pub fn guest_mib(&self, spec: &KernelSpec) -> u64 {
        let machine = self.machine_on(spec);
        guest_mib(self.map_bytes(machine.cpus), machine.memory_mib)
    }

    /// Its maps with the memory that they need, the largest last.
    pub fn maps_by_size(&self, cpus: u32) -> Vec<(&str, u64)> {
        let maps = self.object.inventory.as_ref().map_or(&[][..], |inventory| &inventory.maps);
        let mut sizes: Vec<(&str, u64)> = maps.iter().map(|map| (map.name.as_str(), map.room(cpus.into()))).collect();
        sizes.sort_by_key(|(_, bytes)| *bytes);
        sizes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::find_objects;
    use crate::record::LoadingRecord;

    #[test]
    fn guests_grow_by_powers_of_two_where_the_standard_is_too_small() {
        assert_eq!(guest_mib(0, 512), 512);
        assert_eq!(guest_mib(300 << 20, 512), 512);
        assert_eq!((guest_mib(4 << 20, 128), guest_mib(100 << 20, 128)), (128, 512));
        assert_eq!(guest_mib(400 << 20, 512), 1024);
        assert_eq!(guest_mib(1 << 30, 512), 2048);
        assert_eq!(guest_mib(1 << 30, 2048), 2048);
        // An odd size of the user's stays if it is enough.
        assert_eq!(guest_mib(400 << 20, 700), 700);
        assert_eq!(guest_mib(u64::MAX, 512), 1 << 45);
    }

    fn planned(name: &str) -> PlannedObject {
        let folder = if name.contains('/') { "" } else { "maps/" };
        let path = format!("{}/tests/fixtures/{folder}{name}.bpf.o", env!("CARGO_MANIFEST_DIR"));
        let mut found = find_objects(&[path.into()]).unwrap().objects;
        PlannedObject::new(found.remove(0), None, &LoadingRecord::default())
    }

    #[test]
    fn objects_get_the_guest_that_their_maps_need() {
        let (large, alone) = (planned("large"), planned("alone"));
        assert_eq!(Room::of(&alone, 1, 512, 4096), Room { mib: 512, without: Vec::new(), note: None });
        let room = Room::of(&large, 1, 512, 4096);
        assert_eq!((room.mib, room.without.len()), (1024, 0));
        assert!(room.note.unwrap().contains("a guest of 1 GiB instead of 512 MiB"));
        // Where the user's guests are large enough all is as ever.
        assert_eq!(Room::of(&large, 1, 1024, 4096).note, None);
    }

    #[test]
    fn what_no_guest_can_hold_is_left_out_and_nothing_else() {
        let room = Room::of(&planned("large"), 1, 512, 700);
        assert_eq!((room.mib, room.note), (512, None));
        let [left] = <[LeftOutMap; 1]>::try_from(room.without).unwrap();
        assert!(left.untried && left.map == "large" && left.warning.contains("a guest can have at most 700 MiB here"));
    }

    #[test]
    fn maps_alone_are_a_row_of_their_own() {
        let alone = planned("alone");
        assert_eq!((alone.programs[0].name.as_str(), &alone.broken), (crate::protocol::MAPS_ALONE, &None));
        assert_ne!(planned("large").programs[0].name, crate::protocol::MAPS_ALONE);
    }

    #[test]
    fn sound_objects_in_which_libbpf_finds_nothing_are_not_broken() {
        for name in ["unclaimed/legacy-maps", "unclaimed/untyped", "unclaimed/text"] {
            let planned = planned(name);
            // Maps that load do not show anything about the code beside them.
            let row = planned.programs[0].name.as_str();
            assert_eq!((row, &planned.broken), (crate::plan::WHOLE_OBJECT, &None), "{name}");
            let diagnosis = crate::judge::unclaimed(planned.unclaimed().unwrap());
            assert_eq!(diagnosis.verdict, crate::record::Verdict::HarnessLimit, "{name}");
            assert!(diagnosis.reason.unwrap().contains("corematrix exec"), "{name}");
        }
        let empty = planned("unclaimed/data");
        assert_eq!(empty.broken.as_deref(), Some("the object holds no code and no map"));
        assert!(empty.unclaimed().is_none() && planned("alone").unclaimed().is_none());
    }
}

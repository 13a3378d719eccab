//! [`Inventory::tail_calls`]: how many tail calls may follow each other, as far as the object itself says.

use std::collections::BTreeSet;

use super::Inventory;

/// How many tail calls the kernel lets follow each other.
pub const MOST_TAIL_CALLS: u32 = 33;

/// libbpf's name of a map of programs.
const PROGRAM_ARRAY: &str = "prog_array";

impl Inventory {
    /// The longest chain of tail calls that begins with a program, by the program arrays that the object itself fills. `None` if one of
    /// the arrays on the way is filled by user space, or if the chain has no end of its own.
    pub fn tail_calls(&self, program: &str) -> Option<u32> {
        let mut level = BTreeSet::from([program]);
        for calls in 0..=MOST_TAIL_CALLS {
            let mut next = BTreeSet::new();
            for name in level {
                let known = self.programs.iter().find(|known| known.name == name)?;
                let arrays = self
                    .maps
                    .iter()
                    .filter(|map| map.map_type.as_deref() == Some(PROGRAM_ARRAY) && known.maps.contains(&map.name));
                for array in arrays {
                    if array.programs.is_empty() {
                        return None;
                    }
                    next.extend(array.programs.iter().map(String::as_str));
                }
            }
            if next.is_empty() {
                return Some(calls);
            }
            level = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{MapInfo, ProgramInfo};

    fn program(name: &str, maps: &[&str]) -> ProgramInfo {
        ProgramInfo {
            name: name.to_owned(),
            maps: maps.iter().map(|map| (*map).to_owned()).collect(),
            ..ProgramInfo::default()
        }
    }

    fn array(name: &str, programs: &[&str]) -> MapInfo {
        MapInfo {
            name: name.to_owned(),
            map_type: Some(PROGRAM_ARRAY.to_owned()),
            holds_programs: true,
            programs: programs.iter().map(|program| (*program).to_owned()).collect(),
            ..MapInfo::default()
        }
    }

    #[test]
    fn chains_are_counted_as_far_as_the_object_fills_its_arrays() {
        let inventory = Inventory {
            programs: vec![
                program("first", &["one"]),
                program("second", &["two"]),
                program("last", &["table"]),
                program("round", &["circle"]),
                program("open", &["filled_later"]),
                program("into_open", &["to_open"]),
            ],
            maps: vec![
                array("one", &["last", "second"]),
                array("two", &["last"]),
                array("circle", &["round"]),
                array("filled_later", &[]),
                array("to_open", &["open"]),
                MapInfo { name: "table".to_owned(), ..MapInfo::default() },
            ],
            ..Inventory::default()
        };
        let counted =
            ["first", "second", "last", "round", "open", "into_open", "none"].map(|name| inventory.tail_calls(name));
        assert_eq!(counted, [Some(2), Some(1), Some(0), None, None, None, None]);
    }
}

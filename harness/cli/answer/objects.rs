//! Answers about objects.

use serde::Serialize;

use crate::answer::Answer;
use crate::object::BpfObject;

/// `corematrix list`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ObjectList {
    /// The objects in the inputs.
    pub objects: Vec<ListedObject>,
}

/// One BPF object.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedObject {
    /// Its name in reports.
    pub name: String,
    /// The file it came from, and the place in it if it was embedded.
    pub origin: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Bytes.
    pub size: usize,
    /// Why it cannot be read, if so.
    pub broken: Option<String>,
    /// Its programs, in ELF order.
    pub programs: Vec<ListedProgram>,
    /// Its maps.
    pub maps: Vec<ListedMap>,
    /// How many CO-RE relocations it has.
    pub core_relocations: usize,
    /// Whether it has BTF.
    pub has_btf: bool,
    /// Whether it has line info, so that what fails can be reported by source line.
    pub has_line_info: bool,
    /// Its licence.
    pub license: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// A program.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedProgram {
    /// The function's name.
    pub name: String,
    /// Its ELF section.
    pub section: String,
    /// libbpf's name of its type; `null` if libbpf does not know the section.
    #[serde(rename = "type")]
    pub program_type: Option<String>,
    /// libbpf's name of its attach type.
    pub attach_type: Option<String>,
    /// Instructions.
    pub instructions: usize,
    /// CO-RE relocations in it.
    pub core_relocations: usize,
}

/// A map.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedMap {
    /// Its name.
    pub name: String,
    /// libbpf's name of its type.
    #[serde(rename = "type")]
    pub map_type: Option<String>,
    /// Bytes of a key.
    pub key_size: Option<u32>,
    /// Bytes of a value.
    pub value_size: Option<u32>,
    /// Entries; often set only at run time.
    pub max_entries: Option<u32>,
}

impl Answer for ObjectList {
    const SCHEMA: &'static str = "list-1";
}

impl ListedObject {
    pub(in crate::cli) fn of(object: &BpfObject) -> ListedObject {
        let inventory = object.inventory.as_ref().ok();
        let programs = inventory.map(|inventory| &inventory.programs[..]).unwrap_or_default();
        let maps = inventory.map(|inventory| &inventory.maps[..]).unwrap_or_default();
        ListedObject {
            name: object.name.clone(),
            origin: object.origin.to_string(),
            sha256: object.sha256.clone(),
            size: object.bytes.len(),
            broken: object.inventory.as_ref().err().map(ToString::to_string),
            programs: programs
                .iter()
                .map(|program| ListedProgram {
                    name: program.name.clone(),
                    section: program.section.clone(),
                    program_type: program.prog_type.clone(),
                    attach_type: program.attach_type.clone(),
                    instructions: program.insns,
                    core_relocations: program.core_relocations,
                })
                .collect(),
            maps: maps
                .iter()
                .map(|map| ListedMap {
                    name: map.name.clone(),
                    map_type: map.map_type.clone(),
                    key_size: map.key_size,
                    value_size: map.value_size,
                    max_entries: map.max_entries,
                })
                .collect(),
            core_relocations: inventory.map_or(0, |inventory| inventory.core_relocations.len()),
            has_btf: inventory.is_some_and(|inventory| inventory.has_btf),
            has_line_info: inventory.is_some_and(|inventory| inventory.has_line_info),
            license: inventory.and_then(|inventory| inventory.license.clone()),
            notes: inventory.map(|inventory| inventory.notes.clone()).unwrap_or_default(),
        }
    }
}

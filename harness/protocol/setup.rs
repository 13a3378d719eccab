//! [`ObjectSetup`]: what is set of an object before it is loaded, and done with its programs then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::LeftOutMap;
use crate::attach::AttachTo;
use crate::baseline::BaselineObject;
use crate::exercise::ExercisePlan;
use crate::upgrade::UpgradeFrom;
use corematrix_record::{LoadingRecord, MapLoading};

/// What a loader sets before it loads an object, and does with it then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSetup {
    /// Values of variables.
    pub patches: Vec<DataPatch>,
    /// What is set of programs and maps.
    pub loading: LoadingRecord,
    /// Maps that are not to be created, since no guest can hold them.
    pub without: Vec<LeftOutMap>,
    /// What to do with programs that are loaded; nothing is said of most.
    pub programs: Vec<ProgramSetup>,
    /// The struct of each struct_ops map: of one that the kernel lacks libbpf names the struct, not the map.
    #[serde(default)]
    pub struct_ops: BTreeMap<String, String>,
    /// The file in the guest with the BTF to relocate it with, if not that of the kernel.
    #[serde(default)]
    pub btf: Option<String>,
    /// Maps that it is given in place of its own.
    #[serde(default)]
    pub reused: Vec<ReusedMap>,
    /// The older build whose maps it finds.
    #[serde(default)]
    pub upgrade: Option<UpgradeFrom>,
    /// Another build, beside whose programs its own are measured.
    #[serde(default)]
    pub baseline: Option<Box<BaselineObject>>,
    /// Programs that are loaded first, of which it replaces or traces functions.
    #[serde(default)]
    pub targets: Vec<TargetProgram>,
}

/// A program that the guest loads first, since a program of the object replaces or traces a function of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProgram {
    /// The object's program.
    pub program: String,
    /// The target, for messages: `OBJECT/PROGRAM`.
    pub name: String,
    /// The file in the guest of the target's object; `None` for the object itself.
    pub object: Option<String>,
    /// The target.
    pub target: String,
    /// The function of it.
    pub function: String,
    /// What the target's own loader sets.
    pub loading: LoadingRecord,
    /// Values of variables that it sets.
    pub patches: Vec<DataPatch>,
    /// The programs of that object that refer to each strong extern.
    pub extern_users: BTreeMap<String, Vec<String>>,
}

/// A map that the guest creates and gives to the object in place of one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReusedMap {
    /// The object's map.
    pub map: String,
    /// The file in the guest of the object that declares the map to be created; `None` for the object itself.
    pub object: Option<String>,
    /// The map that is declared there.
    pub source: String,
    /// What is set of that map before it is created.
    pub loading: Vec<MapLoading>,
    /// The programs that refer to each strong extern of that object; those that the kernel lacks do not keep the map from being created.
    pub extern_users: BTreeMap<String, Vec<String>>,
}

/// What a loader does with a program that it has loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSetup {
    /// Its name.
    pub program: String,
    /// To what it is attached, if not to what its section and type say.
    pub attach: Option<AttachTo>,
    /// How it is made to run.
    pub exercise: Option<ExercisePlan>,
}

impl ObjectSetup {
    /// What is said of a program.
    pub fn of_program(&self, program: &str) -> Option<&ProgramSetup> {
        self.programs.iter().find(|known| known.program == program)
    }
}

/// Bytes that replace what a variable is at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPatch {
    /// The ELF section, of which libbpf makes a map: `.rodata`.
    pub section: String,
    /// Bytes from the start of the section.
    pub offset: usize,
    /// All bytes of the variable.
    pub bytes: Vec<u8>,
}

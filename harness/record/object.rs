//! [`ObjectRecord`]: one object of a run.

use serde::{Deserialize, Serialize};

use crate::{CoreRelocation, LoaderRecord, LoadingRecord, MachineSettings, ObjectCoverage, ShapeRecord};

/// One BPF object, unchanged over all kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectRecord {
    /// Name in reports; unique in a run.
    pub name: String,
    /// The file it came from, and the place in it if it was embedded.
    pub origin: String,
    /// SHA-256 of the object's bytes, in hex.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// The programs in it, in ELF order; empty if it cannot be read.
    pub programs: Vec<ObjectProgram>,
    /// Its CO-RE relocations, those of subprograms included.
    pub relocations: Vec<CoreRelocation>,
    /// Why the object cannot be read, if so.
    pub broken: Option<String>,
    /// Its guards and source lines.
    #[serde(default)]
    pub coverage: ObjectCoverage,
    /// With which settings it is tried, if not with its own: the record of the object itself stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ShapeRecord>,
    /// What its machine is like, where the command line, its suite or its shape says it.
    #[serde(default, skip_serializing_if = "MachineSettings::is_empty")]
    pub machine: MachineSettings,
    /// What its own loader does to it, as a suite says; it is judged so, and never otherwise.
    #[serde(default, skip_serializing_if = "LoadingRecord::is_empty")]
    pub loading: LoadingRecord,
    /// What loads it, if not libbpf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<LoaderRecord>,
    /// The object of the run that is the same and loaded by another loader, which this one is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// One program of an object, as its ELF says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectProgram {
    /// The function's name.
    pub name: String,
    /// ELF section, such as `fentry/vfs_read`.
    pub section: String,
}

/// The section of a program that is none, but a command that was run.
pub const COMMAND_SECTION: &str = "(command)";

/// The section of a program that is none, but a test of a command that was run.
pub const TEST_SECTION: &str = "(test)";

/// The program that stands for the process of a command whose programs are tests, where no test shows how it ended.
pub const TEST_PROCESS: &str = "(process)";

/// Stands in for the programs of an object that has none or cannot be read, so that the object still gets a verdict.
pub const WHOLE_OBJECT: &str = "(object)";

impl ObjectRecord {
    /// The name of the object without the shape and the loader that this record is about.
    pub fn base_name(&self) -> &str {
        match (&self.shape, &self.beside) {
            (Some(shape), _) => &shape.of,
            (None, Some(of)) => of,
            (None, None) => &self.name,
        }
    }

    /// Whether it is no object, but a command that was run.
    pub fn is_command(&self) -> bool {
        self.programs.iter().any(|program| program.section == COMMAND_SECTION)
    }

    /// Whether its programs are the tests of a command that was run.
    pub fn has_tests(&self) -> bool {
        self.programs.iter().any(|program| program.section == TEST_SECTION)
    }
}

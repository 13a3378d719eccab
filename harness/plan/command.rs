//! [`Plan::of_command`]: a command instead of an object.

use std::sync::Arc;

use super::{Plan, PlannedObject};
use crate::coverage::Analysis;
use crate::manifest::KernelSpec;
use crate::object::BpfObject;
use crate::record::{COMMAND_SECTION, LoadingRecord, MachineSettings, ObjectProgram};

impl Plan {
    /// Plans a command on every kernel. In the record it stands as an object with one program: `object` is what is run, as far as it can
    /// available, and `words` the command in full.
    pub fn of_command(kernels: Vec<KernelSpec>, object: BpfObject, words: String) -> Plan {
        let programs = vec![ObjectProgram { name: words, section: COMMAND_SECTION.to_owned() }];
        let analysis = Arc::new(Analysis::of(&[], &[]));
        let command = PlannedObject {
            loaded: object.bytes.clone(),
            object,
            programs,
            broken: None,
            analysis,
            shape: None,
            machine: MachineSettings::default(),
            patches: Vec::new(),
            loading: LoadingRecord::default(),
            loader: None,
            beside: None,
            programs_setup: Vec::new(),
            reused: Vec::new(),
            targets: Vec::new(),
            types: None,
            upgrade: None,
            baseline: None,
            shaped: false,
        };
        Plan {
            kernels,
            objects: vec![command],
            alternatives: Vec::new(),
            optional: Vec::new(),
            minimum_coverage: None,
            least_privileges: false,
            modules: None,
            urgent: Vec::new(),
        }
    }
}

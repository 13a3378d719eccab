//! A cell before anything is run.

use super::{PLANNED, PlannedObject};
use crate::manifest::KernelSpec;
use crate::record::{CellCoverage, CellRecord, ProgramRecord};

impl PlannedObject {
    /// Its cell on a kernel, not run.
    pub fn cell(&self, kernel: &KernelSpec) -> CellRecord {
        CellRecord {
            kernel: kernel.name.clone(),
            object: self.object.name.clone(),
            whole: None,
            programs: self.programs.iter().map(|program| ProgramRecord::not_run(program, PLANNED)).collect(),
            relocations: Vec::new(),
            dangers: Vec::new(),
            externs: Vec::new(),
            downgrades: Vec::new(),
            loader: None,
            modules: Vec::new(),
            coverage: CellCoverage::default(),
            prediction: None,
            upgrade: None,
            kernel_log: Vec::new(),
            privileges: None,
            wall_ms: 0,
            machine: None,
            notes: Vec::new(),
            observed: None,
        }
    }
}

//! [`CellMachine`]: the machine that a cell wants: what the kernel's table, the suite, the command line and the object's shape say of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PlannedObject;
use crate::manifest::{KernelSpec, machine};
use crate::record::MachineSettings;

/// The machine that a cell wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CellMachine {
    /// Processors.
    pub cpus: u32,
    /// MiB, before the object's maps are looked at.
    pub memory_mib: u64,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Names of its profiles.
    pub profiles: Vec<String>,
    /// Words that its profiles add to the kernel's command line.
    pub boot: Vec<String>,
    /// Sysctls that its profiles set.
    pub sysctls: BTreeMap<String, String>,
}

impl CellMachine {
    /// What a kernel's guests are like with these settings, which come before those of the kernel's table.
    pub fn of(spec: &KernelSpec, settings: &MachineSettings) -> CellMachine {
        let all = settings.over(&spec.machine);
        CellMachine {
            cpus: all.cpus.unwrap_or(1),
            memory_mib: all.memory_mib.unwrap_or(spec.memory_mib),
            numa_nodes: all.numa_nodes.unwrap_or(1),
            profiles: all.profile_names(),
            boot: all.boot(),
            sysctls: all.sysctls(),
        }
    }

    /// Whether nothing of it has to be set or looked after, beyond its memory.
    pub fn is_plain(&self) -> bool {
        self.cpus == 1 && self.numa_nodes == 1 && self.profiles.is_empty()
    }
}

impl PlannedObject {
    /// The machine that it wants on a kernel.
    pub fn machine_on(&self, spec: &KernelSpec) -> CellMachine {
        CellMachine::of(spec, &self.machine)
    }
}

impl super::Plan {
    /// The first object whose settings contradict each other on a kernel, why, and what to do about it.
    pub fn contradiction(&self) -> Option<(&str, String, String)> {
        for object in &self.objects {
            for spec in &self.kernels {
                if let Some((message, hint)) = machine::contradiction(&object.machine.over(&spec.machine)) {
                    return Some((&object.object.name, format!("on {}: {message}", spec.name), hint));
                }
            }
        }
        None
    }
}

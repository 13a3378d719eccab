//! [`MachineFacts`]: what a guest's machine is like once it was arranged as the host wants it.

use serde::{Deserialize, Serialize};

/// What the machine is like. `None` means that the kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Processors that may ever be there: what per-CPU maps have values for.
    pub possible_cpus: Option<u32>,
    /// Processors that run.
    pub online_cpus: Option<u32>,
    /// NUMA nodes; `None` for a kernel without NUMA.
    pub numa_nodes: Option<u32>,
    /// The lockdown in force: `none`, `integrity` or `confidentiality`; `None` for a kernel without lockdown.
    pub lockdown: Option<String>,
    /// The active security modules, with commas between.
    pub lsm: Option<String>,
    /// What became of the sysctls, in the order of their names.
    pub sysctls: Vec<SysctlFact>,
}

/// What became of one sysctl.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlFact {
    /// Its name.
    pub name: String,
    /// What the kernel shows as its value; `None` if it has no such sysctl or shows none.
    pub value: Option<String>,
    /// The errno of setting it; 0 if it was set.
    pub errno: i32,
}

//! [`GuestMachineArgs`]: what the guests' machines are like, on the command line.

use clap::Args;

use crate::manifest::{machine, quantity};
use crate::matrix::MachineOptions;

/// What the guests' machines are like.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct GuestMachineArgs {
    /// Set the number of CPUs of the guest.
    #[arg(long, value_name = "N", value_parser = cpus)]
    cpus: Option<u32>,
    /// Set the memory of the guest, such as 512MiB or 1GiB; maps that need more get a larger guest.
    #[arg(long, value_name = "SIZE", value_parser = quantity::memory_mib)]
    memory: Option<u64>,
    /// Set the number of NUMA nodes of the guest.
    #[arg(long, value_name = "N", value_parser = nodes)]
    numa: Option<u32>,
    /// Apply this profile of sysctls and kernel parameters; may be repeated.
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
}

/// What the guests' machines are like; several values are compared.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct ComparedMachineArgs {
    /// Set the number of CPUs of guests; several numbers (1,8) load each object with each of them.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = cpus)]
    cpus: Vec<u32>,
    /// Set the memory of guests, such as 512MiB or 1GiB; several sizes work as with `--cpus`.
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',', value_parser = quantity::memory_mib)]
    memory: Vec<u64>,
    /// Set the number of NUMA nodes of guests; several numbers work as with `--cpus`.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = nodes)]
    numa: Vec<u32>,
    /// Load each object also with this profile of sysctls and kernel parameters, and show what the profile changes; may
    /// be repeated.
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
}

fn cpus(text: &str) -> Result<u32, String> {
    number(text, machine::cpus)
}

fn nodes(text: &str) -> Result<u32, String> {
    number(text, machine::numa_nodes)
}

fn number(text: &str, check: fn(i64) -> Result<u32, (String, String)>) -> Result<u32, String> {
    let number = text.trim().parse().map_err(|_| format!("`{text}` is not a whole number"))?;
    check(number).map_err(|(message, hint)| format!("it {message}; {hint}"))
}

impl GuestMachineArgs {
    pub(super) fn options(&self) -> MachineOptions {
        MachineOptions {
            cpus: self.cpus.into_iter().collect(),
            memory_mib: self.memory.into_iter().collect(),
            numa_nodes: self.numa.into_iter().collect(),
            profiles: self.profile.clone(),
        }
    }
}

impl ComparedMachineArgs {
    pub(super) fn options(&self) -> MachineOptions {
        MachineOptions {
            cpus: self.cpus.clone(),
            memory_mib: self.memory.clone(),
            numa_nodes: self.numa.clone(),
            profiles: self.profile.clone(),
        }
    }
}

//! [`MachineSettings`]: what a machine shall be like, where someone says it; [`MachineRecord`]: what the machine of a cell was like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A named set of settings: sysctls, and words of the kernel's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineProfile {
    /// Its name.
    pub name: String,
    /// What it is for, in words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Sysctls with their values: `net.core.bpf_jit_harden` and `2`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Words for the kernel's command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<String>,
}

/// Requested properties of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineSettings {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// NUMA nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_nodes: Option<u32>,
    /// Profiles, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<MachineProfile>,
}

/// What the machine of a cell was like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineRecord {
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Names of its profiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Words of the kernel's command line that its profiles added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<String>,
    /// Sysctls that were set, as the kernel showed them then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// The lockdown in force, if there was one: `integrity` or `confidentiality`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<String>,
}

impl MachineProfile {
    /// What it sets, as one word each: `net.core.bpf_jit_harden=2`, `lockdown=integrity`.
    pub fn settings(&self) -> Vec<String> {
        let sysctls = self.sysctls.iter().map(|(name, value)| format!("{name}={value}"));
        sysctls.chain(self.boot.iter().cloned()).collect()
    }
}

impl MachineSettings {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == MachineSettings::default()
    }

    /// These settings, and those of `general` where these set nothing. The profiles of both count; these come last.
    #[must_use]
    pub fn over(&self, general: &MachineSettings) -> MachineSettings {
        let mut profiles = general.profiles.clone();
        for profile in &self.profiles {
            profiles.retain(|known| known.name != profile.name);
            profiles.push(profile.clone());
        }
        MachineSettings {
            cpus: self.cpus.or(general.cpus),
            memory_mib: self.memory_mib.or(general.memory_mib),
            numa_nodes: self.numa_nodes.or(general.numa_nodes),
            profiles,
        }
    }

    /// The sysctls of the profiles; of two values the later one.
    pub fn sysctls(&self) -> BTreeMap<String, String> {
        self.profiles.iter().flat_map(|profile| profile.sysctls.clone()).collect()
    }

    /// The kernel parameters of the profiles.
    pub fn boot(&self) -> Vec<String> {
        self.profiles.iter().flat_map(|profile| profile.boot.clone()).collect()
    }

    /// The names of the profiles.
    pub fn profile_names(&self) -> Vec<String> {
        self.profiles.iter().map(|profile| profile.name.clone()).collect()
    }

    /// One line for each setting, as suite files have it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.cpus.map(|cpus| format!("cpus = {cpus}")));
        lines.extend(self.memory_mib.map(|mib| format!("memory = \"{mib}MiB\"")));
        lines.extend(self.numa_nodes.map(|nodes| format!("numa = {nodes}")));
        if !self.profiles.is_empty() {
            let names: Vec<String> = self.profiles.iter().map(|profile| format!("{:?}", profile.name)).collect();
            lines.push(format!("profile = [{}]", names.join(", ")));
        }
        lines
    }

    /// What is set, in words: `8 processors`, `net.core.bpf_jit_harden=2`.
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        let counted = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        words.extend(self.cpus.map(|cpus| counted(cpus, "processor")));
        words.extend(self.memory_mib.map(|mib| format!("{mib} MiB")));
        words.extend(self.numa_nodes.map(|nodes| counted(nodes, "NUMA node")));
        words.extend(self.profiles.iter().flat_map(MachineProfile::settings).map(|one| format!("`{one}`")));
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, value: &str) -> MachineProfile {
        let sysctls = BTreeMap::from([("net.core.bpf_jit_harden".to_owned(), value.to_owned())]);
        MachineProfile { name: name.to_owned(), sysctls, boot: vec![format!("word={value}")], ..Default::default() }
    }

    #[test]
    fn special_settings_win_and_profiles_add_up() {
        let general = MachineSettings { cpus: Some(2), profiles: vec![profile("a", "1")], ..Default::default() };
        let special = MachineSettings { cpus: Some(8), profiles: vec![profile("b", "2")], ..Default::default() };
        let both = special.over(&general);
        assert_eq!((both.cpus, both.profile_names()), (Some(8), vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(both.sysctls()["net.core.bpf_jit_harden"], "2");
        assert_eq!(both.boot(), ["word=1", "word=2"]);
        // The same profile counts once.
        assert_eq!(general.over(&general), general);
        assert_eq!(special.in_words(), "8 processors, `net.core.bpf_jit_harden=2`, `word=2`");
        assert_eq!(special.lines(), ["cpus = 8", "profile = [\"b\"]"]);
        assert!(MachineSettings::default().is_empty() && !special.is_empty());
    }
}

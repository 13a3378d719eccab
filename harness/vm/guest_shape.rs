//! [`GuestShape`]: what a guest has to boot with. Guests of one kernel that differ in it differ in their snapshots.

use crate::bytes::in_words;
use crate::manifest::KernelSpec;
use crate::store::ModuleFile;

/// What a guest has to boot with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestShape {
    /// MiB.
    pub memory_mib: u64,
    /// Processors.
    pub cpus: u32,
    /// NUMA nodes, which share memory and processors evenly.
    pub numa_nodes: u32,
    /// Words for the kernel's command line, behind ours: of two words for one setting the kernel obeys the last.
    pub append: Vec<String>,
    /// Modules that are loaded while it boots, in this order, besides those of the data channel.
    pub modules: Vec<ModuleFile>,
}

impl GuestShape {
    /// What a kernel's guests are like, unless something else is wanted.
    pub fn of(spec: &KernelSpec) -> GuestShape {
        let boot = spec.machine.boot();
        GuestShape {
            memory_mib: spec.memory_mib,
            cpus: spec.machine.cpus.unwrap_or(1),
            numa_nodes: spec.machine.numa_nodes.unwrap_or(1),
            append: spec.append.iter().cloned().chain(boot).collect(),
            modules: Vec::new(),
        }
    }

    /// The same with one processor and without profiles: that one is probed for what a kernel can do.
    pub fn plain(spec: &KernelSpec) -> GuestShape {
        GuestShape {
            memory_mib: spec.memory_mib,
            cpus: 1,
            numa_nodes: 1,
            append: spec.append.clone(),
            modules: Vec::new(),
        }
    }

    /// What it has that `other` has not, in words: `8 processors and 1 GiB`.
    pub fn beside(&self, other: &GuestShape) -> String {
        let mut parts = Vec::new();
        if self.memory_mib != other.memory_mib {
            parts.push(in_words(self.memory_mib.saturating_mul(1 << 20)));
        }
        let mut counted = |own: u32, others: u32, what: &str| {
            if own != others {
                parts.push(format!("{own} {what}{}", if own == 1 { "" } else { "s" }));
            }
        };
        counted(self.cpus, other.cpus, "processor");
        counted(self.numa_nodes, other.numa_nodes, "NUMA node");
        let words: Vec<String> =
            self.append.iter().filter(|word| !other.append.contains(word)).map(|word| format!("`{word}`")).collect();
        if !words.is_empty() {
            parts.push(format!("kernel parameters {}", words.join(" ")));
        }
        let modules: Vec<String> = self
            .modules
            .iter()
            .filter(|module| !other.modules.contains(module))
            .map(|module| format!("`{}`", module.name))
            .collect();
        if !modules.is_empty() {
            parts.push(format!("module{} {}", if modules.len() == 1 { "" } else { "s" }, modules.join(" ")));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let standard = GuestShape {
            memory_mib: 512,
            cpus: 1,
            numa_nodes: 1,
            append: vec!["quiet".to_owned()],
            modules: Vec::new(),
        };
        let module =
            ModuleFile { name: "xfs".to_owned(), path: "xfs.ko".into(), sha256: String::new(), optional: false };
        let wanted = GuestShape {
            memory_mib: 1024,
            cpus: 8,
            numa_nodes: 2,
            append: vec!["quiet".to_owned(), "mitigations=off".to_owned()],
            modules: vec![module],
        };
        let words = "1 GiB, 8 processors, 2 NUMA nodes, kernel parameters `mitigations=off`, module `xfs`";
        assert_eq!(wanted.beside(&standard), words);
        assert_eq!(standard.beside(&wanted), "512 MiB, 1 processor, 1 NUMA node");
    }
}

//! [`Answers`]: what the types of one kernel answer to all that an object asks.

use std::collections::{BTreeMap, BTreeSet};

use crate::core_relo::Resolution;
use crate::coverage::{ObjectFacts, ProgramEvidence};
use crate::object::btf::{ModuleNames, essential_name};
use crate::record::{ExternRecord, RelocationRecord};

/// As libbpf names the kind of such externs.
pub(super) const KCONFIG: &str = "kcfg";
const KERNEL_VERSION: &str = "LINUX_KERNEL_VERSION";

/// What the types of one kernel answer to all that an object asks.
#[derive(Debug)]
pub struct Answers {
    /// By relocation, in the order of the object's records.
    pub relocations: Vec<RelocationRecord>,
    /// The kernel functions that it calls.
    pub(super) externs: Vec<ExternRecord>,
    /// In the same order: why libbpf does not find it.
    pub(super) functions: Vec<Result<(), String>>,
    /// By relocation, as an index: why no one knows whether a module has its type.
    pub(super) open: BTreeMap<usize, String>,
    /// What is known about the kernel's modules.
    pub(super) names: ModuleNames,
    release: Option<[u8; 2]>,
    /// Nothing was loaded.
    loaded: BTreeMap<usize, ProgramEvidence>,
}

impl Answers {
    pub(super) fn of(
        relocations: Vec<Resolution>,
        (externs, functions): (Vec<ExternRecord>, Vec<Result<(), String>>),
        release: &str,
    ) -> Answers {
        let relocations = relocations.into_iter().enumerate().map(record).collect();
        Answers {
            relocations,
            externs,
            functions,
            open: BTreeMap::new(),
            names: ModuleNames::default(),
            release: version(release),
            loaded: BTreeMap::new(),
        }
    }

    /// For the analysis of the object.
    pub fn facts(&self) -> ObjectFacts<'_> {
        ObjectFacts {
            loaded: &self.loaded,
            relocations: &self.relocations,
            externs: &self.externs,
            release: self.release,
        }
    }

    /// Whether it is known what a kconfig value is.
    pub(super) fn tells(&self, kconfig: &str) -> bool {
        let is_version = kconfig == KERNEL_VERSION && self.release.is_some();
        is_version || self.externs.iter().any(|known| known.name == kconfig && known.kind == KCONFIG)
    }

    /// Whether no one knows if a module has the type that a relocation, an index, is about.
    pub fn is_open(&self, relocation: usize) -> bool {
        self.open.contains_key(&relocation)
    }

    /// Why no one knows if a module has the type that a relocation, an index, is about; `None` where it is known.
    pub fn open_type(&self, relocation: usize) -> Option<&str> {
        self.open.get(&relocation).map(String::as_str)
    }

    /// Why no one knows if a module has a function; `None` where it is known.
    pub fn open_function(&self, name: &str) -> Option<&str> {
        self.names.unknown.get(essential_name(name)).map(String::as_str)
    }

    /// Whether the types of the kernel's modules are known.
    pub fn knows_modules(&self) -> bool {
        self.names.are_known
    }

    /// The kernel modules whose types relocations and functions are found in.
    pub(super) fn modules(&self) -> BTreeSet<String> {
        let candidates = self.relocations.iter().flat_map(|relocation| &relocation.candidates);
        let of_types = candidates.filter(|candidate| candidate.matching).map(|candidate| &candidate.module);
        let functions = self.externs.iter().filter(|known| known.kind != KCONFIG);
        let of_functions = functions.filter_map(|function| function.resolved.as_ref());
        of_types.chain(of_functions).filter(|module| *module != "vmlinux").cloned().collect()
    }

    /// Names of the functions that the kernel itself does not have as the object wants them.
    pub fn absent_functions(&self) -> impl Iterator<Item = &str> {
        let missing = self.externs.iter().zip(&self.functions).filter(|(_, found)| found.is_err());
        missing.map(|(function, _)| function.name.as_str())
    }
}

fn record((number, resolution): (usize, Resolution)) -> RelocationRecord {
    RelocationRecord {
        relocation: number,
        local: resolution.local,
        candidates: resolution.candidates,
        outcome: resolution.outcome,
        verifier_insns: Vec::new(),
        predicted: None,
    }
}

/// The first two numbers of a release, as of `5.4.0-99-generic`; `None` for a name that is none.
fn version(release: &str) -> Option<[u8; 2]> {
    let mut parts = release.split(['.', '-']);
    let major = parts.next()?.parse().ok()?;
    Some([major, parts.next()?.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_tell_the_version_and_other_names_do_not() {
        assert_eq!(version("5.4.0-99-generic"), Some([5, 4]));
        assert_eq!(version("7.1"), Some([7, 1]));
        assert_eq!(version("4.18.0-305.el8.x86_64"), Some([4, 18]));
        for other in ["", "5", "vmlinux", "x86_64-5.4", "5.x", "5.400.1"] {
            assert_eq!(version(other), None, "{other}");
        }
    }
}

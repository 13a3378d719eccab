//! What is known about a kernel by its identity: what it answered when its features were probed ([`Store::probe`],
//! [`Store::save_probe`]), and the types of its modules ([`Store::module_types`]).

use crate::whole_file;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Store;
use super::entry::Entry;
use super::error::StoreError;
use crate::feature::libbpf_version;
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::KernelIdentity;

/// The file in a kernel's entry.
const ANSWERS: &str = "probe.json";

/// Raised when the questions change, so that kernels are probed again.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Answers {
    format: u32,
    /// The libbpf that asked: it decides what can be asked.
    libbpf: String,
    /// The kernel that answered.
    identity: KernelIdentity,
    probe: FeatureProbe,
}

impl Store {
    /// What this kernel answered when it was asked last; `None` if it was not, or if that is damaged or was asked through
    /// another libbpf. Nothing is waited for.
    pub fn probe(&self, identity: &KernelIdentity) -> Option<FeatureProbe> {
        self.entries_of(identity).into_iter().find_map(|folder| {
            let answers: Answers = serde_json::from_slice(&fs::read(folder.join(ANSWERS)).ok()?).ok()?;
            let fits = answers.format == FORMAT
                && answers.libbpf == libbpf_version()
                && answers.identity == identity.of_kernel();
            fits.then_some(answers.probe)
        })
    }

    /// The raw BTF of a kernel's modules, by name; empty if the store does not have it. Nothing is fetched.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn module_types(&self, identity: &KernelIdentity) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let kernels = self.entries_of(identity).into_iter();
        let mut kernels = kernels.filter_map(|folder| Some(Entry::read(&folder, false)?.kernel(&folder, Vec::new())));
        kernels.find(|kernel| kernel.module_btf.is_some()).map_or(Ok(Vec::new()), |kernel| kernel.module_types())
    }

    /// Keeps what a kernel answered. Nothing is kept for a kernel that the store no longer has.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be written.
    pub fn save_probe(&self, identity: &KernelIdentity, probe: &FeatureProbe) -> Result<(), StoreError> {
        let Some(folder) = self.entries_of(identity).into_iter().next() else { return Ok(()) };
        let (probe, identity) = (probe.clone(), identity.of_kernel());
        let answers = Answers { format: FORMAT, libbpf: libbpf_version(), identity, probe };
        replace(&folder, ANSWERS, &answers)
    }

    /// The directories of a kernel; more than one if it is stored under several names.
    pub(crate) fn entries_of(&self, identity: &KernelIdentity) -> Vec<PathBuf> {
        let identity = identity.of_kernel();
        let entries = fs::read_dir(self.root.join("kernels")).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|folder| Entry::read(folder, false).is_some_and(|entry| entry.identity == identity))
            .collect();
        folders.sort();
        folders
    }
}

/// Writes what was found out about a kernel into its entry. Another run may be reading or writing it: it is replaced whole.
pub(crate) fn replace(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let path = folder.join(name);
    Ok(whole_file::replace(&path, |out| Ok(serde_json::to_writer(out, value)?))?)
}

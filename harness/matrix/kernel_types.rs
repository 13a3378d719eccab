//! [`kernel_types`]: what the store knows of the kernels of a run.

use std::collections::HashMap;

use super::known_types::version;
use crate::explain::KernelTypes;
use crate::object::btf::Btf;
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::{KernelState, RunRecord};
use crate::store::Store;

/// The types of a kernel of a matrix.
#[derive(Debug)]
pub struct MatrixTypes {
    /// The kernel's name.
    pub name: String,
    /// Its release.
    pub release: String,
    /// SHA-256 of the BTF that objects are relocated by, in hex.
    pub sha256: String,
    /// That BTF.
    pub btf: Btf,
    /// Whether it was booted.
    pub booted: bool,
}

impl MatrixTypes {
    /// For the questions of `explain`.
    pub fn borrowed(&self) -> KernelTypes<'_> {
        KernelTypes { name: &self.name, btf: &self.btf, booted: self.booted }
    }
}

/// The types of the run's kernels, as far as the store has them.
pub fn kernel_types(record: &RunRecord, store: &Store, missing: &mut Vec<String>) -> Vec<MatrixTypes> {
    let (mut types, mut unknown) = (Vec::new(), Vec::new());
    for kernel in &record.kernels {
        let Some(identity) = &kernel.identity else { continue };
        let Some(sha256) = identity.types_sha256() else { continue };
        match store.btf(sha256).and_then(|raw| Btf::parse(&raw).ok()) {
            Some(btf) => types.push(MatrixTypes {
                name: kernel.name.clone(),
                release: identity.release.clone(),
                sha256: sha256.to_owned(),
                btf,
                booted: kernel.state == KernelState::Ready,
            }),
            None => unknown.push(format!("`{}` ({})", kernel.name, identity.release)),
        }
    }
    if !unknown.is_empty() {
        let folder = store.root().display();
        missing.push(format!("the store `{folder}` has no BTF of {}; these kernels are skipped", unknown.join(", ")));
    }
    types
}

/// The types of the run's kernels and of the others that the store has, by age, as far as releases tell;
/// and which are not the run's.
pub fn all_types(record: &RunRecord, store: &Store, missing: &mut Vec<String>) -> (Vec<MatrixTypes>, Vec<String>) {
    let mut types = kernel_types(record, store, missing);
    let releases = record.kernels.iter().filter_map(|kernel| Some(kernel.identity.as_ref()?.release.clone()));
    let mut releases: Vec<String> = releases.collect();
    let mut added = Vec::new();
    for (name, kernel) in store.kernels() {
        let release = kernel.identity.release.clone();
        let parsed = || Btf::parse(&std::fs::read(kernel.btf.as_ref()?).ok()?).ok();
        let (false, Some(btf)) = (releases.contains(&release), parsed()) else { continue };
        // Two kernels of one name differ in their releases.
        let is_taken = types.iter().any(|known| known.name == name);
        let name = if is_taken { release.clone() } else { name };
        let (own, sha256) = (version(&release), kernel.identity.btf_sha256.clone().unwrap_or_default());
        let at = types.iter().position(|known| version(&known.release) > own);
        releases.push(release.clone());
        added.push(format!("`{name}`"));
        types.insert(at.unwrap_or(types.len()), MatrixTypes { name, release, sha256, btf, booted: false });
    }
    (types, added)
}

/// What the store knows of the features of the run's kernels, by kernel.
pub fn kernel_probes(record: &RunRecord, store: &Store) -> HashMap<String, FeatureProbe> {
    let probes = record.kernels.iter().filter_map(|kernel| {
        let probe = store.probe(kernel.identity.as_ref()?)?;
        Some((kernel.name.clone(), probe))
    });
    probes.collect()
}

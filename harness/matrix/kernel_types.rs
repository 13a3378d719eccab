//! [`kernel_types`]: what the store knows of the kernels of a run.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::known_types::version;
use crate::explain::{AttachTarget, KernelTypes};
use crate::object::btf::{Btf, ModuleNames, Want, essential_name};
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::{KernelRecord, KernelState, RunRecord};
use crate::store::{Store, StoredKernel};

/// The types of a kernel of a matrix.
#[derive(Debug)]
pub struct MatrixTypes {
    /// The kernel's name.
    pub name: String,
    /// Its release.
    pub release: String,
    /// SHA-256 of the BTF that objects are relocated by, in hex.
    pub sha256: String,
    /// That BTF, with that of the modules which have what the run's objects look for.
    pub btf: Btf,
    /// The raw BTF of those modules, by name.
    pub module_types: Vec<(String, Vec<u8>)>,
    /// What is known about its other modules.
    pub modules: ModuleNames,
    /// Whether it was booted.
    pub booted: bool,
}

impl MatrixTypes {
    /// For the questions of `explain`.
    pub fn borrowed(&self) -> KernelTypes<'_> {
        KernelTypes { name: &self.name, btf: &self.btf, booted: self.booted, modules: Some(&self.modules) }
    }
}

/// The types of the run's kernels, as far as the store has them.
pub fn kernel_types(record: &RunRecord, store: &Store, missing: &mut Vec<String>) -> Vec<MatrixTypes> {
    let names = names_of(record);
    let read = |kernel: &KernelRecord| {
        let identity = kernel.identity.as_ref()?;
        let sha256 = identity.types_sha256()?;
        let Some(btf) = store.btf(sha256).and_then(|raw| Btf::parse(&raw).ok()) else {
            return Some(Err(format!("`{}` ({})", kernel.name, identity.release)));
        };
        // Of BTF that was given nothing goes on in modules.
        let stored = store.kernel_of(identity).filter(|_| identity.given_btf_sha256.is_none());
        let (btf, module_types, modules) = with_modules(btf, stored.as_ref(), &names, store);
        Some(Ok(MatrixTypes {
            name: kernel.name.clone(),
            release: identity.release.clone(),
            sha256: sha256.to_owned(),
            btf,
            module_types,
            modules,
            booted: kernel.state == KernelState::Ready,
        }))
    };
    let found: Vec<Result<MatrixTypes, String>> = record.kernels.par_iter().filter_map(read).collect();
    let (mut types, mut unknown) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(found) => types.push(found),
            Err(kernel) => unknown.push(kernel),
        }
    }
    if !unknown.is_empty() {
        let folder = store.root().display();
        missing.push(format!("the store `{folder}` has no BTF of {}; these kernels are skipped", unknown.join(", ")));
    }
    types
}

/// The types of the run's kernels and of the others that the store has, by age, as far as releases show it;
/// and which are not the run's.
pub fn all_types(record: &RunRecord, store: &Store, missing: &mut Vec<String>) -> (Vec<MatrixTypes>, Vec<String>) {
    let mut types = kernel_types(record, store, missing);
    let names = names_of(record);
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
        let (btf, module_types, modules) = with_modules(btf, Some(&kernel), &names, store);
        types.insert(
            at.unwrap_or(types.len()),
            MatrixTypes { name, release, sha256, btf, module_types, modules, booted: false },
        );
    }
    (types, added)
}

/// The types of a kernel with those of the modules that have what it lacks of these names.
fn with_modules(
    btf: Btf,
    kernel: Option<&StoredKernel>,
    names: &BTreeMap<String, bool>,
    store: &Store,
) -> (Btf, Vec<(String, Vec<u8>)>, ModuleNames) {
    let found = store.look_up_in_modules(kernel, names, &|name| has(&btf, name));
    let modules = found.types.iter().map(|(name, raw)| (name.as_str(), raw.as_slice()));
    (btf.with_modules(modules), found.types, found.names)
}

/// Whether a kernel itself has a type or function of this name.
fn has(btf: &Btf, name: &str) -> bool {
    let kinds = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Function];
    kinds.into_iter().any(|want| btf.find(name, want).is_some())
}

/// The names that the run's objects look for in types, without flavours, and whether each is that of a function.
fn names_of(record: &RunRecord) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    let programs = record.objects.iter().flat_map(|object| &object.programs);
    for target in programs.filter_map(|program| AttachTarget::from_section(&program.section)) {
        names.insert(target.btf_name(), !matches!(target, AttachTarget::Tracepoint(_)));
    }
    for cell in &record.cells {
        // `struct xfs_mount___new.m_groups[0] (0:0 @ offset 16)`, or `enum x::Y`.
        for local in cell.relocations.iter().map(|relocation| &relocation.local) {
            let words = local.split(" (").next().unwrap_or_default();
            let named = words.rsplit(' ').next().unwrap_or_default();
            let root = named.split(['.', '[', ':']).next().unwrap_or_default();
            if !root.is_empty() {
                names.entry(essential_name(root).to_owned()).or_insert(false);
            }
        }
        for function in cell.externs.iter().filter(|one| one.kind != "kcfg") {
            names.entry(essential_name(&function.name).to_owned()).or_insert(true);
        }
    }
    names
}

/// What the store knows of the features of the run's kernels, by kernel.
pub fn kernel_probes(record: &RunRecord, store: &Store) -> HashMap<String, FeatureProbe> {
    let probes = record.kernels.iter().filter_map(|kernel| {
        let probe = store.probe(kernel.identity.as_ref()?)?;
        Some((kernel.name.clone(), probe))
    });
    probes.collect()
}

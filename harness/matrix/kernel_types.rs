//! [`kernel_types`]: what the store knows of the kernels of a run.

use std::collections::HashMap;

use crate::object::btf::Btf;
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::RunRecord;
use crate::store::Store;

/// The types of the run's kernels, as far as the store has them.
pub fn kernel_types<'a>(record: &'a RunRecord, store: &Store, missing: &mut Vec<String>) -> Vec<(&'a str, Btf)> {
    let (mut types, mut unknown) = (Vec::new(), Vec::new());
    for kernel in &record.kernels {
        let Some(identity) = &kernel.identity else { continue };
        let Some(sha256) = identity.types_sha256() else { continue };
        match store.btf(sha256).and_then(|raw| Btf::parse(&raw).ok()) {
            Some(btf) => types.push((kernel.name.as_str(), btf)),
            None => unknown.push(format!("`{}` ({})", kernel.name, identity.release)),
        }
    }
    if !unknown.is_empty() {
        let folder = store.root().display();
        missing.push(format!("the store `{folder}` has no types of {}, so they are left out", unknown.join(", ")));
    }
    types
}

/// The types of the run's kernels and of the others that the store has, by age, as far as releases tell;
/// and which are not the run's.
pub fn all_types(record: &RunRecord, store: &Store, missing: &mut Vec<String>) -> (Vec<(String, Btf)>, Vec<String>) {
    let mut types: Vec<(String, Btf)> =
        kernel_types(record, store, missing).into_iter().map(|(name, btf)| (name.to_owned(), btf)).collect();
    let age = |name: &str, types: &[(String, String)]| {
        types.iter().find(|(known, _)| known == name).map(|(_, release)| numbers(release))
    };
    let mut releases: Vec<(String, String)> = record
        .kernels
        .iter()
        .filter_map(|kernel| Some((kernel.name.clone(), kernel.identity.as_ref()?.release.clone())))
        .collect();
    let mut added = Vec::new();
    for (name, kernel) in store.kernels() {
        let identity = &kernel.identity;
        let is_known = releases.iter().any(|(_, known)| *known == identity.release);
        let parsed = || Btf::parse(&std::fs::read(kernel.btf.as_ref()?).ok()?).ok();
        let (false, Some(btf)) = (is_known, parsed()) else { continue };
        // Two kernels of one name differ in their releases.
        let is_taken = types.iter().any(|(known, _)| *known == name);
        let name = if is_taken { identity.release.clone() } else { name };
        let own = numbers(&identity.release);
        let at = types.iter().position(|(known, _)| age(known, &releases).is_some_and(|other| other > own));
        releases.push((name.clone(), identity.release.clone()));
        added.push(format!("`{name}`"));
        types.insert(at.unwrap_or(types.len()), (name, btf));
    }
    (types, added)
}

/// The numbers of a release, which tell its age: 6, 12, 107 of `6.12.107+deb13-cloud-amd64`.
fn numbers(release: &str) -> Vec<u32> {
    let version = release.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// What the store knows of the features of the run's kernels, by kernel.
pub fn kernel_probes(record: &RunRecord, store: &Store) -> HashMap<String, FeatureProbe> {
    let probes = record.kernels.iter().filter_map(|kernel| {
        let probe = store.probe(kernel.identity.as_ref()?)?;
        Some((kernel.name.clone(), probe))
    });
    probes.collect()
}

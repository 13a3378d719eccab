//! [`Store::look_up_in_modules`]: what the modules of a kernel have of the names that it lacks itself. Nothing is fetched.

use std::collections::{BTreeMap, BTreeSet};

use super::{ModuleIndex, Store, StoredKernel};
use crate::object::btf::ModuleNames;
use crate::record::KernelIdentity;

/// If more modules have a name, it is not known which one is meant.
pub(crate) const MOST_OWNERS: usize = 4;

/// What the modules of a kernel have of some names.
#[derive(Debug, Clone, Default)]
pub struct FoundInModules {
    /// The modules that have them, with their raw BTF.
    pub types: Vec<(String, Vec<u8>)>,
    /// What is known without types.
    pub names: ModuleNames,
}

impl Store {
    /// What the modules of a kernel have of these names; for each, whether it is that of a function. `has` says what the kernel
    /// itself has. Of a kernel that the store does not have, other kernels show what it may have.
    pub fn look_up_in_modules(
        &self,
        kernel: Option<&StoredKernel>,
        wanted: &BTreeMap<String, bool>,
        has: &dyn Fn(&str) -> bool,
    ) -> FoundInModules {
        let mut found = FoundInModules::default();
        found.names.are_known = kernel.is_some_and(|kernel| kernel.module_btf.is_some());
        let index = kernel.map_or_else(ModuleIndex::default, StoredKernel::module_index);
        let knows_functions = kernel.is_some_and(StoredKernel::has_modules);
        let mut needed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, is_function) in wanted.iter().filter(|(name, _)| !has(name)) {
            let owners = index.modules_with(name);
            if owners.len() > MOST_OWNERS {
                let words = format!("is in {} kernel modules; which one is meant is unknown", owners.len());
                found.names.unknown.insert(name.clone(), words);
            } else if !owners.is_empty() {
                needed.insert(name, owners);
            } else if !(found.names.are_known || *is_function && knows_functions)
                && let Some((module, on)) = self.in_module(name)
            {
                let why = match kernel.is_some_and(StoredKernel::modules_are_gone) {
                    true => ": the archive no longer has their package",
                    false => "",
                };
                let words =
                    format!("is in kernel module {module} on {on}; the modules of this kernel are unknown{why}");
                found.names.unknown.insert(name.clone(), words);
            }
        }
        let wanted: BTreeSet<&str> = needed.values().flatten().copied().collect();
        if !wanted.is_empty() && found.names.are_known {
            // What cannot be read is not known.
            let all = kernel.and_then(|kernel| kernel.module_types().ok()).unwrap_or_default();
            found.types = all.into_iter().filter(|(module, _)| wanted.contains(module.as_str())).collect();
        }
        for (name, owners) in needed {
            if !owners.iter().any(|owner| found.types.iter().any(|(module, _)| module == owner)) {
                let words = format!("is in kernel module {}, of which the kernel has no BTF", owners.join(" or "));
                found.names.without_types.insert(name.to_owned(), words);
            }
        }
        found
    }

    /// A kernel of the store by what it is: of several entries one whose modules are known.
    pub fn kernel_of(&self, identity: &KernelIdentity) -> Option<StoredKernel> {
        let mut kernels = self.kernels().into_iter().map(|(_, kernel)| kernel);
        let is_it = |kernel: &StoredKernel| kernel.identity.of_kernel() == identity.of_kernel();
        let mut found: Vec<StoredKernel> = kernels.by_ref().filter(is_it).collect();
        let known = found.iter().position(|kernel| kernel.module_btf.is_some()).unwrap_or(0);
        (!found.is_empty()).then(|| found.swap_remove(known))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_no_kernel_of_the_store_has_is_missing_and_not_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let wanted = BTreeMap::from([("xfs_mount".to_owned(), false)]);
        let found = store.look_up_in_modules(None, &wanted, &|_| false);
        assert!(found.types.is_empty() && found.names == ModuleNames::default());
    }
}

//! [`TargetSearch`]: which kernel of the store has an attach target, in its own types or in those of a module.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use twox_hash::XxHash3_64;

use crate::btf::{Hit, Query};
use crate::object::btf::{Btf, strings_of};
use crate::store::{Store, StoredKernel};

/// Looks names up in all types of a store, each once: reading them takes its time.
pub struct TargetSearch<'a> {
    store: &'a Store,
    kernels: OnceLock<Vec<SearchedKernel>>,
    known: Mutex<HashMap<String, Option<String>>>,
}

/// A kernel of the store.
struct SearchedKernel {
    name: String,
    stored: StoredKernel,
    /// Checksums of all strings in its BTF and in that of its modules, sorted: most names that are looked for are in none, and parsing BTF
    /// to find that out takes far longer.
    strings: Vec<u64>,
}

impl SearchedKernel {
    /// `None` if the kernel has no BTF.
    fn read((name, stored): (String, StoredKernel)) -> Option<SearchedKernel> {
        let btf = std::fs::read(stored.btf.as_ref()?).ok()?;
        let modules = stored.module_types().unwrap_or_default();
        let all = [&btf].into_iter().chain(modules.iter().map(|(_, raw)| raw));
        let mut strings: Vec<u64> = all.flat_map(|raw| strings_of(raw)).map(XxHash3_64::oneshot).collect();
        strings.sort_unstable();
        strings.dedup();
        Some(SearchedKernel { name, stored, strings })
    }

    fn may_have(&self, name: &str) -> bool {
        self.strings.binary_search(&XxHash3_64::oneshot(name.as_bytes())).is_ok()
    }
}

impl<'a> TargetSearch<'a> {
    /// A search in this store.
    pub fn new(store: &'a Store) -> Self {
        TargetSearch { store, kernels: OnceLock::new(), known: Mutex::default() }
    }

    /// `on 6.1 `f` is in kernel module m`, or `6.1 has `f``; `None` if nothing available has a function or tracepoint of the name.
    pub fn find(&self, name: &str) -> Option<String> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(name) {
            return known.clone();
        }
        let found = self.look_up(name);
        known().insert(name.to_owned(), found.clone());
        found
    }

    fn look_up(&self, name: &str) -> Option<String> {
        let query = Query::parse(name).ok()?;
        // A tracepoint is a typedef.
        let fits = |hit: &Hit| hit.kind == "function" || (hit.kind == "typedef" && name.starts_with("btf_trace_"));
        let kernels =
            self.kernels.get_or_init(|| self.store.kernels().into_iter().filter_map(SearchedKernel::read).collect());
        kernels.iter().filter(|kernel| kernel.may_have(name)).find_map(
            |SearchedKernel { name: kernel, stored, .. }| {
                let btf = Btf::parse(&std::fs::read(stored.btf.as_ref()?).ok()?).ok()?;
                if query.hits(&btf, 0).iter().any(fits) {
                    return Some(format!("{kernel} has `{name}`"));
                }
                let modules = stored.module_types().unwrap_or_default();
                let module =
                    query.hits_in_modules(&btf, &modules).into_iter().filter(fits).find_map(|hit| hit.module)?;
                Some(format!("on {kernel}, `{name}` is in kernel module {module}"))
            },
        )
    }
}

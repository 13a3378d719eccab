//! [`TargetSearch`]: which kernel of the store has an attach target, in its own types or in those of a module.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::btf::{Hit, Query};
use crate::core_relo::{Kind, TypeTable};
use crate::object::btf::Btf;
use crate::store::{ModuleIndex, Store, StoredKernel};

/// Looks names up in all types of a store, each once.
pub struct TargetSearch<'a> {
    store: &'a Store,
    kernels: OnceLock<Vec<SearchedKernel>>,
    known: Mutex<HashMap<String, Option<String>>>,
}

/// A kernel of the store. Most names that are looked for are in none, which its indexes show without any parsing.
struct SearchedKernel {
    name: String,
    stored: StoredKernel,
    types: Arc<TypeTable>,
    modules: ModuleIndex,
}

impl SearchedKernel {
    /// `None` if the kernel has no BTF.
    fn open((name, stored): (String, StoredKernel), store: &Store) -> Option<SearchedKernel> {
        let types = store.type_table(stored.btf.as_ref()?).ok()?;
        let modules = stored.module_index();
        Some(SearchedKernel { name, stored, types, modules })
    }

    /// Where it has a function or tracepoint of this name, in words.
    fn place_of(&self, name: &str) -> Option<String> {
        let kernel = &self.name;
        let is_tracepoint = name.starts_with("btf_trace_");
        let is_own = |kind| self.types.exactly(name, kind).is_some();
        if is_own(Kind::Function) || is_tracepoint && is_own(Kind::Typedef) {
            return Some(format!("{kernel} has `{name}`"));
        }
        if self.modules.modules_with(name).is_empty() {
            return None;
        }
        let own = Btf::parse(&fs::read(self.stored.btf.as_ref()?).ok()?).ok()?;
        let modules = self.stored.module_types().unwrap_or_default();
        let fits = |hit: &Hit| hit.kind == "function" || is_tracepoint && hit.kind == "typedef";
        let hits = Query::parse(name).ok()?.hits_in_modules(&own, &modules);
        let module = hits.into_iter().filter(fits).find_map(|hit| hit.module)?;
        Some(format!("on {kernel}, `{name}` is in kernel module {module}"))
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
        let open = || {
            let kernels = self.store.kernels().into_iter();
            kernels.filter_map(|kernel| SearchedKernel::open(kernel, self.store)).collect()
        };
        let found = self.kernels.get_or_init(open).iter().find_map(|kernel| kernel.place_of(name));
        known().insert(name.to_owned(), found.clone());
        found
    }
}

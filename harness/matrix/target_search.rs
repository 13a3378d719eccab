//! [`TargetSearch`]: which kernel of the store has an attach target, in its own types or in those of a module.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::btf::{Hit, Query};
use crate::object::btf::Btf;
use crate::store::Store;

/// Looks names up in all types of a store, each once: reading them takes its time.
pub struct TargetSearch<'a> {
    store: &'a Store,
    known: RefCell<HashMap<String, Option<String>>>,
}

impl<'a> TargetSearch<'a> {
    /// A search in this store.
    pub fn new(store: &'a Store) -> Self {
        TargetSearch { store, known: RefCell::default() }
    }

    /// `on 6.1 `f` is in kernel module m`, or `6.1 has `f``; `None` if nothing available has a function or tracepoint of the name.
    pub fn find(&self, name: &str) -> Option<String> {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let found = self.look_up(name);
        self.known.borrow_mut().insert(name.to_owned(), found.clone());
        found
    }

    fn look_up(&self, name: &str) -> Option<String> {
        let query = Query::parse(name).ok()?;
        // A tracepoint is a typedef.
        let fits = |hit: &Hit| hit.kind == "function" || (hit.kind == "typedef" && name.starts_with("btf_trace_"));
        self.store.kernels().into_iter().find_map(|(kernel, stored)| {
            let btf = Btf::parse(&std::fs::read(stored.btf.as_ref()?).ok()?).ok()?;
            if query.hits(&btf, 0).iter().any(fits) {
                return Some(format!("{kernel} has `{name}`"));
            }
            let modules = stored.module_types().unwrap_or_default();
            let module = query.hits_in_modules(&btf, &modules).into_iter().filter(fits).find_map(|hit| hit.module)?;
            Some(format!("on {kernel}, `{name}` is in kernel module {module}"))
        })
    }
}

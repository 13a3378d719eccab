//! [`CellView`]: what is known about the kernel of a cell: what the store knows, and the modules that its guest has loaded.

use std::borrow::Cow;
use std::sync::Arc;

use super::kernel_modules::CellModules;
use super::kernel_view::StoredView;
use crate::core_relo::{Target, TypeTable};
use crate::judge::{Elsewhere, KernelView};
use crate::object::btf::Btf;
use crate::store::types_of_module;

/// What is known about the kernel of a cell.
#[derive(Clone, Copy)]
pub(super) struct CellView<'v, 'a> {
    pub(super) stored: &'v StoredView<'a>,
    pub(super) modules: &'v CellModules,
}

impl<'v> CellView<'v, '_> {
    /// The types that objects are relocated with, those of the modules that are loaded behind them.
    pub(super) fn types(self) -> Option<&'v Btf> {
        let own = self.stored.types()?;
        if self.modules.with_types().next().is_none() {
            return Some(own);
        }
        let with_modules = || {
            let raw = |(name, path): (&str, &std::path::PathBuf)| Some((name.to_owned(), types_of_module(path)?));
            let raw: Vec<_> = self.modules.with_types().filter_map(raw).collect();
            own.clone().with_modules(raw.iter().map(|(name, raw)| (name.as_str(), raw.as_slice())))
        };
        Some(self.modules.types.get_or_init(with_modules))
    }

    pub(super) fn release_name(self) -> &'v str {
        self.stored.release_name()
    }

    /// The types that relocations are resolved with. Those of modules that cannot be read are left out.
    pub(super) fn target(self) -> Option<Cow<'v, Target>> {
        let kernel = self.stored.target()?;
        let split = |(name, path): (&str, &std::path::PathBuf)| {
            let raw = types_of_module(path)?;
            let table = TypeTable::of_module(raw, Arc::clone(&kernel.kernel)).ok()?;
            Some((name.to_owned(), Arc::new(table)))
        };
        let modules: Vec<_> = self.modules.with_types().filter_map(split).collect();
        Some(match modules.is_empty() {
            true => Cow::Borrowed(kernel),
            false => Cow::Owned(Target { kernel: Arc::clone(&kernel.kernel), modules }),
        })
    }

    /// Whether a module that is loaded has a type or function of this name.
    fn has_loaded(self, name: &str) -> bool {
        !self.modules.loads.is_empty() && self.stored.modules_with(name).iter().any(|module| self.modules.has(module))
    }
}

impl KernelView for CellView<'_, '_> {
    fn has_type(&self, name: &str) -> Option<bool> {
        self.stored.has_type(name).map(|has| has || self.has_loaded(name))
    }

    fn has_enumerator(&self, in_enum: &str, name: &str) -> Option<bool> {
        self.stored.has_enumerator(in_enum, name)
    }

    fn has_member(&self, in_struct: &str, member: &str) -> Option<bool> {
        self.stored.has_member(in_struct, member)
    }

    fn has_function(&self, name: &str) -> Option<bool> {
        self.stored.has_function(name).map(|has| has || self.has_loaded(name))
    }

    fn config(&self, option: &str) -> Option<bool> {
        self.stored.config(option)
    }

    fn is_module(&self, option: &str) -> bool {
        self.stored.is_module(option)
    }

    fn release(&self) -> Option<(u32, u32)> {
        self.stored.release()
    }

    fn modules_with(&self, name: &str) -> Vec<String> {
        let all = self.stored.modules_with(name);
        // What one of them has that is loaded is not missing for lack of a module.
        if all.iter().any(|module| self.modules.has(module)) { Vec::new() } else { all }
    }

    fn knows_modules(&self) -> bool {
        self.stored.knows_modules()
    }

    fn knows_module_functions(&self) -> bool {
        self.stored.knows_module_functions()
    }

    fn elsewhere(&self, name: &str) -> Option<Elsewhere> {
        self.stored.elsewhere(name)
    }

    fn is_in_loaded_module(&self, name: &str) -> bool {
        self.has_loaded(name)
    }

    fn why_modules_unknown(&self) -> Option<String> {
        self.stored.why_modules_unknown()
    }

    fn is_loaded(&self, module: &str) -> bool {
        self.modules.has(module)
    }

    fn why_without_types(&self, module: &str) -> Option<String> {
        self.modules.why_without_types(module)
    }

    fn why_not_loaded(&self, module: &str) -> Option<String> {
        self.modules.reasons.get(module).cloned()
    }
}

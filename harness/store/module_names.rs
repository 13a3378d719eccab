//! [`Store::in_module`]: which module of which kernel of the store has a type or function of a name.
//!
//! It shows what may be in a module where nothing is known about a kernel's own.

use super::{ModuleIndex, Store, version};

/// The modules of all kernels of the store whose modules are known, those of the newest kernel first.
#[derive(Debug)]
pub(crate) struct ModuleNames(Vec<(String, ModuleIndex)>);

impl Store {
    /// The module that has a type or function of this name, and the newest kernel of the store where it has. What that kernel itself has
    /// is in none of its modules. Read once; nothing is fetched.
    pub fn in_module(&self, name: &str) -> Option<(String, String)> {
        let names = self.module_names.get_or_init(|| {
            let mut kernels = self.kernels();
            kernels.sort_by(|a, b| version::compare(&b.1.identity.release, &a.1.identity.release));
            ModuleNames(kernels.into_iter().map(|(name, kernel)| (name, kernel.module_index())).collect())
        });
        names.0.iter().find_map(|(kernel, index)| {
            let module = index.modules_with(name).first().map(|module| (*module).to_owned())?;
            Some((module, kernel.clone()))
        })
    }
}

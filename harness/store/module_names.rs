//! [`Store::in_module`]: which module of which kernel of the store has a type or function of a name.
//!
//! It tells what may be in a module where nothing is known of a kernel's own. Names are kept as hashes: all kernels together have some
//! hundred thousand, and most runs ask for one or two.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Store, StoredKernel, version};
use crate::object::btf::Btf;

/// The modules of all kernels of the store whose modules are known, by what they have.
#[derive(Debug, Default)]
pub(crate) struct ModuleNames {
    /// Kernel and module.
    places: Vec<(String, String)>,
    /// Indexes of places; of several the newest kernel's.
    by_name: HashMap<u64, u32>,
}

impl Store {
    /// The module that has a type or function of this name, and the newest kernel of the store where it has. What that kernel itself has
    /// is in none of its modules. Read once; nothing is fetched.
    pub fn in_module(&self, name: &str) -> Option<(String, String)> {
        let names = self.module_names.get_or_init(|| ModuleNames::of(self.kernels()));
        let (kernel, module) = names.places.get(*names.by_name.get(&hash(name))? as usize)?;
        Some((module.clone(), kernel.clone()))
    }
}

impl ModuleNames {
    fn of(mut kernels: Vec<(String, StoredKernel)>) -> ModuleNames {
        kernels.sort_by(|a, b| version::compare(&a.1.identity.release, &b.1.identity.release));
        let mut names = ModuleNames::default();
        for (name, kernel) in kernels.iter().rev() {
            names.add(name, kernel);
        }
        names
    }

    /// Adds what is not there yet. What cannot be read tells nothing.
    fn add(&mut self, kernel: &str, stored: &StoredKernel) {
        let own = stored.btf.as_ref().and_then(|file| Btf::parse(&fs::read(file).ok()?).ok());
        if let Some(own) = &own {
            for (module, btf) in stored.module_types().unwrap_or_default() {
                self.add_module(kernel, module, own.names_of_module(&btf));
            }
        }
        for (module, functions) in stored.module_functions().unwrap_or_default() {
            self.add_module(kernel, module, functions.iter().map(String::as_str));
        }
    }

    fn add_module<'a>(&mut self, kernel: &str, module: String, names: impl IntoIterator<Item = &'a str>) {
        let Ok(place) = u32::try_from(self.places.len()) else { return };
        for name in names {
            self.by_name.entry(hash(name)).or_insert(place);
        }
        self.places.push((kernel.to_owned(), module));
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

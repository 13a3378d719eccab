//! [`known_types`]: the kernels whose BTF is available; [`TypesAtHand`]: that BTF, with that of the modules that objects need.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::super::failure::Failure;
use crate::matrix::Project;
use crate::predict::{PredictedKernel, PredictedTypes, Subject};
use crate::source::{BtfFile, age};
use crate::store::{Store, StoredKernel};

/// The group of the kernels of the store.
const STORE: &str = "store";

/// The kernels of the places that were named, or those of the store.
pub(in super::super) fn known_types(project: &Project, places: &[PathBuf]) -> Result<Vec<PredictedKernel>, Failure> {
    let mut kernels = Vec::new();
    for place in places {
        let hint = "name raw BTF, an ELF file with a `.BTF` section, or a directory of such files".to_owned();
        let files = BtfFile::list(place).map_err(|error| Failure::input(error, Some(hint)))?;
        let kernel =
            |file: BtfFile| PredictedKernel { group: file.group, name: None, release: file.release, types: file.path };
        kernels.extend(files.into_iter().map(kernel));
    }
    if places.is_empty() {
        let mut known = project.store.kernels();
        known.sort_by_cached_key(|(_, kernel)| age(&kernel.identity.release));
        for (name, kernel) in known {
            let Some(types) = kernel.types().map(ToOwned::to_owned) else { continue };
            kernels.push(PredictedKernel {
                group: STORE.to_owned(),
                name: Some(name),
                release: kernel.identity.release,
                types,
            });
        }
        if kernels.is_empty() {
            let hint = "`corematrix run` fetches kernels; `--btf` reads the BTF of others".to_owned();
            return Err(Failure::infrastructure("no stored kernel has BTF", Some(hint)));
        }
    }
    Ok(kernels)
}

/// The types of kernels, with those of the modules that have what some objects look for.
pub(in super::super) struct TypesAtHand<'a> {
    store: &'a Store,
    /// The kernels of the store, by the place of their types.
    kernels: HashMap<PathBuf, StoredKernel>,
    wanted: BTreeMap<String, bool>,
}

impl<'a> TypesAtHand<'a> {
    pub(in super::super) fn of<'s>(store: &'a Store, subjects: impl Iterator<Item = &'s Subject>) -> TypesAtHand<'a> {
        TypesAtHand::of_names(store, subjects.flat_map(Subject::wanted_names))
    }

    /// With those of the modules that have these names; of each it is reported whether it is that of a function.
    pub(in super::super) fn of_names(
        store: &'a Store,
        wanted: impl IntoIterator<Item = (String, bool)>,
    ) -> TypesAtHand<'a> {
        // Modules go on where the kernel's own types end, not those that it was given.
        let own = store.kernels().into_iter().filter(|(_, kernel)| kernel.given_btf.is_none());
        let kernels = own.filter_map(|(_, kernel)| Some((kernel.btf.clone()?, kernel))).collect();
        TypesAtHand { store, kernels, wanted: wanted.into_iter().collect() }
    }

    /// Those of one kernel; in words why they cannot be read.
    pub(in super::super) fn read(&self, kernel: &PredictedKernel) -> Result<PredictedTypes, String> {
        let table = self.store.type_table(&kernel.types).map_err(|error| error.to_string())?;
        let has = |name: &str| table.has_name(name.as_bytes());
        let found = self.store.look_up_in_modules(self.kernels.get(&kernel.types), &self.wanted, &has);
        Ok(PredictedTypes::with_modules(table, found.types, found.names))
    }
}

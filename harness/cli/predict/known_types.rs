//! [`known_types`]: the kernels whose BTF is available.

use std::path::PathBuf;

use super::super::failure::Failure;
use crate::matrix::Project;
use crate::predict::PredictedKernel;
use crate::source::{BtfFile, age};

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

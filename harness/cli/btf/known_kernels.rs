//! [`KnownKernels`]: the kernels of a command that reads types, as far as available.

use super::super::failure::Failure;
use super::super::failure::store_failure;
use crate::matrix::Project;
use crate::object::btf::Btf;
use crate::store::{StoreError, StoredKernel};

/// Selects every kernel of the manifest.
const ALL: &str = "all";

/// The kernels that were asked for.
pub(in super::super) struct KnownKernels {
    /// In the order of the manifest, with their names.
    pub(in super::super) kernels: Vec<(String, StoredKernel)>,
    /// Names of those that the store does not have.
    pub(in super::super) absent: Vec<String>,
}

impl KnownKernels {
    /// The kernels that `selectors` choose, fetched if they have to be; without any, those of the manifest that the store has.
    pub(in super::super) fn of(
        project: &Project,
        selectors: &[String],
        offline: bool,
    ) -> Result<KnownKernels, Failure> {
        let everything = [ALL.to_owned()];
        let (wanted, offline) = if selectors.is_empty() { (&everything[..], true) } else { (selectors, offline) };
        let specs = project.select(wanted).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?;
        let mut known = KnownKernels { kernels: Vec::new(), absent: Vec::new() };
        for spec in specs.iter().flat_map(|spec| project.each_build(spec)) {
            let step = |step: String| eprintln!("{}: {step}", spec.name);
            match project.store.kernel(&spec, &project.lock, offline, &step) {
                Ok(kernel) => known.kernels.push((spec.name.clone(), kernel)),
                Err(error) if selectors.is_empty() && error.is_unavailable() => known.absent.push(spec.name.clone()),
                // One that was asked for by name has to be reported; one of a range may be left out.
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Offline { .. })) if spec.optional => {
                    eprintln!("kernel `{}` is skipped: {}", spec.name, error.reason());
                    known.absent.push(spec.name.clone());
                }
                Err(error) => return Err(store_failure(error)),
            }
        }
        if known.kernels.is_empty() {
            let hint = "`corematrix run` fetches kernels, and so does `--kernel NAME`".to_owned();
            return Err(Failure::infrastructure("none of the kernels is stored", Some(hint)));
        }
        Ok(known)
    }

    /// The raw BTF of a kernel.
    ///
    /// # Errors
    /// The kernel has none, or it cannot be read.
    pub(in super::super) fn btf((name, kernel): &(String, StoredKernel)) -> Result<Vec<u8>, Failure> {
        let Some(path) = kernel.types() else {
            let hint = "set `btf = \"FILE\"` in the kernel's table of the manifest".to_owned();
            return Err(Failure::input(format!("kernel `{name}` has no BTF"), Some(hint)));
        };
        std::fs::read(path)
            .map_err(|error| Failure::infrastructure(format!("read `{}`: {error}", path.display()), None))
    }

    /// What [`KnownKernels::btf`] gave, parsed.
    pub(in super::super) fn parsed((name, _): &(String, StoredKernel), raw: &[u8]) -> Result<Btf, Failure> {
        let failure =
            |error| Failure::infrastructure(format!("the BTF of kernel `{name}` cannot be read: {error}"), None);
        Btf::parse(raw).map_err(failure)
    }
}

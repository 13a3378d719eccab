//! [`RunPlace`]: where the objects of a run are found again.

use std::path::{Path, PathBuf};

use super::case::bundle_failure;
use crate::bundle::{self, Bundle};
use crate::cli::explain::found_again;
use crate::cli::failure::Failure;
use crate::cli::only_input::one;
use crate::object::{BpfObject, find_objects};
use crate::record::{ObjectRecord, RunRecord};
use crate::store::Store;

/// Where the objects of a cell of a run are found again.
pub(super) struct RunPlace<'a> {
    /// The project's directory.
    pub(super) project: &'a Path,
    /// Objects out of images and archives are in it.
    pub(super) store: &'a Store,
    /// The report's directory.
    pub(super) folder: &'a Path,
    /// The cell's kernel.
    pub(super) kernel: &'a str,
}

impl RunPlace<'_> {
    /// The objects that the programs of an object are loaded for, without itself.
    pub(super) fn targets(&self, record: &RunRecord, object: usize) -> Result<Vec<BpfObject>, Failure> {
        let targets = bundle::target_rows(record, object).into_iter();
        targets.map(|row| self.object(&record.objects[row])).collect()
    }

    /// An object of the run: where it was, even if it is another by now; else out of the bundle of its cell.
    pub(super) fn object(&self, record: &ObjectRecord) -> Result<BpfObject, Failure> {
        let base = record.base_name();
        let named = |mut object: BpfObject| {
            base.clone_into(&mut object.name);
            object
        };
        let mut missing = Vec::new();
        if let Some(same) = found_again(record, self.project, self.store, &mut missing) {
            return Ok(named(same));
        }
        let file = record.origin.rsplit_once(": ").map_or(record.origin.as_str(), |(file, _)| file);
        let places: Vec<PathBuf> =
            [PathBuf::from(file), self.project.join(file)].into_iter().filter(|at| at.is_file()).collect();
        if let Some(place) = places.first() {
            eprintln!("`{}` has changed since the run", place.display());
            let found = find_objects(std::slice::from_ref(place)).map(|found| found.objects).unwrap_or_default();
            let alone = found.len() == 1;
            let same = found.into_iter().find(|object| alone || object.name == base);
            return same.map(named).ok_or_else(|| {
                Failure::input(format!("`{}` no longer has an object `{base}`", place.display()), None)
            });
        }
        let bundle = self.folder.join(bundle::FOLDER).join(bundle::file_name(self.kernel, &record.name));
        if bundle.is_file() {
            eprintln!("the object is no longer at `{file}`: using the one from `{}`", bundle.display());
            let kept = Bundle::open(&bundle).map_err(bundle_failure)?;
            let scratch = tempfile::tempdir();
            let scratch = scratch
                .map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
            let laid_out = kept.lay_out(scratch.path()).map_err(bundle_failure)?;
            return only_object(&laid_out.object).map(named);
        }
        let hint = match file.contains("://") {
            true => "run the matrix again; it fetches the object again",
            false => "build it again",
        };
        Err(Failure::input(format!("the object is no longer at `{file}`"), Some(hint.to_owned())))
    }
}

/// The one object in a file.
pub(super) fn only_object(path: &Path) -> Result<BpfObject, Failure> {
    let found = find_objects(std::slice::from_ref(&path.to_owned())).map_err(|errors| {
        Failure::inputs(errors.into_iter().map(|error| {
            let hint = error.hint();
            (error.to_string(), hint)
        }))
    })?;
    one(found.objects, path)
}

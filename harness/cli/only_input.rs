//! [`OnlyInput`]: the one object of what a command works on.

use std::path::Path;

use super::failure::Failure;
use crate::matrix::{Inputs, Project};
use crate::object::BpfObject;
use crate::suite::Settings;

/// The one object of an input, which is everything that `corematrix run` takes.
pub(super) struct OnlyInput {
    /// The object.
    pub(super) object: BpfObject,
    /// The objects that its programs are loaded for.
    pub(super) targets: Vec<BpfObject>,
    /// What suites say of it and of its machine, and what loads it. One row of it is enough: without shapes, and by one loader.
    pub(super) settings: Settings,
}

impl OnlyInput {
    pub(super) fn find(project: &Project, path: &Path, offline: bool) -> Result<OnlyInput, Failure> {
        let mut found = project.inputs(&[path.to_owned()], offline, &|step| eprintln!("{step}"))?;
        project.assign_loaders(&mut found, &[])?;
        let Inputs { objects, notices, mut settings, .. } = found;
        notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
        let (targets, objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| is_target(&object.name, &settings));
        let object = one(objects, path)?;
        settings.loaders.iter_mut().for_each(|(_, assigned)| assigned.loaders.truncate(1));
        settings.shapes.clear();
        settings.least_privileges = false;
        Ok(OnlyInput { object, targets, settings })
    }
}

/// Whether a program of another object is loaded for one of this object.
fn is_target(name: &str, settings: &Settings) -> bool {
    let others = settings.loading.iter().filter(|(of, _)| of != name);
    let mut targets = others.flat_map(|(_, loading)| loading.target_objects());
    targets.any(|target| target == name)
}

/// The one among `objects`, which are those of `path`.
pub(super) fn one(objects: Vec<BpfObject>, path: &Path) -> Result<BpfObject, Failure> {
    let count = objects.len();
    <[BpfObject; 1]>::try_from(objects).map(|[object]| object).map_err(|_| {
        let hint = "run it with `corematrix run`, then name one of its objects: `corematrix repro latest KERNEL \
    OBJECT`"
            .to_owned();
        Failure::input(format!("`{}` holds {count} objects, but one is needed", path.display()), Some(hint))
    })
}

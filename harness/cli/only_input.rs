//! [`only_input`]: the one object of what a command works on.

use std::path::Path;

use super::failure::Failure;
use super::repro::case::one;
use crate::matrix::{Inputs, Project};
use crate::object::BpfObject;
use crate::suite::Settings;

/// The one object of an input, which is whatever `corematrix run` takes, and how it is loaded: what suites say of its loader, and which
/// that is. One row of it is enough: without shapes, and by one loader.
pub(super) fn only_input(project: &Project, path: &Path, offline: bool) -> Result<(BpfObject, Settings), Failure> {
    let mut found = project.inputs(&[path.to_owned()], offline, &|step| eprintln!("{step}"))?;
    project.assign_loaders(&mut found, &[])?;
    let Inputs { objects, notices, settings, .. } = found;
    notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let object = one(objects, path)?;
    let Settings { loading, mut loaders, .. } = settings;
    loaders.iter_mut().for_each(|(_, assigned)| assigned.loaders.truncate(1));
    Ok((object, Settings { loading, loaders, ..Settings::default() }))
}

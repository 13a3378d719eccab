//! [`older_builds`]: which older build belongs to which object.

use std::path::Path;

use super::failure::Failure;
use crate::plan::{Plan, PlannedObject};

/// Pairs each object with its older build, out of `file`: the one of the same name, or the only one if there is one of each.
///
/// # Errors
/// An object without an older build, or one that cannot be read.
pub(super) fn older_builds<'p>(
    file: &Path,
    old: &'p Plan,
    new: &'p mut Plan,
) -> Result<Vec<(&'p mut PlannedObject, &'p PlannedObject)>, Failure> {
    let is_only = old.objects.len() == 1 && new.objects.len() == 1;
    let mut pairs = Vec::new();
    for newer in &mut new.objects {
        let name = newer.shape.as_ref().map_or(&newer.object.name, |shape| &shape.of);
        let Some(older) = old.objects.iter().find(|older| is_only || older.object.name == *name) else {
            let hint = format!("`{}` contains {}", file.display(), old.rows().join(", "));
            return Err(Failure::input(
                format!("`{}` contains no older build of `{name}`", file.display()),
                Some(hint),
            ));
        };
        for side in [older, &*newer] {
            if let Some(broken) = &side.broken {
                return Err(Failure::input(format!("`{}` cannot be read: {broken}", side.object.name), None));
            }
        }
        pairs.push((newer, older));
    }
    Ok(pairs)
}

//! [`groups`], [`optional`], [`proposed`]: what suites and names say of several programs together, for each shape of their objects.

use super::{PlannedObject, PlannedShape};
use crate::alternatives;
use crate::record::{Alternative, AlternativesRecord, OptionalRecord};

/// The groups, once more for each shape of their objects.
pub(super) fn groups(objects: &[PlannedObject], groups: Vec<AlternativesRecord>) -> Vec<AlternativesRecord> {
    let mut all = Vec::new();
    for group in groups {
        let mut shapes: Vec<&PlannedShape> = Vec::new();
        for shape in objects.iter().filter_map(|object| object.shape.as_ref()) {
            let is_member = group.members.iter().any(|member| member.object == shape.of);
            if is_member && !shapes.iter().any(|known| known.shape.name == shape.shape.name) {
                shapes.push(shape);
            }
        }
        let shaped = shapes.into_iter().map(|PlannedShape { shape, .. }| {
            let mut group = group.clone();
            group.name = format!("{}@{}", group.name, shape.name);
            for member in &mut group.members {
                let name = format!("{}@{}", member.object, shape.name);
                if objects.iter().any(|object| object.shape.is_some() && object.object.name == name) {
                    member.object = name;
                }
            }
            group
        });
        let shaped: Vec<AlternativesRecord> = shaped.collect();
        all.push(group);
        all.extend(shaped);
    }
    all
}

/// What may fail, once more for each shape of its object.
pub(super) fn optional(objects: &[PlannedObject], optional: &[OptionalRecord]) -> Vec<OptionalRecord> {
    let mut all = optional.to_vec();
    for object in objects {
        let of = object.shape.as_ref().map(|shape| shape.of.as_str());
        all.extend(optional.iter().filter(|one| of == Some(one.what.object.as_str())).cloned().map(|mut one| {
            one.what.object.clone_from(&object.object.name);
            one
        }));
    }
    all
}

/// What corematrix proposes, where no suite has spoken.
pub(super) fn proposed(objects: &[PlannedObject], declared: &[AlternativesRecord]) -> Vec<AlternativesRecord> {
    let of = |object: &PlannedObject| alternatives::proposed(&object.object.name, &object.programs);
    let known = |member: &Alternative| declared.iter().any(|group| group.members.contains(member));
    let whole = objects.iter().filter(|object| object.shape.is_none());
    whole.flat_map(of).filter(|group| !group.members.iter().any(known)).collect()
}

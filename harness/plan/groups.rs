//! [`groups`], [`optional`], [`proposed`]: what suites and names say of several programs together, for each shape of their objects.

use super::{PlannedObject, PlannedShape};
use crate::alternatives;
use crate::record::{Alternative, AlternativesRecord, OptionalRecord};

/// The groups, once more for each shape of their objects and each other loader.
pub(super) fn groups(objects: &[PlannedObject], groups: Vec<AlternativesRecord>) -> Vec<AlternativesRecord> {
    let shapes = |object: &PlannedObject| {
        let PlannedShape { of, shape } = object.shape.as_ref().filter(|_| object.beside.is_none())?;
        Some(Variant { of: of.clone(), name: shape.name.clone() })
    };
    let loaders = |object: &PlannedObject| {
        let of = object.beside.clone()?;
        let name = object.object.name.strip_prefix(&of)?.strip_prefix('@')?.to_owned();
        Some(Variant { of, name })
    };
    with_variants(objects, with_variants(objects, groups, shapes), loaders)
}

/// A row of an object that is tried otherwise: `OF@NAME`.
struct Variant {
    of: String,
    name: String,
}

fn with_variants(
    objects: &[PlannedObject],
    groups: Vec<AlternativesRecord>,
    variant: impl Fn(&PlannedObject) -> Option<Variant>,
) -> Vec<AlternativesRecord> {
    let variants: Vec<Variant> = objects.iter().filter_map(variant).collect();
    let mut all = Vec::new();
    for group in groups {
        let mut names: Vec<&str> = Vec::new();
        for variant in &variants {
            let is_member = group.members.iter().any(|member| member.object == variant.of);
            if is_member && !names.contains(&variant.name.as_str()) {
                names.push(&variant.name);
            }
        }
        let varied = names.into_iter().map(|name| {
            let mut group = group.clone();
            group.name = format!("{}@{name}", group.name);
            for member in &mut group.members {
                if variants.iter().any(|variant| variant.of == member.object && variant.name == name) {
                    member.object = format!("{}@{name}", member.object);
                }
            }
            group
        });
        let varied: Vec<AlternativesRecord> = varied.collect();
        all.push(group);
        all.extend(varied);
    }
    all
}

/// What may fail, once more for each shape of its object and each other loader.
pub(super) fn optional(objects: &[PlannedObject], optional: &[OptionalRecord]) -> Vec<OptionalRecord> {
    let mut all = optional.to_vec();
    for object in objects {
        // The row of another loader comes behind the row that it is beside.
        let of_shape = object.shape.as_ref().map(|shape| shape.of.as_str());
        let Some(of) = object.beside.as_deref().or(of_shape) else { continue };
        let own: Vec<OptionalRecord> = all.iter().filter(|one| one.what.object == of).cloned().collect();
        all.extend(own.into_iter().map(|mut one| {
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
    let whole = objects.iter().filter(|object| object.shape.is_none() && object.beside.is_none());
    whole.flat_map(of).filter(|group| !group.members.iter().any(known)).collect()
}

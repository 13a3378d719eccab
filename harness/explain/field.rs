//! The story of a field: which kernels have it, and what stands in its place.

use super::presence::{FieldOn, field_on};
use super::replacement::{self, Ranked};
use super::snippet::{self, Layout};
use super::spec::LocalSpec;
use super::walk::Local;
use super::{KernelTypes, group, named, nearest_with};
use crate::object::btf::Btf;
use crate::record::{Boundary, Explanation, OnKernel, Presence, Subject};

/// Explains a relocation that asks about a field.
pub(super) fn explain(spec: &LocalSpec, local: &Btf, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let local = Local::of(spec, local);
    let fields: Vec<FieldOn> = matrix.iter().map(|&kernel| field_on(spec, local.as_ref(), kernel)).collect();
    let present: Vec<bool> = fields.iter().map(|field| field.presence.is_present()).collect();

    let mut layouts: Vec<Layout<'_>> = Vec::new();
    let mut found = Vec::new();
    for (index, (&kernel, field)) in matrix.iter().zip(&fields).enumerate() {
        let with = nearest_with(&present, index);
        match (&field.walked, field.root) {
            (Some(Ok(_)), Some(root)) => snippet::add_layout(&mut layouts, kernel, root, &spec.path),
            (Some(Err(miss)), Some(root)) => {
                let reference = with.and_then(|with| Some((matrix[with], fields[with].root?)));
                let ranked = replacement::find(spec, local.as_ref(), kernel, *miss, reference);
                if let Some(best) = ranked.first().filter(|best| best.is_good()) {
                    snippet::add_layout(&mut layouts, kernel, root, &best.path);
                }
                let key: Vec<_> =
                    ranked.iter().map(|one| (one.path.clone(), one.replacement.type_name.clone())).collect();
                found.push((
                    kernel.name.to_owned(),
                    key,
                    ranked.into_iter().map(|Ranked { replacement, .. }| replacement).collect(),
                ));
            }
            _ => {
                let old = with.and_then(|with| Some((matrix[with].btf, fields[with].root?)));
                let old = old.or_else(|| local.as_ref().map(|local| (local.btf, local.root)));
                let replacements = named::similar_types(spec, kernel.btf, old);
                let key = replacements.iter().map(|one| (Vec::new(), one.path.clone())).collect();
                found.push((kernel.name.to_owned(), key, replacements));
            }
        }
    }

    let boundary = Boundary::of(matrix.iter().map(|kernel| kernel.name).zip(present));
    let mut notes = Vec::new();
    if spec.cut {
        notes.push("libbpf cut the name in its log; the last part of it may be longer.".to_owned());
    }
    let unknown =
        |field: &FieldOn| matches!(field.presence, Presence::MissingMember { .. } | Presence::MissingType { .. });
    if fields.iter().all(unknown) {
        notes.push(
            "No kernel of this matrix has it: a type of the object's own, a name that was mistyped, or one that only \
             other kernels have."
                .to_owned(),
        );
    }
    if fields.iter().any(|field| field.root.is_none()) {
        notes.push(
            "A type that is missing from vmlinux may be in a module; libbpf looks there too, if the module is loaded."
                .to_owned(),
        );
    }
    let snippets = if boundary == Boundary::Everywhere { None } else { snippet::field(spec, &layouts, matrix.len()) };
    let presence = matrix.iter().zip(fields);
    Explanation {
        first: None,
        subject: Subject::Field,
        name: spec.to_string(),
        kernel: failed.to_owned(),
        headline: None,
        presence: presence
            .map(|(kernel, field)| OnKernel { kernel: kernel.name.to_owned(), presence: field.presence })
            .collect(),
        boundary: Some(boundary),
        in_its_place: group(found),
        notes,
        snippets: snippets.into_iter().collect(),
    }
}

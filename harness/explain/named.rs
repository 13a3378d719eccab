//! The stories of a type and of an enumerator.

use super::known::KnownTypes;
use super::spec::{LocalSpec, type_text};
use super::walk::Local;
use super::{KernelTypes, group, history, nearest_with, similarity, snippet, types_of};
use crate::object::btf::{Btf, Want, essential_name};
use crate::record::{Boundary, Explanation, OnKernel, Presence, Replacement, Subject};

/// Why something is likely to have come for what went.
pub(super) const NEW: &str = "absent on kernels that have the old one";

/// Replacements shown for one kernel.
const MAX_TOLD: usize = 3;

/// Names less alike than this are not shown.
const MIN_NAME: f64 = 0.5;

/// Explains a relocation that asks about a type.
pub(super) fn explain_type(
    spec: &LocalSpec,
    local: &Btf,
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
    failed: &str,
) -> Option<Explanation> {
    let want = spec.want()?;
    let ids: Vec<Option<u32>> = matrix.iter().map(|kernel| kernel.btf.find(&spec.type_name, want)).collect();
    let presence = matrix.iter().zip(&ids).map(|(kernel, id)| match id {
        Some(id) => on(kernel, Presence::Type { size: kernel.btf.size_of(*id) }),
        None => on(kernel, Presence::MissingType { type_name: essential_root(spec) }),
    });
    let present: Vec<bool> = ids.iter().map(Option::is_some).collect();
    let found = matrix.iter().enumerate().filter(|(index, _)| !present[*index]).map(|(index, kernel)| {
        let old = nearest_with(&present, index).and_then(|with| Some((matrix[with].btf, ids[with]?)));
        let old = old.or_else(|| Local::of(spec, local).map(|local| (local.btf, local.root)));
        let replacements = similar_types(spec, kernel.btf, old);
        let key: Vec<String> = replacements.iter().map(|one| one.path.clone()).collect();
        (kernel.name.to_owned(), key, replacements)
    });
    let in_its_place = group(found);
    let (guard, here) = (snippet::type_exists(spec), types_of(matrix, failed));
    let snippet = guard.and_then(|guard| guard.unless_idle(here, false));
    let history = history::of_presence(spec, (essential_root(spec), snippet.as_ref()), matrix, known, |btf| {
        btf.find(&spec.type_name, want).is_some()
    });
    Some(Explanation {
        first: None,
        subject: Subject::Type,
        name: essential_root(spec),
        kernel: failed.to_owned(),
        headline: None,
        presence: presence.collect(),
        boundary: Some(boundary(matrix, &present)),
        in_its_place,
        history: Some(history),
        notes: Vec::new(),
        snippets: snippet.into_iter().collect(),
        proof: None,
    })
}

/// Types of a kernel that may stand in the place of the spec's root type: the same name as another kind, a like name, or
/// a new struct with like members. `old` is the type where it is there.
pub(super) fn similar_types(spec: &LocalSpec, target: &Btf, old: Option<(&Btf, u32)>) -> Vec<Replacement> {
    let name = essential_name(&spec.type_name);
    let mut found = Vec::new();
    for (want, keyword) in [(Want::Struct, "struct"), (Want::Union, "union"), (Want::Enum, "enum"), (Want::Typedef, "")]
    {
        if Some(want) != spec.want() && target.find(name, want).is_some() {
            let why = vec!["same name, another kind of type".to_owned()];
            found.push(replacement(type_text(keyword, name), String::new(), 1.0, why));
        }
    }
    let Some(want) = spec.want() else {
        return found;
    };
    for (id, candidate) in target.named(want) {
        let by_name = similarity::names(name, &candidate);
        let known = old.is_some_and(|(btf, _)| btf.find(&candidate, want).is_some());
        // A type that stood beside the missing one does not replace it, unless it is all but the same name.
        if known && by_name < 0.9 {
            continue;
        }
        // Comparing members costs; a struct that shares no word of the name is no heir, as far as one can tell.
        let akin = candidate.split('_').any(|word| word.len() > 2 && name.split('_').any(|other| other == word));
        let members = match old {
            Some((btf, old)) if akin => similarity::shared_members(btf, old, target, id),
            _ => 0.0,
        };
        if by_name < MIN_NAME && members < 0.6 {
            continue;
        }
        let mut why = Vec::new();
        why.extend((by_name >= MIN_NAME).then(|| "similar name".to_owned()));
        why.extend((members >= 0.5).then(|| "similar members".to_owned()));
        why.extend((!known && old.is_some()).then(|| NEW.to_owned()));
        let score = (0.6 * by_name + 0.4 * members + if known { 0.0 } else { 0.1 }).min(1.0);
        found.push(replacement(type_text(&spec.type_kind, &candidate), String::new(), score, why));
    }
    best(found)
}

/// Explains a relocation that asks about an enumerator.
pub(super) fn explain_enumerator(
    spec: &LocalSpec,
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
    failed: &str,
) -> Option<Explanation> {
    let (enumerator, value) = spec.enumerator.clone()?;
    let mut explanation = enumerator_story(spec, &enumerator, matrix, failed);
    explanation.snippets.extend(snippet::enumerator_exists(&spec.type_name, &enumerator, value));
    let want = spec.want().unwrap_or(Want::Enum);
    let name = explanation.name.clone();
    let snippet = explanation.snippets.first();
    explanation.history = Some(history::of_presence(spec, (name, snippet), matrix, known, |btf| {
        btf.candidates(&spec.type_name, want).any(|id| btf.enumerator(id, &enumerator).is_some())
    }));
    let values: std::collections::BTreeSet<i64> = explanation
        .presence
        .iter()
        .filter_map(|on| match on.presence {
            Presence::Value { value } => Some(value),
            _ => None,
        })
        .collect();
    if values.len() > 1 {
        explanation.notes.push(
            "Its value differs between kernels: read it with `bpf_core_enum_value`, not as a constant.".to_owned(),
        );
    }
    Some(explanation)
}

/// The presence of an enumerator, without snippets.
fn enumerator_story(spec: &LocalSpec, name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let want = spec.want().unwrap_or(Want::Enum);
    let presence: Vec<OnKernel> = matrix
        .iter()
        .map(|kernel| {
            let btf = kernel.btf;
            // As libbpf does: any of the candidates may have it.
            let value = btf.candidates(&spec.type_name, want).find_map(|id| btf.enumerator(id, name));
            let presence = match value {
                Some(value) => Presence::Value { value: value.value },
                None if btf.find(&spec.type_name, want).is_some() => Presence::MissingEnumerator {
                    in_type: essential_root(spec),
                    enumerator: essential_name(name).to_owned(),
                },
                None => Presence::MissingType { type_name: essential_root(spec) },
            };
            on(kernel, presence)
        })
        .collect();
    let present: Vec<bool> = presence.iter().map(|on| on.presence.is_present()).collect();
    let found = matrix.iter().enumerate().filter(|(index, _)| !present[*index]).map(|(index, kernel)| {
        let old = nearest_with(&present, index).map(|with| matrix[with].btf);
        let replacements = similar_enumerators(spec, name, kernel.btf, old, want);
        let key: Vec<String> = replacements.iter().map(|one| one.path.clone()).collect();
        (kernel.name.to_owned(), key, replacements)
    });
    Explanation {
        first: None,
        subject: Subject::Enumerator,
        name: format!("{}::{}", essential_root(spec), essential_name(name)),
        kernel: failed.to_owned(),
        headline: None,
        in_its_place: group(found),
        history: None,
        boundary: Some(boundary(matrix, &present)),
        presence,
        notes: Vec::new(),
        snippets: Vec::new(),
        proof: None,
    }
}

/// Names of the same enum that are like the missing one and were not there beside it; and other enums that have it.
fn similar_enumerators(spec: &LocalSpec, name: &str, target: &Btf, old: Option<&Btf>, want: Want) -> Vec<Replacement> {
    let name = essential_name(name);
    let mut found = Vec::new();
    for id in target.candidates(&spec.type_name, want) {
        for value in target.enumerators(id) {
            let candidate = target.string(value.name_offset).unwrap_or_default();
            let score = similarity::names(name, &candidate);
            let stood_beside = old.is_some_and(|old| {
                old.candidates(&spec.type_name, want).any(|id| old.enumerator(id, &candidate).is_some())
            });
            if score >= MIN_NAME && !stood_beside {
                let mut why = vec!["similar name".to_owned()];
                why.extend(old.is_some().then(|| NEW.to_owned()));
                found.push(replacement(candidate, format!("value {}", value.value), score * 0.9, why));
            }
        }
    }
    for (id, other) in target.named(Want::Enum) {
        if other != essential_name(&spec.type_name) && target.enumerator(id, name).is_some() {
            let why = vec!["same name in another enum".to_owned()];
            found.push(replacement(format!("enum {other}::{name}"), String::new(), 1.0, why));
        }
    }
    best(found)
}

fn replacement(path: String, type_name: String, score: f64, why: Vec<String>) -> Replacement {
    Replacement { path, type_name, offset: None, score, why }
}

/// The best few, best first.
pub(super) fn best(mut found: Vec<Replacement>) -> Vec<Replacement> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    found.truncate(MAX_TOLD);
    found
}

pub(super) fn on(kernel: &KernelTypes<'_>, presence: Presence) -> OnKernel {
    OnKernel { kernel: kernel.name.to_owned(), presence }
}

pub(super) fn boundary(matrix: &[KernelTypes<'_>], present: &[bool]) -> Boundary {
    Boundary::of(matrix.iter().map(|kernel| kernel.name).zip(present.iter().copied()))
}

/// The root type without its flavour: what is looked for in kernels.
fn essential_root(spec: &LocalSpec) -> String {
    type_text(&spec.type_kind, essential_name(&spec.type_name))
}

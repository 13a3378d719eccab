//! [`Replacement`]: what replaces a missing member, ranked.

mod search;

use super::KernelTypes;
use super::spec::{LocalSpec, PathStep};
use super::walk::{Local, Miss, walk};
use crate::record::Replacement;
use search::{Around, MemberSearch, ReferenceKernel};

/// A replacement this good may be written into a guard.
const GOOD_SCORE: f64 = 0.6;

/// Replacements shown for one kernel.
const MOST_SHOWN: usize = 3;

/// Replacements whose score is lower than this share of the best one's are not shown.
const CLOSE: f64 = 0.85;

/// A replacement for a member, with its path as steps.
#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub replacement: Replacement,
    /// From the root type.
    pub path: Vec<PathStep>,
}

impl Ranked {
    pub(super) fn is_good(&self) -> bool {
        self.replacement.score >= GOOD_SCORE
    }
}

/// Finds what replaces a missing member. `reference` is the nearest kernel that has the field, with its
/// root type.
pub(super) fn find(
    spec: &LocalSpec,
    local: Option<&Local<'_>>,
    target: KernelTypes<'_>,
    miss: Miss,
    reference: Option<(KernelTypes<'_>, u32)>,
) -> Vec<Ranked> {
    let (step, parent) = match miss {
        Miss::Member { step, parent } | Miss::OtherKind { step, parent, .. } => (step, parent),
        Miss::Element { .. } => return Vec::new(),
    };
    let Some(PathStep::Member(name)) = spec.path.get(step) else {
        return Vec::new();
    };
    let around = Around { before: &spec.path[..step], rest: &spec.path[step + 1..] };
    let names = spec.path[step..].iter().filter_map(|step| match step {
        PathStep::Member(name) => Some(name.as_str()),
        PathStep::Index(_) | PathStep::Follow => None,
    });
    let walk_reference = |end: usize| {
        let (kernel, root) = reference?;
        Some((kernel.btf, walk(kernel.btf, root, &spec.path[..end], None).ok()?.type_id))
    };
    let known = |end: usize| {
        walk_reference(end).or_else(|| local.and_then(|local| Some((local.btf, local.after(end.checked_sub(1)?)?))))
    };
    let mut search = MemberSearch {
        target: target.btf,
        missing_from: parent,
        name,
        long_name: names.collect::<Vec<_>>().join("_"),
        member_type: known(step + 1),
        leaf_type: known(spec.path.len()),
        reference: reference.zip(walk_reference(step)).map(|((kernel, _), (btf, parent))| ReferenceKernel {
            kernel: kernel.name,
            btf,
            parent,
        }),
        neighbours: (None, None),
    };
    search.neighbours =
        search.reference.as_ref().map(|at| search::neighbours(at.btf, at.parent, name)).unwrap_or_default();

    let mut ranked = Vec::new();
    if let Miss::OtherKind { place, .. } = miss {
        let replacement = Replacement {
            path: String::new(),
            type_name: target.btf.type_name(place.type_id),
            offset: Some(place.bit_offset / 8),
            score: 1.0,
            why: vec!["same name, another kind of type".to_owned()],
        };
        ranked.push(search.ranked(replacement, around, vec![PathStep::Member(name.clone())], place.type_id));
    } else {
        search.members_of(parent, around, &mut ranked);
        search.members_behind(parent, around, &mut ranked);
    }
    if ranked.is_empty() {
        search.members_in_the_same_bytes(parent, around.before, &mut ranked);
    }
    // Of equal scores the shorter path, then the first in the struct.
    ranked.sort_by(|a, b| b.replacement.score.total_cmp(&a.replacement.score).then(a.path.len().cmp(&b.path.len())));
    let best = ranked.first().map_or(0.0, |best| best.replacement.score);
    ranked.retain(|one| one.replacement.score >= best * CLOSE);
    ranked.truncate(MOST_SHOWN);
    ranked
}

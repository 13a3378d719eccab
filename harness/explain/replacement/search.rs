//! [`MemberSearch`]: the members of a kernel's struct, and of those that it embeds or points to, by how well they replace a missing one.

use super::super::similarity;
use super::super::spec::{PathStep, path_text, type_text};
use super::super::walk::walk;
use super::{GOOD_SCORE, Ranked, Replacement};
use crate::object::btf::{Btf, MemberPlace, TypeKind, Want};

/// Replacements with a lower score are not shown.
const MIN_SCORE: f64 = 0.4;

/// What only lies in the same bytes; too little for a guard.
const BYTES_SCORE: f64 = 0.3;

/// Members of a struct that are shown if nothing else is known.
const FEW_MEMBERS: usize = 4;

/// The kernel where the field is as the object knows it, and the struct that the member is missing from, there.
pub(super) struct ReferenceKernel<'a> {
    pub kernel: &'a str,
    pub btf: &'a Btf,
    pub parent: u32,
}

/// What a search looks for.
pub(super) struct MemberSearch<'a> {
    /// The kernel without the field.
    pub target: &'a Btf,
    /// The struct there that lacks the member.
    pub missing_from: u32,
    /// Name of the missing member.
    pub name: &'a str,
    /// The name with those of the members behind it: `i_ctime_tv_sec`.
    pub long_name: String,
    /// BTF and type id of the member where it is there; the object's own if it is nowhere.
    pub member_type: Option<(&'a Btf, u32)>,
    /// BTF and type id of what the whole path leads to.
    pub leaf_type: Option<(&'a Btf, u32)>,
    pub reference: Option<ReferenceKernel<'a>>,
    /// Names of the members before and behind it on the reference kernel.
    pub neighbours: (Option<String>, Option<String>),
}

/// The path around the missing member.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// The steps before it.
    pub before: &'a [PathStep],
    /// The steps behind it.
    pub rest: &'a [PathStep],
}

/// A member that may replace the missing one.
struct ScoredMember<'a> {
    score: f64,
    why: Vec<String>,
    path: Vec<PathStep>,
    place: &'a MemberPlace,
}

impl MemberSearch<'_> {
    /// Where nothing is alike: the members that are new and lie where the missing one was, as far as the layouts can be compared.
    pub(super) fn members_in_the_same_bytes(&self, parent: u32, before: &[PathStep], ranked: &mut Vec<Ranked>) {
        let places = self.target.members(parent);
        let bits = |btf: &Btf, place: &MemberPlace| {
            let size = match place.bitfield_size {
                0 => u64::from(btf.size_of(place.type_id).unwrap_or_default()) * 8,
                bits => u64::from(bits),
            };
            place.bit_offset..place.bit_offset + size
        };
        let replacement = |place: &MemberPlace, why: String| {
            let name = self.target.string(place.name_offset)?;
            let path: Vec<PathStep> = before.iter().cloned().chain([PathStep::Member(name)]).collect();
            let (type_name, offset) = (self.target.type_name(place.type_id), Some(place.bit_offset / 8));
            let replacement =
                Replacement { path: path_text(&path), type_name, offset, score: BYTES_SCORE, why: vec![why] };
            Some(Ranked { replacement, path })
        };
        match &self.reference {
            // Where the struct has another size, what moved and what replaced it cannot be told apart.
            Some(old) if old.btf.size_of(old.parent) == self.target.size_of(parent) => {
                let Some(place) = old.btf.member(old.parent, self.name) else { return };
                let gone = bits(old.btf, &place);
                let is_new = |place: &&MemberPlace| {
                    let name = self.target.string(place.name_offset).unwrap_or_default();
                    let here = bits(self.target, place);
                    old.btf.member(old.parent, &name).is_none() && here.start < gone.end && gone.start < here.end
                };
                let why = |place: &MemberPlace| {
                    let size = self.target.size_of(place.type_id).unwrap_or_default();
                    format!("new here, {size} bytes, at the offset of `{}` on {}", self.name, old.kernel)
                };
                ranked.extend(places.iter().filter(is_new).filter_map(|place| replacement(place, why(place))));
            }
            None if places.len() <= FEW_MEMBERS => {
                let why = || match places.len() {
                    1 => "the only member of its struct".to_owned(),
                    count => format!("one of the {count} members of its struct"),
                };
                ranked.extend(places.iter().filter_map(|place| replacement(place, why())));
            }
            _ => {}
        }
    }

    /// Members of the struct itself.
    pub(super) fn members_of(&self, parent: u32, around: Around<'_>, ranked: &mut Vec<Ranked>) {
        let places = self.target.members(parent);
        for (index, place) in places.iter().enumerate() {
            let name = self.target.string(place.name_offset).unwrap_or_default();
            let beside = (index.checked_sub(1).and_then(|at| places.get(at)), places.get(index + 1));
            let old = self.reference.as_ref().map(|at| (at.btf, at.parent));
            let (mut score, mut why) = self.judge(&name, place, old, 1.0);
            let mut stands = 0.0;
            for (word, ours, theirs) in
                [("after", &self.neighbours.0, beside.0), ("before", &self.neighbours.1, beside.1)]
            {
                let theirs = theirs.and_then(|place| self.target.string(place.name_offset));
                if let Some(neighbour) =
                    ours.clone().filter(|ours| theirs.is_some_and(|theirs| same_name(ours, &theirs)))
                {
                    stands += 0.1;
                    why.push(format!("{word} `{neighbour}`, as the old field"));
                }
            }
            score += stands;
            // Between the same two members nothing else can have come.
            if stands > 0.15 && self.type_score(place.type_id) >= 0.4 {
                score = score.max(GOOD_SCORE + 0.05);
            }
            self.keep(ScoredMember { score, why, path: vec![PathStep::Member(name)], place }, around, ranked);
        }
    }

    /// Members of the structs that the struct embeds or points to. Only a like name of a like type counts there.
    pub(super) fn members_behind(&self, parent: u32, around: Around<'_>, ranked: &mut Vec<Ranked>) {
        for outer in self.target.members(parent) {
            let outer_name = self.target.string(outer.name_offset).unwrap_or_default();
            let (follow, inner_id) = match self.target.resolve(outer.type_id).map(|found| &found.kind) {
                Some(TypeKind::Pointer(pointee)) => (true, *pointee),
                Some(TypeKind::Composite { .. }) => (false, outer.type_id),
                _ => continue,
            };
            // The struct that points to itself would offer its own members again.
            if self.target.resolve_id(inner_id) == self.target.resolve_id(parent) {
                continue;
            }
            let type_name = inner_id_name(self.target, inner_id);
            let old = self.reference.as_ref().and_then(|at| {
                let want = type_name.as_ref().map(|(want, _)| *want)?;
                Some((at.btf, at.btf.find(&type_name.as_ref()?.1, want)?))
            });
            for place in self.target.members(inner_id) {
                let name = self.target.string(place.name_offset).unwrap_or_default();
                if similarity::names(self.name, &name) < 0.85 || self.type_score(place.type_id) < 0.8 {
                    continue;
                }
                let (score, mut why) = self.judge(&name, &place, old, 0.9);
                if let Some((want, name)) = &type_name {
                    let keyword = if *want == Want::Union { "union" } else { "struct" };
                    why.push(format!("in `{}`", type_text(keyword, name)));
                }
                let mut path = vec![PathStep::Member(outer_name.clone())];
                path.extend(follow.then_some(PathStep::Follow));
                path.push(PathStep::Member(name));
                self.keep(ScoredMember { score, why, path, place: &place }, around, ranked);
            }
        }
    }

    /// How alike the type is to that of the missing member, or to that of what the whole path leads to.
    fn type_score(&self, id: u32) -> f64 {
        let score = |known: &Option<(&Btf, u32)>| {
            known.map_or(0.0, |(btf, ours)| similarity::types(btf, ours, self.target, id))
        };
        score(&self.member_type).max(score(&self.leaf_type))
    }

    /// Score and reasons of one member, without its neighbours. `old` is the struct that declares it on the reference
    /// kernel; a member that stood there beside the missing one hardly replaces it.
    fn judge(&self, name: &str, place: &MemberPlace, old: Option<(&Btf, u32)>, factor: f64) -> (f64, Vec<String>) {
        let mut by_name = similarity::names(self.name, name).max(similarity::names(&self.long_name, name));
        // `i_ctime_nsec` stands for `i_ctime.tv_nsec` rather than `i_ctime_sec`.
        let last_word = |name: &str| name.rsplit('_').next().unwrap_or_default().to_owned();
        if self.long_name != self.name && last_word(&self.long_name) == last_word(name) {
            by_name = (by_name + 0.2).min(1.1);
        }
        let by_type = self.type_score(place.type_id);
        let mut why = Vec::new();
        if same_name(self.name, name) {
            by_name = 1.2;
            why.push(if self.name == name { "same name" } else { "same name except for underscores" }.to_owned());
        } else if by_name >= 0.5 {
            why.push("similar name".to_owned());
        }
        match by_type {
            1.0 => why.push("same type".to_owned()),
            0.5.. => why.push("similar type".to_owned()),
            _ => {}
        }
        // Numbers are everywhere; a struct like the missing one is a rare thing.
        let element = |id: u32| match self.target.resolve(id).map(|found| &found.kind) {
            Some(TypeKind::Array { element, .. }) => *element,
            _ => id,
        };
        let weight = match self.target.resolve(element(place.type_id)).map(|found| &found.kind) {
            Some(TypeKind::Composite { .. }) => 0.45,
            Some(TypeKind::Pointer(pointee)) if inner_id_name(self.target, *pointee).is_some() => 0.3,
            _ => 0.15,
        };
        let base = 0.5 * by_name + weight * by_type;
        let Some(reference) = &self.reference else {
            // Without a kernel that has the field nothing can be said about its age: names and types decide alone.
            return (base * 0.9 * factor, why);
        };
        if old.is_some_and(|(btf, id)| btf.member(id, name).is_some()) {
            return (base * 0.6 * factor, why);
        }
        why.push(format!("{} does not have it", reference.kernel));
        ((base + 0.15) * factor, why)
    }

    /// How much of the claim on a new member is left to the missing one: little, if another member that went too is more
    /// like it. `i_atime_sec` stands for `i_atime`, not for `i_ctime`.
    fn share(&self, path: &[PathStep]) -> f64 {
        let (Some(reference), [PathStep::Member(candidate)]) = (&self.reference, path) else {
            return 1.0;
        };
        let ours = similarity::names(self.name, candidate);
        let names = reference.btf.members(reference.parent);
        let rival = names.iter().filter_map(|place| reference.btf.text(place.name_offset)).any(|other| {
            other != self.name
                && similarity::names(&other, candidate) > ours
                && similarity::names(&other, candidate) >= 0.85
                && self.target.member(self.missing_from, &other).is_none()
        });
        if rival { 0.5 } else { 1.0 }
    }

    /// Keeps a member if its score is high enough. `path` leads to it from the struct that lacks the member.
    fn keep(&self, found: ScoredMember<'_>, around: Around<'_>, ranked: &mut Vec<Ranked>) {
        let ScoredMember { mut score, mut why, path, place } = found;
        let inner = match around.rest.iter().find(|step| matches!(step, PathStep::Member(_))) {
            Some(PathStep::Member(name)) if self.tail(place.type_id, around.rest).is_some() => Some(name),
            _ => None,
        };
        if let Some(inner) = inner {
            score += 0.1;
            why.push(format!("contains `{inner}`"));
        }
        let score = (score * self.share(&path)).min(1.0);
        if score >= MIN_SCORE {
            let type_name = self.target.type_name(place.type_id);
            let replacement =
                Replacement { path: String::new(), type_name, offset: Some(place.bit_offset / 8), score, why };
            ranked.push(self.ranked(replacement, around, path, place.type_id));
        }
    }

    /// The replacement with its whole path: what stands before it, the new steps, and as much behind them as still leads
    /// somewhere.
    pub(super) fn ranked(
        &self,
        replacement: Replacement,
        around: Around<'_>,
        path: Vec<PathStep>,
        type_id: u32,
    ) -> Ranked {
        let (tail, leaf) = self.tail(type_id, around.rest).unwrap_or_default();
        let path: Vec<PathStep> = around.before.iter().cloned().chain(path).chain(tail).collect();
        let type_name = leaf.map_or(replacement.type_name, |leaf| self.target.type_name(leaf));
        Ranked { replacement: Replacement { path: path_text(&path), type_name, ..replacement }, path }
    }

    /// The rest of the path from a type on, through the first element where an array came between, and without the
    /// struct in between where that fell away; with the type that it leads to.
    fn tail(&self, type_id: u32, rest: &[PathStep]) -> Option<(Vec<PathStep>, Option<u32>)> {
        if rest.is_empty() {
            return None;
        }
        let with_element: Vec<PathStep> = [PathStep::Index(0)].into_iter().chain(rest.iter().cloned()).collect();
        let array = matches!(self.target.resolve(type_id)?.kind, TypeKind::Array { .. });
        let attempts = match array {
            // `rss_stat.count[0]` became `rss_stat[0].count`.
            true => vec![swapped(rest).unwrap_or(with_element), rest[1..].to_vec()],
            false => vec![rest.to_vec(), rest[1..].to_vec()],
        };
        // The innermost struct may have fallen away too: `.count[0].counter` became `[0].count`.
        let shorter = |steps: Vec<PathStep>| (1..=steps.len()).rev().map(move |length| steps[..length].to_vec());
        attempts.into_iter().flat_map(shorter).find_map(|steps| {
            let found = walk_from(self.target, type_id, &steps)?;
            Some((steps, Some(found)))
        })
    }
}

/// `.count[0]` as `[0].count`.
fn swapped(rest: &[PathStep]) -> Option<Vec<PathStep>> {
    match rest {
        [member @ PathStep::Member(_), index @ PathStep::Index(_), tail @ ..] => {
            Some([index.clone(), member.clone()].into_iter().chain(tail.iter().cloned()).collect())
        }
        _ => None,
    }
}

/// Follows steps from a type that may be an array.
fn walk_from(btf: &Btf, type_id: u32, steps: &[PathStep]) -> Option<u32> {
    match (steps.split_first()?, &btf.resolve(type_id)?.kind) {
        ((PathStep::Index(index), rest), TypeKind::Array { element, count }) if index < count => {
            if rest.is_empty() {
                Some(*element)
            } else {
                walk_from(btf, *element, rest)
            }
        }
        ((PathStep::Index(_), _), _) => None,
        _ => Some(walk(btf, type_id, steps, None).ok()?.type_id),
    }
}

/// Kind and name of a named struct or union.
fn inner_id_name(btf: &Btf, id: u32) -> Option<(Want, String)> {
    let found = btf.resolve(id)?;
    let want = match found.kind {
        TypeKind::Composite { union: false, .. } => Want::Struct,
        TypeKind::Composite { union: true, .. } => Want::Union,
        _ => return None,
    };
    btf.string(found.name_offset).filter(|name| !name.is_empty()).map(|name| (want, name))
}

/// Whether two names differ at most in underscores around them.
fn same_name(a: &str, b: &str) -> bool {
    a.trim_matches('_') == b.trim_matches('_')
}

/// The names before and behind a member.
pub(super) fn neighbours(btf: &Btf, parent: u32, name: &str) -> (Option<String>, Option<String>) {
    let names: Vec<String> =
        btf.members(parent).iter().map(|place| btf.string(place.name_offset).unwrap_or_default()).collect();
    let Some(at) = names.iter().position(|candidate| candidate == name) else {
        return (None, None);
    };
    (at.checked_sub(1).map(|before| names[before].clone()), names.get(at + 1).cloned())
}

//! [`Hints`]: what to do about a finding, from the types of a few kernels that are looked at once more.

use std::collections::{BTreeMap, BTreeSet};

use super::kernel_span::KnownKernels;
use super::message;
use super::report::Merged;
use super::rule::LintRule;
use super::sighting::Fault;
use super::subject::LintSubject;
use crate::explain::{self, KernelTypes, KnownTypes, LocalSpec};
use crate::object::btf::{Btf, Want};
use crate::record::{GuardRecord, Presence};

/// Kernels whose types are kept for hints.
const MOST_KEPT: usize = 12;

/// What to do about a finding, from the types of a few kernels that are looked at once more.
pub(super) struct Hints<'a> {
    known: KnownKernels<'a>,
    types: &'a dyn Fn(usize) -> Option<Btf>,
    kept: BTreeMap<usize, Option<Btf>>,
}

impl<'a> Hints<'a> {
    /// `types` reads those of a kernel, by index.
    pub fn new(known: KnownKernels<'a>, types: &'a dyn Fn(usize) -> Option<Btf>) -> Hints<'a> {
        Hints { known, types, kept: BTreeMap::new() }
    }

    /// Whether the types of a kernel are available; more than some kernels are not looked at again.
    fn keep(&mut self, kernel: usize) -> bool {
        if !self.kept.contains_key(&kernel) && self.kept.len() < MOST_KEPT {
            let types = (self.types)(kernel);
            self.kept.insert(kernel, types);
        }
        matches!(self.kept.get(&kernel), Some(Some(_)))
    }

    fn kept(&self, kernel: usize) -> Option<KernelTypes<'_>> {
        let btf = self.kept.get(&kernel)?.as_ref()?;
        Some(KernelTypes { name: &self.known.all.get(kernel)?.release, btf, booted: false, modules: None })
    }

    /// What to do about a fault.
    pub fn of(&mut self, subject: &LintSubject, merged: &Merged, kind: &str) -> Option<String> {
        let rule = merged.sighting.rule;
        let is_unknown = merged.unknown == merged.kernels;
        let plain = message::hint(rule, kind, is_unknown);
        let instead = match merged.sighting.fault {
            Fault::Missing(_) if rule != LintRule::LoaderSwitch => self.instead(subject, merged),
            _ => None,
        };
        match (instead, plain) {
            (Some(instead), Some(plain)) => Some(format!("{instead}; {plain}")),
            (instead, plain) => instead.or_else(|| plain.map(str::to_owned)),
        }
    }

    /// What stands instead of what is missing, on the newest kernel where it is.
    fn instead(&mut self, subject: &LintSubject, merged: &Merged) -> Option<String> {
        let missing = *merged.kernels.last()?;
        let having = self.nearest(missing, &merged.kernels);
        if !self.keep(missing) {
            return None;
        }
        let having = having.filter(|&kernel| self.keep(kernel));
        let types = subject.types.as_ref()?;
        let spec = LocalSpec::of(types.relocations.get(merged.sighting.relocation?)?, &types.btf)?;
        let mut kernels: Vec<usize> = having.into_iter().chain([missing]).collect();
        kernels.sort_unstable();
        let matrix: Vec<KernelTypes<'_>> = kernels.iter().filter_map(|&kernel| self.kept(kernel)).collect();
        let failed = &self.known.all.get(missing)?.release;
        let explanation = explain::relocation(&spec, &types.btf, &matrix, &KnownTypes::default(), failed)?;
        let place = explanation.in_its_place.iter().find(|place| place.kernels.contains(failed))?;
        let best = place.replacements.first().filter(|best| !best.path.is_empty())?;
        let found = explanation.presence.iter().find(|on| on.kernel == *failed);
        Some(match found.map(|on| &on.presence) {
            Some(Presence::OtherKind { member, type_name, .. }) if *member == best.path => {
                format!("`{member}` is `{type_name}` on {failed}")
            }
            _ => format!("`{}` replaces it on {failed}", best.path),
        })
    }

    /// The nearest known kernel that is none of `missing`.
    fn nearest(&self, kernel: usize, missing: &BTreeSet<usize>) -> Option<usize> {
        let having = self.known.read.iter().copied().filter(|other| !missing.contains(other));
        having.min_by_key(|other| other.abs_diff(kernel))
    }

    /// The name that a guard may have meant, for one that no kernel has: it is one letter away, and the object asks for it nowhere.
    pub fn misspelled(&mut self, subject: &LintSubject, guard: &GuardRecord) -> Option<String> {
        let newest = *self.known.read.last()?;
        if !guard.kind.is_existence() || !self.keep(newest) {
            return None;
        }
        let types = subject.types.as_ref()?;
        let spec = LocalSpec::of(types.relocations.get(guard.relocation?)?, &types.btf)?;
        let kernel = self.kept(newest)?;
        let explanation = explain::relocation(&spec, &types.btf, &[kernel], &KnownTypes::default(), kernel.name)?;
        let btf = kernel.btf;
        let wanted = spec.want()?;
        let (wrong, names): (String, Vec<String>) = match &explanation.presence.first()?.presence {
            Presence::MissingMember { in_type, member } => {
                let (keyword, name) = in_type.split_once(' ')?;
                let want = if keyword == "union" { Want::Union } else { Want::Struct };
                let id = btf.find(name, want)?;
                (member.clone(), btf.members(id).iter().filter_map(|place| btf.string(place.name_offset)).collect())
            }
            Presence::MissingType { .. } => {
                let named = btf.named(wanted);
                (spec.type_name.clone(), named.map(|(_, name)| name.into_owned()).collect())
            }
            Presence::MissingEnumerator { .. } => {
                let id = btf.find(&spec.type_name, Want::Enum)?;
                let names = btf.enumerators(id).iter().filter_map(|one| btf.string(one.name_offset));
                (spec.enumerator.clone()?.0, names.collect())
            }
            _ => return None,
        };
        let wrong = crate::object::btf::essential_name(&wrong).to_owned();
        let asks_for = |name: &str| (0..types.relocations.len()).any(|one| has_word(subject.subject.asked(one), name));
        names.into_iter().find(|name| is_slip(&wrong, name) && !asks_for(name))
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|own| own == word)
}

/// Whether one is a mistyped other: one letter more, less or else, or two that changed places. Numbers and underscores are meant.
fn is_slip(wrong: &str, right: &str) -> bool {
    const SHORTEST: usize = 4;
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    wrong.len().abs_diff(right.len()) <= 1
        && wrong.len() >= SHORTEST
        && right.len() >= SHORTEST
        && letters(wrong) != letters(right)
        && strsim::damerau_levenshtein(wrong, right) == 1
}

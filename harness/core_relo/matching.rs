//! Following the object's way to a field through a type of the kernel (`bpf_core_spec_match`).

use super::compatible::Comparison;
use super::spec::{About, Spec, Step, about};
use super::table::essential_of;
use super::{Code, MAX_STEPS};
use crate::object::btf_ext::RelocationKind;

/// How a candidate was looked at: whether it matches, and how far the comparison went.
pub(super) struct Match<'a> {
    pub way: Spec<'a>,
    pub result: Result<bool, Code>,
}

/// Holds one type of the kernel against what the object asks for.
pub(super) fn candidate<'a>(local: &Spec<'a>, way: Spec<'a>) -> Match<'a> {
    let mut search = Search { comparison: Comparison::new(local.types, way.types), way };
    let result = search.follow(local);
    Match { way: search.way, result }
}

struct Search<'a> {
    comparison: Comparison<'a>,
    way: Spec<'a>,
}

/// What became of the search for a member.
enum Found {
    /// It is there; the id of its type.
    Member(u32),
    /// There is none, or one of another kind.
    No,
}

impl<'a> Search<'a> {
    fn follow(&mut self, local: &Spec<'a>) -> Result<bool, Code> {
        let root = self.way.root;
        match about(local.kind) {
            About::Type if local.kind == RelocationKind::TypeMatches => self.comparison.matches(local.root, root),
            About::Type => self.comparison.types(local.root, root),
            About::Enumerator => self.enumerator(local),
            About::Field => self.field(local),
            About::Unknown => Err(Code::Invalid),
        }
    }

    fn enumerator(&mut self, local: &Spec<'a>) -> Result<bool, Code> {
        let types = self.way.types;
        let (type_id, found) = types.skip(self.way.root).ok_or(Code::Invalid)?;
        let wanted = local.steps.first().and_then(|step| step.name).ok_or(Code::Invalid)?;
        if !found.kind.is_enum() {
            return Ok(false);
        }
        for index in 0..found.count {
            let (name, _) = found.enumerator(index).ok_or(Code::Invalid)?;
            let name = types.name_at(name);
            if essential_of(name) == essential_of(wanted) {
                self.way.steps.push(Step { type_id, index, name: Some(name) });
                self.way.raw.push(index);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn field(&mut self, local: &Spec<'a>) -> Result<bool, Code> {
        let types = self.way.types;
        let mut id = self.way.root;
        for (number, step) in local.steps.iter().enumerate() {
            let (at, found) = types.skip(id).ok_or(Code::Invalid)?;
            id = at;
            if step.name.is_some() {
                match self.member(local, step, id)? {
                    Found::Member(type_id) => id = type_id,
                    Found::No => return Ok(false),
                }
                continue;
            }
            // The first step is over whole root types.
            if number > 0 {
                let Some((element, count)) = found.array() else { return Ok(false) };
                if step.index >= count && !self.way.ends_in_flexible(count) {
                    return Ok(false);
                }
                (id, _) = types.skip(element).ok_or(Code::Invalid)?;
            }
            if self.way.raw.len() == MAX_STEPS {
                return Err(Code::TooBig);
            }
            self.way.steps.push(Step { type_id: id, index: step.index, name: None });
            self.way.raw.push(step.index);
            self.way.step_over(step.index, id)?;
        }
        Ok(true)
    }

    /// Looks for a member by name, in anonymous members as well. At most [`MAX_STEPS`] deep, as the way gets longer with each.
    fn member(&mut self, local: &Spec<'a>, wanted: &Step<'a>, id: u32) -> Result<Found, Code> {
        let types = self.way.types;
        let (id, found) = types.skip(id).ok_or(Code::Invalid)?;
        let own = local.types.get(wanted.type_id).and_then(|found| found.member(wanted.index)).ok_or(Code::Invalid)?;
        if !found.kind.is_composite() {
            return Ok(Found::No);
        }
        for index in 0..found.count {
            self.comparison.visit()?;
            let member = found.member(index).ok_or(Code::Invalid)?;
            if self.way.raw.len() == MAX_STEPS {
                return Err(Code::TooBig);
            }
            self.way.bit_offset = self.way.bit_offset.wrapping_add(member.bit_offset);
            self.way.raw.push(index);
            let name = types.name_at(member.name_offset);
            if name.is_empty() {
                if let Found::Member(type_id) = self.member(local, wanted, member.type_id)? {
                    return Ok(Found::Member(type_id));
                }
            } else if Some(name) == wanted.name {
                if !self.comparison.fields(own.type_id, member.type_id)? {
                    // libbpf leaves the way as it is here, which shows in what it logs.
                    return Ok(Found::No);
                }
                self.way.steps.push(Step { type_id: id, index, name: Some(name) });
                return Ok(Found::Member(member.type_id));
            }
            self.way.bit_offset = self.way.bit_offset.wrapping_sub(member.bit_offset);
            self.way.raw.pop();
        }
        Ok(Found::No)
    }
}

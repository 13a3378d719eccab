//! [`minimal`]: as little of a kernel's BTF as relocates some objects like the whole of it, which is what
//! `bpftool gen min_core_btf` makes.
//!
//! Kept is every type of the kernel that libbpf would compare with what a relocation asks for, and on the way to a field the
//! members by which libbpf finds it. So what the whole BTF answers with yes, no or a contradiction, the small one answers alike.
//! The exception are ids of the kernel's types: there they are ids of the small BTF, and mean nothing to the kernel.

use std::collections::{HashMap, HashSet};

use crate::explain::{Asked, LocalSpec, PathStep, asked};
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, BtfError, Cut, Member, Type, TypeKind};
use crate::object::btf_ext::RelocationKind;

/// libbpf follows types this deep, and so far anonymous structs are followed here.
const MAX_DEPTH: u32 = 32;

/// What is being kept of a kernel's types.
struct Keeper<'a> {
    btf: &'a Btf,
    cut: Cut,
}

/// The least raw BTF out of `raw` with which the relocations of `objects` come to the same.
///
/// # Errors
/// `raw` is not sound BTF.
pub fn minimal<'o>(raw: &[u8], objects: impl IntoIterator<Item = &'o ObjectTypes>) -> Result<Vec<u8>, BtfError> {
    let btf = Btf::parse(raw)?;
    let mut keeper = Keeper { btf: &btf, cut: Cut::default() };
    for object in objects {
        for relocation in &object.relocations {
            // libbpf refuses an object whose relocation does not fit its own BTF.
            if let Some(spec) = LocalSpec::of(relocation, &object.btf) {
                keeper.keep_asked(&spec);
            }
        }
    }
    keeper.cut.apply(raw)
}

impl<'a> Keeper<'a> {
    fn keep_asked(&mut self, spec: &LocalSpec) {
        // The id of a type in the object itself asks nothing of the kernel.
        if spec.kind == RelocationKind::LocalTypeId {
            return;
        }
        let (Some(asked), Some(want)) = (asked(spec.kind), spec.want()) else { return };
        let btf = self.btf;
        for root in btf.candidates(&spec.type_name, want) {
            match asked {
                Asked::Field => {
                    // What leads nowhere is missing with and without it.
                    let before = self.cut.clone();
                    if self.keep_field(root, &spec.path).is_none() {
                        self.cut = before;
                    }
                }
                Asked::Type if spec.kind == RelocationKind::TypeMatches => self.keep_deep(root, true),
                Asked::Type => self.keep_deep(root, false),
                Asked::Enumerator => {
                    let named = spec.enumerator.as_ref().and_then(|(name, _)| btf.enumerator(root, name));
                    named.and_then(|_| self.keep_chain(root));
                }
            }
        }
    }

    /// Keeps a type and what it is another name for; gives the type at the end.
    fn keep_chain(&mut self, id: u32) -> Option<(u32, &'a Type)> {
        let btf = self.btf;
        let end = btf.resolve_id(id)?;
        let mut id = id;
        loop {
            self.cut.keep(id);
            match btf.get(id)?.kind {
                TypeKind::Typedef(target) | TypeKind::Qualified(_, target) if id != end => id = target,
                _ => return Some((id, btf.get(id)?)),
            }
        }
    }

    /// Keeps a type that a field has: its size and kind count, and of a pointer not what it points to.
    fn keep_type(&mut self, id: u32) {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            match self.keep_chain(id) {
                Some((_, Type { kind: TypeKind::Array { element, .. }, .. })) => id = *element,
                _ => return,
            }
        }
    }

    /// Keeps what leads from a root type to a field; `None` if there is no such field.
    fn keep_field(&mut self, root: u32, path: &[PathStep]) -> Option<()> {
        let mut id = root;
        // The struct that declares the field so far.
        let mut parent = None;
        for (index, step) in path.iter().enumerate() {
            let (at, found) = self.keep_chain(id)?;
            match (step, &found.kind) {
                // A first index steps over whole root types.
                (PathStep::Index(_), _) if index == 0 => {}
                (PathStep::Index(_), TypeKind::Array { element, count }) => {
                    let (element, flexible) = (*element, *count == 0);
                    // libbpf lets an index go beyond the end of a struct's last member only: it has to stay the last.
                    if let (true, Some(parent)) = (flexible, parent) {
                        self.keep_last(parent);
                    }
                    id = element;
                }
                (PathStep::Member(name), TypeKind::Composite { .. }) => {
                    let (owner, member) = self.keep_member(at, name, MAX_DEPTH, &mut HashMap::new())?;
                    (id, parent) = (member, Some(owner));
                }
                _ => return None,
            }
        }
        self.keep_type(id);
        Some(())
    }

    fn members(&self, id: u32) -> &'a [Member] {
        match self.btf.resolve(id).map(|found| &found.kind) {
            Some(TypeKind::Composite { members, .. }) => members,
            _ => &[],
        }
    }

    /// Keeps a member by its name, and the anonymous structs around it. Gives the struct that declares it, and its type.
    ///
    /// `without` has the structs known not to have it, with the depth to which that holds: an anonymous struct that is a member in many
    /// places is looked through once a depth, and not once a place.
    fn keep_member(&mut self, id: u32, name: &str, depth: u32, without: &mut HashMap<u32, u32>) -> Option<(u32, u32)> {
        if without.get(&id).is_some_and(|&known| known >= depth) {
            return None;
        }
        for index in 0..self.members(id).len() {
            let member = self.members(id)[index];
            let found = match self.btf.text(member.name_offset) {
                Some(known) if known == name => Some((id, member.type_id)),
                Some(known) if known.is_empty() && depth > 0 => {
                    let inner = self.btf.resolve_id(member.type_id)?;
                    self.keep_member(inner, name, depth - 1, without)
                }
                _ => None,
            };
            if found.is_some() {
                self.keep_chain(member.type_id);
                self.cut.keep_member(id, index as u32);
                return found;
            }
        }
        without.insert(id, depth);
        None
    }

    fn keep_last(&mut self, id: u32) {
        if let Some(last) = self.members(id).len().checked_sub(1) {
            let type_id = self.members(id)[last].type_id;
            self.cut.keep_member(id, last as u32);
            self.keep_type(type_id);
        }
    }

    /// Keeps a type with all that it refers to; the members of structs only if `members` asks for them, and not behind pointers.
    ///
    /// Breadth first, so that a type is seen first where most of the depth is left, and need not be looked at again: types that refer
    /// to each other in many ways have more ways through them than can be followed.
    fn keep_deep(&mut self, id: u32, members: bool) {
        let mut seen = HashSet::new();
        let mut level = vec![(id, members)];
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for (id, members) in level {
                let Some((at, found)) = self.keep_chain(id) else { continue };
                if !seen.insert((at, members)) {
                    continue;
                }
                match &found.kind {
                    TypeKind::Pointer(target) => next.push((*target, false)),
                    TypeKind::Array { element, .. } => next.push((*element, members)),
                    TypeKind::Prototype { returns, parameters } => {
                        next.push((*returns, members));
                        next.extend(parameters.iter().map(|parameter| (parameter.type_id, members)));
                    }
                    TypeKind::Composite { members: all, .. } if members => {
                        for (index, member) in all.iter().enumerate() {
                            self.cut.keep_member(at, index as u32);
                            next.push((member.type_id, true));
                        }
                    }
                    _ => {}
                }
            }
            level = next;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

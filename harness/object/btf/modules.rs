//! [`Btf::with_modules`]: the types of a kernel and of some of its modules as one; [`ModuleNames`]: what its modules show of names without types.

use std::collections::BTreeMap;
use std::mem::discriminant;

use super::format::{parse_types, parts};
use super::similar_names::SimilarNames;
use super::{Btf, Enumerator, Member, Parameter, Type, TypeKind};

/// What is known about names that the kernel itself lacks and that a module has. Reasons go behind the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleNames {
    /// Whether the types of the kernel's modules are known, so that a name which none has is missing.
    pub are_known: bool,
    /// Names in a module of this kernel that has no types.
    pub without_types: BTreeMap<String, String>,
    /// Names of which no one knows whether the kernel has them in a module.
    pub unknown: BTreeMap<String, String>,
}

/// Where the ids and the strings of a module begin, in the kernel that it is of and here.
struct Shift {
    types: (u32, u32),
    strings: (u32, u32),
}

impl Shift {
    fn id(&self, id: u32) -> u32 {
        moved(id, self.types)
    }

    fn name(&self, offset: u32) -> u32 {
        moved(offset, self.strings)
    }
}

/// What belongs to the kernel stays where it is. What does not fit points nowhere.
fn moved(number: u32, (from, to): (u32, u32)) -> u32 {
    number.checked_sub(from).map_or(number, |own| to.saturating_add(own))
}

impl Btf {
    /// The same with the types of modules behind, given by name and raw BTF of this kernel. As with libbpf, by its name a type of a module
    /// is only found where the kernel itself has none of its kind. A module whose BTF is damaged has none.
    pub fn with_modules<'a>(mut self, modules: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Btf {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (types, strings) = (number(self.types.len()), number(self.strings.len()));
        let mut added = Vec::new();
        for (name, raw) in modules {
            let Ok((table, own_strings)) = parts(raw) else { continue };
            let Ok(own) = parse_types(table, Vec::new()) else { continue };
            if own_strings.last().is_some_and(|&last| last != 0) {
                continue;
            }
            let first = self.types.len();
            let shift = Shift { types: (types, number(first)), strings: (strings, number(self.strings.len())) };
            self.strings.extend_from_slice(own_strings);
            self.types.extend(own.into_iter().map(|found| shifted(found, &shift)));
            added.extend(self.index_from(first));
            self.modules.push((number(first), name.to_owned()));
        }
        added.retain(|&(hash, id)| !self.has_own(hash, id, types));
        self.index.extend(added);
        self.index.sort_unstable();
        self.similar = SimilarNames::default();
        self
    }

    /// Whether the kernel itself, whose ids are below `end`, has a type of the name and kind of `id`.
    fn has_own(&self, hash: u64, id: u32, end: u32) -> bool {
        let start = self.index.partition_point(|&(known, _)| known < hash);
        let same_hash = self.index[start..].iter().take_while(|&&(known, _)| known == hash);
        let same_kind = |own: u32| match (self.get(own), self.get(id)) {
            (Some(own), Some(found)) => match (&own.kind, &found.kind) {
                (TypeKind::Composite { union, .. }, TypeKind::Composite { union: other, .. }) => union == other,
                (own, found) => discriminant(own) == discriminant(found),
            },
            _ => false,
        };
        same_hash.filter(|&&(_, own)| own < end).any(|&(_, own)| same_kind(own) && self.name(own) == self.name(id))
    }

    /// The module that a type came from; `None` for the kernel itself.
    pub fn module_of(&self, id: u32) -> Option<&str> {
        let behind = self.modules.partition_point(|&(first, _)| first <= id);
        self.modules.get(behind.checked_sub(1)?).map(|(_, name)| name.as_str())
    }
}

fn shifted(found: Type, shift: &Shift) -> Type {
    let kind = match found.kind {
        TypeKind::Enum { size, signed, mut values } => {
            for Enumerator { name_offset, .. } in &mut values {
                *name_offset = shift.name(*name_offset);
            }
            TypeKind::Enum { size, signed, values }
        }
        TypeKind::Pointer(id) => TypeKind::Pointer(shift.id(id)),
        TypeKind::Array { element, count } => TypeKind::Array { element: shift.id(element), count },
        TypeKind::Composite { union, size, mut members } => {
            for Member { name_offset, type_id, .. } in &mut members {
                (*name_offset, *type_id) = (shift.name(*name_offset), shift.id(*type_id));
            }
            TypeKind::Composite { union, size, members }
        }
        TypeKind::Typedef(id) => TypeKind::Typedef(shift.id(id)),
        TypeKind::Qualified(qualifier, id) => TypeKind::Qualified(qualifier, shift.id(id)),
        TypeKind::Variable(id) => TypeKind::Variable(shift.id(id)),
        TypeKind::Section { variables } => {
            TypeKind::Section { variables: variables.into_iter().map(|id| shift.id(id)).collect() }
        }
        TypeKind::Function(id) => TypeKind::Function(shift.id(id)),
        TypeKind::Prototype { returns, mut parameters } => {
            for Parameter { name_offset, type_id } in &mut parameters {
                (*name_offset, *type_id) = (shift.name(*name_offset), shift.id(*type_id));
            }
            TypeKind::Prototype { returns: shift.id(returns), parameters }
        }
        kind @ (TypeKind::Void
        | TypeKind::Int { .. }
        | TypeKind::Float { .. }
        | TypeKind::Forward { .. }
        | TypeKind::Other) => kind,
    };
    Type { name_offset: shift.name(found.name_offset), kind }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Want;
    use super::super::tests::section as raw;
    use super::*;

    #[test]
    fn types_of_several_modules_stand_behind_those_of_the_kernel() {
        // `int`, and a forward declaration of `struct a`.
        let kernel = raw(&[1, 1 << 24, 4, 32, 5, 7 << 24, 0], b"\0int\0a\0");
        let kernel = Btf::parse(&kernel).unwrap();
        // `struct a { int x; struct a *y; }`; ids go on at 3, strings at 7. And an `int` of its own.
        let first = raw(&[5, 4 << 24 | 2, 16, 7, 1, 0, 9, 4, 64, 0, 2 << 24, 3, 1, 1 << 24, 8, 64], b"x\0y\0");
        // `struct b { struct b *z; }`, and `void f(int)`.
        let second =
            raw(&[7, 4 << 24 | 1, 8, 11, 4, 0, 0, 2 << 24, 3, 0, 13 << 24 | 1, 0, 0, 1, 9, 12 << 24, 5], b"b\0f\0z\0");
        let whole = kernel.clone().with_modules([("one", &*first), ("broken", b"x"), ("two", &*second)]);
        let a = whole.find("a", Want::Struct).unwrap();
        let b = whole.find("b", Want::Struct).unwrap();
        assert_eq!((whole.module_of(a), whole.module_of(b), whole.module_of(1)), (Some("one"), Some("two"), None));
        let member = whole.member(a, "y").unwrap();
        assert_eq!(whole.type_name(member.type_id), "struct a *");
        assert_eq!(whole.type_name(whole.member(b, "z").unwrap().type_id), "struct b *");
        assert_eq!(whole.type_name(whole.member(a, "x").unwrap().type_id), "int");
        let f = whole.find("f", Want::Function).unwrap();
        assert!(matches!(whole.get(f).unwrap().kind, TypeKind::Function(id) if id == f - 1));
        assert_eq!(
            whole.candidates("int", Want::Int).collect::<Vec<_>>(),
            [1],
            "the kernel's own comes first and alone"
        );
        assert_eq!(kernel.clone().with_modules([]), kernel);
    }
}

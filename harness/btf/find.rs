//! [`Query`]: a type, field, enumerator, function or variable by its name, and what a kernel has under it.

use std::collections::BTreeSet;

use memchr::memmem;

use crate::nearest::nearest;
use crate::object::btf::{Btf, Type, TypeKind, Want, essential_name};

/// Modules that are looked at when many have a type of the name.
const MOST_MODULES: usize = 3;
/// Names that are suggested instead of one that no one has.
const SUGGESTIONS: usize = 4;
/// Pointers and arrays between two names of a path; more go round in circles.
const MOST_STEPS: usize = 64;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// `struct`, `union` or `enum`, if only that is meant.
    keyword: Option<Want>,
    /// The name of the type, function, variable or enumerator.
    name: String,
    /// The members from the type to the field; empty unless a field is meant.
    path: Vec<String>,
    /// The enumerator of the type, if one is meant.
    enumerator: Option<String>,
}

/// Something that a kernel has under the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// `struct`, `union`, `enum`, `typedef`, `field`, `enumerator`, `function`, `variable`, `int` or `float`.
    pub kind: &'static str,
    /// Of a field, variable or typedef its type; of a function its signature; of an enumerator its enum; of a type the type.
    pub type_name: String,
    /// Of a field: bits from the start of the innermost struct that is not reached through a pointer.
    pub bit_offset: Option<u64>,
    /// Bits that it takes; `None` for what has no size.
    pub bits: Option<u64>,
    /// Of an enumerator: its value.
    pub value: Option<i128>,
    /// The modules that have it, in words; `None` for the kernel itself.
    pub module: Option<String>,
}

impl Query {
    /// Reads `task_struct`, `struct task_struct`, `task_struct.se.vruntime`, `task_struct.mm->pgd`, `BPF_FUNC_loop` or
    /// `bpf_func_id::BPF_FUNC_loop`.
    ///
    /// # Errors
    /// What is wrong with it, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Query, String> {
        let text = text.trim();
        let (keyword, rest) = match text.split_once(' ') {
            Some(("struct", rest)) => (Some(Want::Struct), rest.trim_start()),
            Some(("union", rest)) => (Some(Want::Union), rest.trim_start()),
            Some(("enum", rest)) => (Some(Want::Enum), rest.trim_start()),
            _ => (None, text),
        };
        let (root, enumerator) = match rest.split_once("::") {
            Some((root, enumerator)) => (root, Some(enumerator.to_owned())),
            None => (rest, None),
        };
        let arrows = root.replace("->", ".");
        let mut parts = arrows.split('.').map(str::to_owned);
        let name = parts.next().unwrap_or_default();
        let query = Query { keyword, name, path: parts.collect(), enumerator };
        if let Some(word) = query.words().find(|word| !is_name(word)) {
            return Err(match word {
                "" => "a name is empty".to_owned(),
                word => format!("`{}` is not a C identifier", word.escape_debug()),
            });
        }
        if query.enumerator.is_some() && !query.path.is_empty() {
            return Err("enumerators have no members".to_owned());
        }
        Ok(query)
    }

    /// The name of the type, function or enumerator that it begins with.
    pub fn root(&self) -> &str {
        &self.name
    }

    /// Every name in it.
    fn words(&self) -> impl Iterator<Item = &str> {
        let more = self.path.iter().chain(&self.enumerator);
        std::iter::once(self.name.as_str()).chain(more.map(String::as_str))
    }

    /// Whether raw BTF can have it at all: it has every name among its strings. Spares parsing what cannot.
    pub fn may_be_in(&self, raw: &[u8]) -> bool {
        self.words().all(|word| memmem::find(raw, format!("\0{word}\0").as_bytes()).is_some())
    }

    /// What modules have that the kernel itself does not: libbpf looks there last, too. `modules` is read only if it matters.
    pub fn hits_elsewhere(&self, btf: &Btf, modules: impl FnOnce() -> Vec<(String, Vec<u8>)>) -> Vec<Hit> {
        if self.hits(btf, 0).is_empty() { self.hits_in_modules(btf, &modules()) } else { Vec::new() }
    }

    /// What the modules of a kernel have under the name, given by name and raw BTF. Modules that share a header have the same: the
    /// first ones stand for all. Modules whose BTF is damaged have nothing.
    pub fn hits_in_modules(&self, btf: &Btf, modules: &[(String, Vec<u8>)]) -> Vec<Hit> {
        let having = btf.modules_with(modules, self.enumerator.as_ref().unwrap_or(&self.name));
        let mut hits: Vec<Hit> = Vec::new();
        for (module, raw) in having.iter().take(MOST_MODULES).map(|&index| &modules[index]) {
            let Ok(split) = Btf::parse_split(raw, btf) else { continue };
            for hit in self.hits(&split, btf.len() as u32) {
                let same = |known: &&mut Hit| Hit { module: None, ..(*known).clone() } == hit;
                match hits.iter_mut().find(same) {
                    Some(known) => known.module = known.module.take().map(|others| format!("{others}, {module}")),
                    None => hits.push(Hit { module: Some(module.clone()), ..hit }),
                }
            }
        }
        if let (Some(last), more @ 1..) = (hits.last_mut(), having.len().saturating_sub(MOST_MODULES)) {
            last.module = last.module.take().map(|some| format!("{some} and {more} more"));
        }
        hits
    }

    /// Everything that is there under the name, in the order of type ids; types from id `after` on only.
    pub fn hits(&self, btf: &Btf, after: u32) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let found: Vec<Hit> = match (&self.enumerator, self.path.is_empty()) {
            (Some(enumerator), _) => {
                let enums = self.roots(btf, after).into_iter();
                enums.flat_map(|id| enumerators(btf, id, enumerator)).collect()
            }
            (None, false) => self.roots(btf, after).into_iter().filter_map(|id| self.field(btf, id)).collect(),
            (None, true) => {
                let types = self.roots(btf, after).into_iter().filter_map(|id| whole(btf, id));
                let all = (after.max(1)..btf.len() as u32).filter(|_| self.keyword.is_none());
                types.chain(all.flat_map(|id| enumerators(btf, id, &self.name))).collect()
            }
        };
        for hit in found {
            // The same type may be there several times, with members that differ only in what no one asked about.
            if !hits.contains(&hit) {
                hits.push(hit);
            }
        }
        hits
    }

    /// Ids of what has the name, kinds that cannot be meant left out.
    fn roots(&self, btf: &Btf, after: u32) -> Vec<u32> {
        let wants: &[Want] = match (&self.keyword, &self.enumerator, self.path.is_empty()) {
            (Some(keyword), ..) => std::slice::from_ref(keyword),
            (None, Some(_), _) => &[Want::Enum, Want::Typedef],
            (None, None, false) => &[Want::Struct, Want::Union, Want::Typedef],
            (None, None, true) => {
                use Want::{Enum, Float, Function, Int, Struct, Typedef, Union, Variable};
                &[Struct, Union, Enum, Typedef, Int, Float, Function, Variable]
            }
        };
        let of = |want: &Want| btf.candidates(&self.name, *want).collect::<Vec<_>>();
        let same = |id: &u32| *id >= after && btf.name(*id) == essential_name(&self.name);
        wants.iter().flat_map(of).filter(same).collect()
    }

    /// Follows the path, through pointers where one stands in the way.
    fn field(&self, btf: &Btf, root: u32) -> Option<Hit> {
        let (mut id, mut bits, mut width) = (root, 0u64, 0);
        for name in &self.path {
            // Of an array the first element: all are alike. Types that go round in circles have no fields.
            for _ in 0..MOST_STEPS {
                match btf.resolve(id).map(|found| &found.kind) {
                    Some(TypeKind::Pointer(target)) => (id, bits) = (*target, 0),
                    Some(TypeKind::Array { element, .. }) => id = *element,
                    _ => break,
                }
            }
            let place = btf.member(id, name)?;
            (id, bits, width) = (place.type_id, bits.saturating_add(place.bit_offset), u64::from(place.bitfield_size));
        }
        let whole = || btf.size_of(id).map(|bytes| u64::from(bytes) * 8);
        let size = if width > 0 { Some(width) } else { whole() };
        Some(Hit {
            kind: "field",
            type_name: btf.type_name(id),
            bit_offset: Some(bits),
            bits: size,
            value: None,
            module: None,
        })
    }
}

/// A type, function or variable as a whole.
fn whole(btf: &Btf, id: u32) -> Option<Hit> {
    let found = btf.get(id)?;
    let (kind, shown) = match &found.kind {
        TypeKind::Composite { union: false, .. } => ("struct", id),
        TypeKind::Composite { union: true, .. } => ("union", id),
        TypeKind::Enum { .. } => ("enum", id),
        TypeKind::Typedef(target) => ("typedef", *target),
        TypeKind::Int { .. } => ("int", id),
        TypeKind::Float { .. } => ("float", id),
        TypeKind::Function(prototype) => ("function", *prototype),
        TypeKind::Variable(target) => ("variable", *target),
        _ => return None,
    };
    let sized = if kind == "variable" { shown } else { id };
    let bits = btf.size_of(sized).map(|bytes| u64::from(bytes) * 8);
    Some(Hit { kind, type_name: btf.type_name(shown), bit_offset: None, bits, value: None, module: None })
}

/// The enumerators of that name in the enum that the type is.
fn enumerators(btf: &Btf, id: u32, name: &str) -> Vec<Hit> {
    let Some(Type { kind: TypeKind::Enum { signed, values, .. }, .. }) = btf.get(id) else { return Vec::new() };
    let named = values.iter().filter(|value| btf.text(value.name_offset).is_some_and(|known| known == name));
    let hit = |value: i64| Hit {
        kind: "enumerator",
        type_name: btf.type_name(id),
        bit_offset: None,
        bits: None,
        value: Some(if *signed { i128::from(value) } else { i128::from(value as u64) }),
        module: None,
    };
    named.map(|value| hit(value.value)).collect()
}

/// Names that are there and may have been meant, closest first, as the user would write them.
pub fn suggestions(query: &Query, btf: &Btf) -> Vec<String> {
    let member_missing = |end: usize| {
        let upto = Query { path: query.path[..end].to_vec(), enumerator: None, ..query.clone() };
        let root = upto.roots(btf, 0).into_iter().next()?;
        let mut id = root;
        for name in &upto.path {
            id = pointee(btf, btf.member(id, name)?.type_id);
        }
        let members = btf.members(id);
        let names: Vec<_> = members.iter().filter_map(|place| btf.text(place.name_offset)).collect();
        let near = nearest(&query.path[end], names.iter().map(AsRef::as_ref), SUGGESTIONS);
        let before: String = std::iter::once(&query.name).chain(&upto.path).map(|name| format!("{name}.")).collect();
        Some(near.into_iter().map(|name| format!("{before}{name}")).collect())
    };
    if let Some(members) = (0..query.path.len()).rev().find_map(member_missing) {
        return members;
    }
    let wanted = query.enumerator.as_ref().unwrap_or(&query.name);
    let distance = wanted.chars().count().div_ceil(3);
    let mut names = BTreeSet::new();
    let mut add = |offset: u32| {
        // Everything else is too far away, and comparing costs.
        let name = btf.text(offset).filter(|name| name.len().abs_diff(wanted.len()) <= distance);
        names.extend(name.filter(|name| !name.is_empty()));
    };
    for id in 1..btf.len() as u32 {
        let Some(found) = btf.get(id) else { continue };
        match &found.kind {
            TypeKind::Enum { values, .. } if query.path.is_empty() => {
                values.iter().for_each(|value| add(value.name_offset));
                add(found.name_offset);
            }
            TypeKind::Function(_) | TypeKind::Variable(_) if !query.path.is_empty() => {}
            TypeKind::Forward { .. } | TypeKind::Section { .. } | TypeKind::Other | TypeKind::Qualified(..) => {}
            _ => add(found.name_offset),
        }
    }
    let near = nearest(wanted, names.iter().map(AsRef::as_ref), SUGGESTIONS);
    near.into_iter().map(str::to_owned).collect()
}

/// What a pointer, or an array of pointers, points to; the type itself if it is neither.
fn pointee(btf: &Btf, id: u32) -> u32 {
    match btf.resolve(id).map(|found| &found.kind) {
        Some(TypeKind::Pointer(target) | TypeKind::Array { element: target, .. }) => *target,
        _ => id,
    }
}

fn is_name(word: &str) -> bool {
    // The kernel has types such as `unsigned int` and Rust's `core::fmt`, of which only the first is requested.
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

//! [`Declarations`]: flavours of structs, declared as far as the path of a field needs them.

use std::collections::BTreeSet;

use super::super::prototype::forward;
use super::super::{identifier, is_identifier};
use crate::explain::spec::PathStep;
use crate::object::btf::{Btf, Type, TypeKind, essential_name};

/// Pointers and arrays nested deeper than this are not written down.
const MAX_DEPTH: usize = 8;

/// Elements of an array that a flavour declares at most; libbpf checks against the kernel's number, not this one.
const MAX_ELEMENTS: u32 = 4096;

/// Makes clang record a relocation for every access.
const ATTRIBUTE: &str = "__attribute__((preserve_access_index))";

/// Declares flavours.
#[derive(Default)]
pub(super) struct Declarations {
    /// Structs that are only pointed to.
    pub forwards: BTreeSet<String>,
    /// Flavours, each behind those it needs.
    pub types: Vec<String>,
}

/// The types of one layout while they are declared.
struct Flavour<'a> {
    declarations: &'a mut Declarations,
    btf: &'a Btf,
    /// What the flavours' names end with.
    label: &'a str,
}

/// Where on the path a declaration stands.
#[derive(Clone, Copy)]
struct At<'p> {
    /// What of the path is left.
    path: &'p [PathStep],
    /// How much deeper types may be nested.
    depth: usize,
}

impl<'p> At<'p> {
    /// The same with another rest of the path.
    fn on(self, path: &'p [PathStep]) -> At<'p> {
        At { path, ..self }
    }

    /// One type further in.
    fn deeper(self) -> Option<At<'p>> {
        Some(At { depth: self.depth.checked_sub(1)?, ..self })
    }
}

impl Declarations {
    /// Declares the root type with nothing but the path. Gives its flavour, and that of the struct with the last part.
    pub fn add(&mut self, btf: &Btf, root: u32, path: &[PathStep], label: &str) -> Option<(String, String)> {
        let named = btf.get(root)?;
        let path = match path {
            // A first index steps over whole root types.
            [PathStep::Index(_), ..] => return None,
            _ => path,
        };
        let at = At { path, depth: MAX_DEPTH };
        let mut flavour = Flavour { declarations: self, btf, label };
        if let TypeKind::Typedef(_) = named.kind {
            let name = format!("{}___{label}", essential_name(&btf.name(root)));
            let mut last = name.clone();
            let body = flavour.body(root, at, &mut last)?;
            let keyword = keyword(btf.resolve(root)?)?;
            self.types.push(format!("typedef {keyword} {{ {body}}} {ATTRIBUTE} {name};\n"));
            return Some((name, last));
        }
        let mut last = String::new();
        let name = flavour.composite(root, at, &mut last)?;
        Some((name, last))
    }
}

impl Flavour<'_> {
    /// Declares a named struct with the first member of the path, or an anonymous one in place. `last` is the innermost named struct.
    fn composite(&mut self, id: u32, at: At<'_>, last: &mut String) -> Option<String> {
        let (btf, label) = (self.btf, self.label);
        let found = btf.resolve(id)?;
        let keyword = keyword(found)?;
        let name = btf.string(found.name_offset)?;
        if name.is_empty() {
            let body = self.body(id, at.deeper()?, last)?;
            return Some(format!("{keyword} {{ {body}}} {ATTRIBUTE}"));
        }
        let flavour = format!("{keyword} {}___{label}", essential_name(&name));
        if !is_identifier(essential_name(&name)) {
            return None;
        }
        *last = flavour.clone();
        let body = self.body(id, at.deeper()?, last)?;
        let declared = format!("{flavour} {{ {body}}} {ATTRIBUTE};\n");
        let types = &mut self.declarations.types;
        // A struct that the path goes through twice would need both members at once.
        if types.iter().any(|known| known.starts_with(&format!("{flavour} {{")) && *known != declared) {
            return None;
        }
        if !types.contains(&declared) {
            types.push(declared);
        }
        Some(flavour)
    }

    /// The one member that the path asks for; nothing if the path ends here.
    fn body(&mut self, id: u32, at: At<'_>, last: &mut String) -> Option<String> {
        let Some((first, rest)) = at.path.split_first() else {
            return Some(String::new());
        };
        let PathStep::Member(name) = first else {
            return None;
        };
        if !is_identifier(name) {
            return None;
        }
        let place = self.btf.member(id, name)?;
        let bits = if place.bitfield_size > 0 { format!(":{}", place.bitfield_size) } else { String::new() };
        let declared = self.declare(place.type_id, name.clone(), at.on(rest), last)?;
        Some(format!("{declared}{bits}; "))
    }

    /// Declares `inner` with the type, as far as the path needs it.
    fn declare(&mut self, id: u32, inner: String, at: At<'_>, last: &mut String) -> Option<String> {
        let (btf, label) = (self.btf, self.label);
        let at = at.deeper()?;
        let path = at.path;
        let found = btf.resolve(id)?;
        match (&found.kind, path.first()) {
            (TypeKind::Pointer(pointee), Some(PathStep::Follow)) => {
                let flavour = self.composite(*pointee, at.on(&path[1..]), last)?;
                Some(format!("{flavour} *{inner}"))
            }
            (TypeKind::Array { element, count }, step) => {
                let rest = if step.is_some() { &path[1..] } else { path };
                let count = (*count).clamp(1, MAX_ELEMENTS);
                self.declare(*element, format!("{inner}[{count}]"), at.on(rest), last)
            }
            (TypeKind::Composite { .. }, _) => {
                // The last part of the path is still within the outer struct.
                let mut ignored = String::new();
                let last = if path.contains(&PathStep::Follow) { last } else { &mut ignored };
                let flavour = self.composite(id, at, last)?;
                Some(format!("{flavour} {inner}"))
            }
            (TypeKind::Pointer(pointee), None) => Some(match forward(btf, *pointee) {
                Some(forward) => {
                    let declared = format!("{forward} *{inner}");
                    self.declarations.forwards.insert(forward);
                    declared
                }
                None => format!("void *{inner}"),
            }),
            (TypeKind::Enum { size: 4, .. }, None) => {
                let name = btf.string(found.name_offset)?;
                // libbpf takes no integer for an enum, and compares the names of enums.
                let tag = if name.is_empty() { String::new() } else { format!("{}___{label} ", essential_name(&name)) };
                let value = format!("{}_{label}_unset", identifier(essential_name(&name)));
                Some(format!("enum {tag}{{ {value} }} {inner}"))
            }
            (TypeKind::Int { .. }, None) => Some(format!("{} {inner}", btf.name(btf.resolve_id(id)?))),
            _ => None,
        }
    }
}

fn keyword(found: &Type) -> Option<&'static str> {
    match found.kind {
        TypeKind::Composite { union: false, .. } => Some("struct"),
        TypeKind::Composite { union: true, .. } => Some("union"),
        _ => None,
    }
}

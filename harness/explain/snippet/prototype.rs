//! [`plain_prototype`]: the prototype of a function as C, with no more than forward declarations of structs.

use std::collections::BTreeSet;

use super::is_identifier;
use crate::object::btf::{Btf, Type, TypeKind};

/// Function pointers within a prototype are followed this deep, and written with this many parameters at most.
const MAX_PROTOTYPE_DEPTH: usize = 4;

const MAX_PARAMETERS: usize = 32;

/// `struct gendisk`, if that is what the id is.
pub(super) fn forward(btf: &Btf, id: u32) -> Option<String> {
    let found = btf.resolve(id)?;
    let keyword = match found.kind {
        TypeKind::Composite { union, .. } | TypeKind::Forward { union } => {
            if union {
                "union"
            } else {
                "struct"
            }
        }
        _ => return None,
    };
    let name = btf.string(found.name_offset).filter(|name| is_identifier(name))?;
    Some(format!("{keyword} {name}"))
}

/// The structs that a prototype names, to be declared before it.
pub(super) fn forwards(btf: &Btf, prototype: u32) -> BTreeSet<String> {
    let Some(Type { kind: TypeKind::Prototype { returns, parameters }, .. }) = btf.get(prototype) else {
        return BTreeSet::new();
    };
    let ids = parameters.iter().take(MAX_PARAMETERS).map(|one| one.type_id).chain([*returns]);
    let mut found = BTreeSet::new();
    ids.for_each(|id| collect_forwards(btf, id, MAX_PROTOTYPE_DEPTH, &mut found));
    found
}

fn collect_forwards(btf: &Btf, id: u32, depth: usize, found: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match btf.resolve(id).map(|found| &found.kind) {
        Some(TypeKind::Pointer(pointee)) => {
            found.extend(forward(btf, *pointee));
            collect_forwards(btf, *pointee, depth, found);
        }
        Some(TypeKind::Prototype { returns, parameters }) => {
            let ids = parameters.iter().take(MAX_PARAMETERS).map(|one| one.type_id).chain([*returns]);
            ids.for_each(|id| collect_forwards(btf, id, depth, found));
        }
        _ => {}
    }
}

/// A prototype with nothing in it that a header would have to declare, but for the structs of [`forwards`].
pub(super) fn plain_prototype(btf: &Btf, prototype: u32, name: &str) -> String {
    let Some(Type { kind: TypeKind::Prototype { returns, parameters }, .. }) = btf.get(prototype) else {
        return format!("void {name}(void)");
    };
    if parameters.len() > MAX_PARAMETERS {
        return format!("void {name}(void)");
    }
    let list: Vec<String> = parameters.iter().map(|one| plain(btf, one.type_id, "", MAX_PROTOTYPE_DEPTH)).collect();
    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
    plain(btf, *returns, &format!("{name}({list})"), MAX_PROTOTYPE_DEPTH)
}

/// Declares `inner` with a type in which typedefs are seen through. libbpf compares pointers with what they point to, so that
/// nothing but what is unknown is `void *`. As a parameter, type 0 is `...`.
fn plain(btf: &Btf, id: u32, inner: &str, depth: usize) -> String {
    let spaced = |name: &str| if inner.is_empty() { name.to_owned() } else { format!("{name} {inner}") };
    let Some(depth) = depth.checked_sub(1) else { return spaced("void *") };
    match btf.resolve(id).map(|found| &found.kind) {
        None | Some(TypeKind::Void) if id == 0 && inner.is_empty() => "...".to_owned(),
        None | Some(TypeKind::Void) => spaced("void"),
        Some(TypeKind::Pointer(pointee)) => match btf.resolve(*pointee).map(|found| &found.kind) {
            Some(TypeKind::Prototype { returns, parameters }) if parameters.len() <= MAX_PARAMETERS => {
                let list: Vec<String> = parameters.iter().map(|one| plain(btf, one.type_id, "", depth)).collect();
                let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
                plain(btf, *returns, &format!("(*{inner})({list})"), depth)
            }
            Some(TypeKind::Void) | None => format!("void *{inner}"),
            Some(TypeKind::Composite { .. } | TypeKind::Forward { .. }) => match forward(btf, *pointee) {
                Some(forward) => format!("{forward} *{inner}"),
                None => format!("void *{inner}"),
            },
            Some(TypeKind::Int { .. } | TypeKind::Pointer(_)) => plain(btf, *pointee, &format!("*{inner}"), depth),
            Some(_) => format!("void *{inner}"),
        },
        Some(TypeKind::Int { .. }) => spaced(&btf.name(btf.resolve_id(id).unwrap_or_default())),
        Some(TypeKind::Enum { size: 8, .. }) => spaced("long long"),
        Some(_) => spaced("int"),
    }
}

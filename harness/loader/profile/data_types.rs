//! [`refused_types`]: types of variables that a kernel does not take as the BTF of a map.

use std::collections::BTreeSet;

use crate::object::btf::{Btf, TypeKind};

/// The first release that takes any printable character in the name of a section.
const ANY_SECTION_NAME: (u32, u32) = (6, 9);

/// Why a kernel refuses the types of a section's variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// For what a type is called.
    Always,
    /// For the section's own name, before this release.
    Before((u32, u32)),
}

/// Whether a kernel refuses the types of a section's variables, loaded without anything else.
pub(super) fn refused_types(btf: &Btf, section: &str) -> Option<Refused> {
    if !btf.has_section(section) {
        return None;
    }
    let variables = btf.section_variables(section);
    let (mut seen, mut open) = (BTreeSet::new(), Vec::new());
    let mut names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
    open.extend(variables.iter().map(|(_, id)| *id));
    while let Some(id) = open.pop() {
        let Some(found) = btf.get(id).filter(|_| seen.insert(id)) else { continue };
        let mut is_named = true;
        match &found.kind {
            TypeKind::Pointer(to) | TypeKind::Qualified(_, to) => {
                is_named = false;
                open.push(*to);
            }
            TypeKind::Typedef(to) | TypeKind::Variable(to) => open.push(*to),
            TypeKind::Array { element, .. } => open.push(*element),
            TypeKind::Composite { members, .. } => {
                open.extend(members.iter().map(|member| member.type_id));
                names.extend(members.iter().filter_map(|member| btf.string(member.name_offset)));
            }
            TypeKind::Prototype { returns, parameters } => {
                open.push(*returns);
                open.extend(parameters.iter().map(|parameter| parameter.type_id));
            }
            TypeKind::Enum { .. } | TypeKind::Forward { .. } => {}
            // Names of numbers are not looked at.
            _ => is_named = false,
        }
        names.extend(btf.string(found.name_offset).filter(|_| is_named));
    }
    if !names.iter().all(|name| is_plain(name)) {
        return Some(Refused::Always);
    }
    (!is_plain(section)).then_some(Refused::Before(ANY_SECTION_NAME))
}

/// Whether every kernel takes the characters of a name.
fn is_plain(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.'))
}

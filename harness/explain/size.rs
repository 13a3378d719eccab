//! [`unguarded_sizes`]: sizes of types that the code takes as they come, even where the type is missing.

use std::collections::HashSet;

use super::spec::LocalSpec;
use crate::object::ObjectTypes;
use crate::object::btf::essential_name;
use crate::object::btf_ext::RelocationKind;
use crate::record::CoreRelocation as Listed;

/// The `type_size` relocations, as indexes, for which nothing in their function says whether the type exists: neither does the
/// code soon compare the size and jump by it, nor ask whether the type, or a field or a match of it, is there. libbpf makes
/// the size of a missing type 0 without failing; `byte_sz` of a missing field needs no such care, as libbpf poisons it.
///
/// A guard that asks something else, such as the kernel's version or another type, is not understood. `asked` is as for
/// [`dangers`](super::dangers).
pub fn unguarded_sizes(types: &ObjectTypes, asked: &[Listed]) -> Vec<usize> {
    use RelocationKind::{FieldExists, TypeExists, TypeMatches, TypeSize};
    let each = || types.relocations.iter().zip(asked).enumerate();
    let place = |index: usize, listed: &Listed| {
        let spec = LocalSpec::of(&types.relocations[index], &types.btf)?;
        Some((listed.section.clone(), listed.function.clone(), essential_name(&spec.type_name).to_owned()))
    };
    let guarded: HashSet<_> = each()
        .filter(|(_, (one, _))| matches!(one.kind, FieldExists | TypeExists | TypeMatches))
        .filter_map(|(index, (_, listed))| place(index, listed))
        .collect();
    each()
        .filter(|(index, (one, _))| one.kind == TypeSize && !types.compared[*index])
        .filter(|(index, (_, listed))| place(*index, listed).is_some_and(|place| !guarded.contains(&place)))
        .map(|(index, _)| index)
        .collect()
}

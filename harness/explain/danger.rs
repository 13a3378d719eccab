//! [`Danger`]: what passes and still means something else than the object thinks; [`dangers`] finds those of fields.

use std::collections::{HashMap, HashSet};

use super::KernelTypes;
use super::presence::field_on;
use super::spec::{LocalSpec, path_text};
use super::walk::Local;
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, TypeKind, essential_name};
use crate::object::btf_ext::{BtfRelocation, RelocationKind};
use crate::record::{CoreRelocation as Listed, Danger, Presence};

/// The dangers of an object's relocations on one kernel, each with the index of its relocation. Only `byte_off`
/// relocations that resolve are looked at. A function that also asks for size, sign or shifts of the same field adapts
/// itself and is left out; so is another size where the instruction itself reads or writes, which libbpf adapts or
/// refuses. `asked` is the object's list, in the order of `types.relocations`: it says which function each is in.
pub fn dangers(types: &ObjectTypes, asked: &[Listed], kernel: KernelTypes<'_>) -> Vec<(usize, Danger)> {
    let ObjectTypes { btf: local, relocations, on_memory, .. } = types;
    let each = || relocations.iter().zip(asked).zip(on_memory).map(|((one, listed), memory)| (one, listed, *memory));
    let asks = |(one, _, _): &(&BtfRelocation, &Listed, bool)| {
        matches!(
            one.kind,
            RelocationKind::ByteSize | RelocationKind::Signed | RelocationKind::LeftShift | RelocationKind::RightShift
        )
    };
    let adaptive: HashSet<_> = each().filter(asks).filter_map(|(one, listed, _)| place(one, listed, local)).collect();
    let mut found = Vec::new();
    // A field is often read in many places; looking it up once is enough.
    let mut known: HashMap<(u32, &str), Option<Danger>> = HashMap::new();
    for (index, (one, listed, on_memory)) in each().enumerate() {
        if one.kind != RelocationKind::ByteOffset {
            continue;
        }
        let danger =
            known.entry((one.type_id, &one.access)).or_insert_with(|| of_relocation(one, local, kernel)).clone();
        let Some(danger) = danger else { continue };
        let by_libbpf = on_memory && matches!(danger, Danger::SizeChanged { .. });
        if !by_libbpf && place(one, listed, local).is_none_or(|place| !adaptive.contains(&place)) {
            found.push((index, danger));
        }
    }
    found
}

/// A field in a function. Flavours of a type are one: a program asks for the size through one and reads through another.
fn place<'a>(one: &BtfRelocation, listed: &'a Listed, local: &Btf) -> Option<(&'a str, &'a str, String)> {
    let spec = LocalSpec::of(one, local)?;
    let field = format!("{}.{}", essential_name(&spec.type_name), path_text(&spec.path));
    Some((&listed.section, &listed.function, field))
}

fn of_relocation(relocation: &BtfRelocation, local: &Btf, kernel: KernelTypes<'_>) -> Option<Danger> {
    let spec = LocalSpec::of(relocation, local)?;
    let view = Local::of(&spec, local)?;
    let ours = super::walk::walk(local, view.root, &spec.path, None).ok()?;
    let field = field_on(&spec, Some(&view), kernel);
    let Presence::Field { .. } = field.presence else {
        return None;
    };
    let theirs = field.walked?.ok()?;
    compare(local, ours, kernel.btf, theirs)
}

fn compare(
    local: &Btf,
    ours: super::walk::ReachedField,
    target: &Btf,
    theirs: super::walk::ReachedField,
) -> Option<Danger> {
    if (ours.bitfield_size > 0) != (theirs.bitfield_size > 0) || ours.bitfield_size != theirs.bitfield_size {
        return Some(Danger::BitfieldChanged { local: ours.bitfield_size, target: theirs.bitfield_size });
    }
    let (a, b) = (&local.resolve(ours.type_id)?.kind, &target.resolve(theirs.type_id)?.kind);
    let number =
        |kind: &TypeKind| matches!(kind, TypeKind::Int { .. } | TypeKind::Enum { .. } | TypeKind::Float { .. });
    if number(a) && number(b) {
        let (local_size, target_size) = (local.size_of(ours.type_id)?, target.size_of(theirs.type_id)?);
        if local_size != target_size {
            return Some(Danger::SizeChanged { local: local_size, target: target_size });
        }
        let local_signed = local.is_signed(ours.type_id);
        // Whether an enum is signed is the compiler's choice, and one byte is a character or a flag.
        if matches!((a, b), (TypeKind::Int { .. }, TypeKind::Int { .. }))
            && local_size > 1
            && local_signed != target.is_signed(theirs.type_id)
        {
            return Some(Danger::SignChanged { local_signed });
        }
    }
    if let (TypeKind::Pointer(a), TypeKind::Pointer(b)) = (a, b) {
        let named = |btf: &Btf, id: u32| {
            let found = btf.resolve(id)?;
            let composite = matches!(found.kind, TypeKind::Composite { .. } | TypeKind::Forward { .. });
            let name = btf.string(found.name_offset).filter(|name| composite && !name.is_empty())?;
            Some(essential_name(&name).to_owned())
        };
        let (local_name, target_name) = (named(local, *a)?, named(target, *b)?);
        if local_name != target_name {
            return Some(Danger::PointeeChanged {
                local: local.type_name(ours.type_id),
                target: target.type_name(theirs.type_id),
            });
        }
    }
    None
}

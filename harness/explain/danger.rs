//! [`Danger`]: what passes and still means something else than the object thinks; [`dangers`] finds those of fields.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::KernelTypes;
use super::presence::{Presence, field_on};
use super::spec::{LocalSpec, path_text};
use super::walk::Local;
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, Kind, essential_name};
use crate::object::btf_ext::{CoreRelocation, RelocationKind};
use crate::relocation::CoreRelocation as Listed;

/// What differs between what the object knows and what the kernel has, where the object does not ask the kernel about it.
/// libbpf adapts loads and stores of whole integers to another size by itself, but neither the sign nor a read by a helper
/// such as `bpf_probe_read_kernel`. Displays as one line that reads well after "it has".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "danger", rename_all = "snake_case")]
pub enum Danger {
    /// The field takes another number of bytes: a copy of the local size reads too much or too little.
    SizeChanged {
        /// Bytes as the object knows it.
        local: u32,
        /// Bytes on the kernel.
        target: u32,
    },
    /// The field is signed on one side only: negative or large values are misread.
    SignChanged {
        /// Whether it is signed as the object knows it.
        local_signed: bool,
    },
    /// The field is a bitfield on one side only: a plain read gives its neighbours' bits too.
    BitfieldChanged {
        /// Bits as the object knows it; 0 if it is no bitfield there.
        local: u32,
        /// Bits on the kernel; 0 if it is no bitfield there.
        target: u32,
    },
    /// The pointer points to another type: what is read behind it is of another layout.
    PointeeChanged {
        /// The type as the object knows it, as C names it.
        local: String,
        /// The type on the kernel, as C names it.
        target: String,
    },
    /// The enumerator has another value, and the object has its own compiled in.
    ValueChanged {
        /// The value compiled into the object.
        local: i64,
        /// The value on the kernel.
        target: i64,
    },
    /// The type is missing, so that libbpf takes 0 for its size; nothing fails for it.
    SizeOfMissing,
    /// The attach target has another argument in this place.
    ArgumentChanged {
        /// Which, from 1 on.
        argument: u32,
        /// The parameter as the program declares it.
        local: String,
        /// What the kernel has there, in words.
        target: String,
    },
    /// The kernel loads the program and has no way to attach it as its section says.
    CannotAttach {
        /// What the kernel lacks, in words.
        lacks: String,
    },
    /// The field, type or enumerator is there or is not reached here, but other kernels of the run refuse the program for it.
    MissingElsewhere {
        /// Their names, in matrix order.
        kernels: Vec<String>,
    },
}

impl Danger {
    /// Whether data are wrong on the kernel itself, not only the program in danger elsewhere.
    pub fn is_wrong_here(&self) -> bool {
        !matches!(self, Danger::MissingElsewhere { .. })
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |bits: u32| if bits == 0 { "no bitfield".to_owned() } else { format!("a bitfield of {bits} bits") };
        match self {
            Danger::SizeChanged { local, target } => {
                let bytes = |count: u32| format!("{count} byte{}", if count == 1 { "" } else { "s" });
                write!(f, "{} here, {} in the object", bytes(*target), bytes(*local))
            }
            Danger::SignChanged { local_signed: true } => f.write_str("unsigned here, signed in the object"),
            Danger::SignChanged { local_signed: false } => f.write_str("signed here, unsigned in the object"),
            Danger::BitfieldChanged { local, target } => {
                write!(f, "{} here, {} in the object", bits(*target), bits(*local))
            }
            Danger::PointeeChanged { local, target } => write!(f, "`{target}` here, `{local}` in the object"),
            Danger::ValueChanged { local, target } => write!(f, "the value {target} here, {local} in the object"),
            Danger::SizeOfMissing => f.write_str("the size 0 here, because the type is missing"),
            Danger::ArgumentChanged { argument, local, target } => {
                write!(f, "{target} as argument {argument} here, `{local}` in the object")
            }
            Danger::CannotAttach { lacks } => write!(f, "no way to attach here: {lacks}"),
            Danger::MissingElsewhere { kernels } => {
                write!(f, "no match on {}, and the program fails there for it", kernels.join(", "))
            }
        }
    }
}

/// The dangers of an object's relocations on one kernel, each with the index of its relocation. Only `byte_off`
/// relocations that resolve are looked at. A function that also asks for size, sign or shifts of the same field adapts
/// itself and is left out; so is another size where the instruction itself reads or writes, which libbpf adapts or
/// refuses. `asked` is the object's list, in the order of `types.relocations`: it tells which function each is in.
pub fn dangers(types: &ObjectTypes, asked: &[Listed], kernel: KernelTypes<'_>) -> Vec<(usize, Danger)> {
    let ObjectTypes { btf: local, relocations, on_memory, .. } = types;
    let each = || relocations.iter().zip(asked).zip(on_memory).map(|((one, listed), memory)| (one, listed, *memory));
    let asks = |(one, _, _): &(&CoreRelocation, &Listed, bool)| {
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
fn place<'a>(one: &CoreRelocation, listed: &'a Listed, local: &Btf) -> Option<(&'a str, &'a str, String)> {
    let spec = LocalSpec::of(one, local)?;
    let field = format!("{}.{}", essential_name(&spec.type_name), path_text(&spec.path));
    Some((&listed.section, &listed.function, field))
}

fn of_relocation(relocation: &CoreRelocation, local: &Btf, kernel: KernelTypes<'_>) -> Option<Danger> {
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

fn compare(local: &Btf, ours: super::walk::Found, target: &Btf, theirs: super::walk::Found) -> Option<Danger> {
    if (ours.bitfield_size > 0) != (theirs.bitfield_size > 0) || ours.bitfield_size != theirs.bitfield_size {
        return Some(Danger::BitfieldChanged { local: ours.bitfield_size, target: theirs.bitfield_size });
    }
    let (a, b) = (&local.resolve(ours.type_id)?.kind, &target.resolve(theirs.type_id)?.kind);
    let number = |kind: &Kind| matches!(kind, Kind::Int { .. } | Kind::Enum { .. } | Kind::Float { .. });
    if number(a) && number(b) {
        let (local_size, target_size) = (local.size_of(ours.type_id)?, target.size_of(theirs.type_id)?);
        if local_size != target_size {
            return Some(Danger::SizeChanged { local: local_size, target: target_size });
        }
        let local_signed = local.is_signed(ours.type_id);
        // Whether an enum is signed is the compiler's choice, and one byte is a character or a flag.
        if matches!((a, b), (Kind::Int { .. }, Kind::Int { .. }))
            && local_size > 1
            && local_signed != target.is_signed(theirs.type_id)
        {
            return Some(Danger::SignChanged { local_signed });
        }
    }
    if let (Kind::Pointer(a), Kind::Pointer(b)) = (a, b) {
        let named = |btf: &Btf, id: u32| {
            let found = btf.resolve(id)?;
            let composite = matches!(found.kind, Kind::Composite { .. } | Kind::Forward { .. });
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

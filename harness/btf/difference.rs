//! [`TypeDifference`]: which types, functions and fields are other in the BTF of another kernel.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::btf::{Btf, Want};

/// What is other in the second of two kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeDifference {
    /// Structs, unions and enums that only the second has, such as `struct inode`.
    pub added: Vec<String>,
    /// Those that only the first has.
    pub removed: Vec<String>,
    /// Those that both have, with other content.
    pub changed: Vec<TypeChange>,
    /// How many both have alike.
    pub same: usize,
    /// How many functions only the second has.
    pub functions_added: usize,
    /// How many functions only the first has.
    pub functions_removed: usize,
}

/// A type with other content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChange {
    /// Such as `struct inode`.
    pub name: String,
    /// Bytes in the first and in the second.
    pub sizes: [u32; 2],
    /// Its fields or enumerators that differ, by name.
    pub parts: Vec<PartChange>,
}

/// A field or enumerator that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// Its name.
    pub name: String,
    /// What it is in the first; `None` if it is added.
    pub before: Option<TypePart>,
    /// What it is in the second; `None` if it is removed.
    pub after: Option<TypePart>,
}

/// A field or an enumerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypePart {
    /// A field.
    Field {
        /// Bits from the start of the type.
        bit_offset: u64,
        /// Its type, in C.
        type_name: String,
        /// Bits that it takes if it is a bitfield, otherwise 0.
        bitfield_size: u32,
    },
    /// An enumerator.
    Value(i64),
}

/// Structs, unions and enums by their C names; of several with one name the first.
fn types(btf: &Btf) -> BTreeMap<String, u32> {
    let mut types = BTreeMap::new();
    for (want, keyword) in [(Want::Struct, "struct"), (Want::Union, "union"), (Want::Enum, "enum")] {
        for (id, name) in btf.named(want) {
            types.entry(format!("{keyword} {name}")).or_insert(id);
        }
    }
    types
}

fn functions(btf: &Btf) -> BTreeSet<String> {
    btf.named(Want::Function).map(|(_, name)| name.into_owned()).collect()
}

/// The fields or enumerators of a type by name.
fn parts(btf: &Btf, id: u32) -> BTreeMap<String, TypePart> {
    let name = |offset| btf.string(offset).unwrap_or_default();
    let fields = btf.members(id).into_iter().map(|place| {
        let type_name = btf.type_name(place.type_id);
        let (bit_offset, bitfield_size) = (place.bit_offset, place.bitfield_size);
        (name(place.name_offset), TypePart::Field { bit_offset, type_name, bitfield_size })
    });
    let values = btf.enumerators(id).iter().map(|value| (name(value.name_offset), TypePart::Value(value.value)));
    fields.chain(values).collect()
}

impl TypeDifference {
    /// Compares the types of two kernels.
    pub fn of(first: &Btf, second: &Btf) -> TypeDifference {
        let (old, new) = (types(first), types(second));
        let mut difference = TypeDifference::default();
        for (name, &old_id) in &old {
            let Some(&new_id) = new.get(name) else {
                difference.removed.push(name.clone());
                continue;
            };
            match change(name, (first, old_id), (second, new_id)) {
                Some(change) => difference.changed.push(change),
                None => difference.same += 1,
            }
        }
        difference.added.extend(new.keys().filter(|name| !old.contains_key(*name)).cloned());
        let (before, after) = (functions(first), functions(second));
        difference.functions_added = after.difference(&before).count();
        difference.functions_removed = before.difference(&after).count();
        difference
    }
}

fn change(name: &str, first: (&Btf, u32), second: (&Btf, u32)) -> Option<TypeChange> {
    let (before, after) = (parts(first.0, first.1), parts(second.0, second.1));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let part = |name: &&String| PartChange {
        name: (*name).clone(),
        before: before.get(*name).cloned(),
        after: after.get(*name).cloned(),
    };
    let parts: Vec<PartChange> = names.iter().map(part).filter(|part| part.before != part.after).collect();
    let sizes = [first, second].map(|(btf, id)| btf.size_of(id).unwrap_or_default());
    (!parts.is_empty() || sizes[0] != sizes[1]).then(|| TypeChange { name: name.to_owned(), sizes, parts })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kernel(file: &str) -> Btf {
        use ::object::{Object, ObjectSection};
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let elf = ::object::File::parse(&*bytes).unwrap();
        Btf::parse(elf.section_by_name(".BTF").unwrap().data().unwrap()).unwrap()
    }

    #[test]
    fn a_field_that_was_renamed_is_removed_and_added() {
        let difference = TypeDifference::of(&kernel("kernel_a.o"), &kernel("kernel_b.o"));
        let task = difference.changed.iter().find(|change| change.name == "struct task_struct").unwrap();
        let names = |has: &dyn Fn(&&PartChange) -> bool| -> Vec<&str> {
            task.parts.iter().filter(has).map(|part| part.name.as_str()).collect()
        };
        assert_eq!(names(&|part| part.after.is_none()), ["state"]);
        assert_eq!(names(&|part| part.before.is_none()), ["__state", "saved_state"]);
    }

    #[test]
    fn a_kernel_is_like_itself() {
        let btf = kernel("kernel_a.o");
        let itself = TypeDifference::of(&btf, &btf);
        assert!(itself.same > 10, "{itself:?}");
        assert_eq!(itself, TypeDifference { same: itself.same, ..TypeDifference::default() });
    }
}
